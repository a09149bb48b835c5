import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Clock, systemClock } from '../../src/core/clock.js';
import { MeshproxyError } from '../../src/core/errors.js';
import { CaService, type ServiceOptions } from '../../src/pki/service.js';
import type { ServiceEvent } from '../../src/pki/service-events.js';
import {
  ask,
  askCertificate,
  endpoint,
  keptAgent,
  newAuthority,
  newCsr,
  newLeaf,
  newToken,
  shiftedClock,
  WEB,
} from '../fakes/authority.js';

const HOUR = 3_600_000;

interface World {
  readonly domain?: string;
  readonly clock?: Clock;
}

async function serve(
  options: Partial<ServiceOptions> = {},
  { domain = 'example.org', clock = systemClock }: World = {},
) {
  const { store, authority, tokens } = await newAuthority(domain, clock);
  const events: ServiceEvent[] = [];
  const service = await CaService.start({
    authority,
    tokens,
    address: { kind: 'ip', host: '127.0.0.1', port: 0 },
    lifetimeMs: HOUR,
    graceMs: 7 * 24 * HOUR,
    limits: { ratePerS: 10_000, concurrency: 64 },
    maxConnections: 1000,
    clock,
    onEvent: (event) => events.push(event),
    metrics: async () => ({ contentType: 'text/plain', text: 'figures 1\n' }),
    ...options,
  });
  onTestFinished(() => service.close());
  return { store, authority, tokens, service, events, address: service.address, roots: authority.trust.bundle };
}

describe('a workload', () => {
  it('gets its first certificate by a token, and later ones by the one it has', async () => {
    const { authority, tokens, address, roots, events } = await serve();
    const first = await askCertificate(address, roots, { token: await newToken(authority, tokens) });
    expect(first.status).toBe(200);
    expect(first.server).toBe('URI:spiffe://example.org/ns/meshproxy/sa/ca');
    expect(first.body).toMatchObject({ trust: authority.trust });
    const leaf = new X509Certificate(first.body.chain);
    expect(leaf.subjectAltName).toBe(`URI:${WEB}`);
    expect(Date.parse(leaf.validTo)).toBe(first.body.notAfter);
    expect(leaf.serialNumber.toLowerCase()).toBe(first.body.serial);
    const mine = await newLeaf(authority);
    const second = await askCertificate(address, roots, { leaf: mine });
    expect(second.status).toBe(200);
    expect(new X509Certificate(second.body.chain).subjectAltName).toBe(`URI:${WEB}`);
    expect(events).toMatchObject([
      { kind: 'issued', identity: WEB, by: expect.stringMatching(/^token [0-9a-f]{16}$/), serial: first.body.serial },
      {
        kind: 'issued',
        identity: WEB,
        by: `certificate ${mine.serial}`,
        address: expect.stringMatching(/^127.0.0.1:\d/),
      },
    ]);
  });

  it('keeps one connection for many requests', async () => {
    const { authority, service, address, roots } = await serve();
    const agent = keptAgent();
    onTestFinished(() => agent.destroy());
    const leaf = await newLeaf(authority);
    for (let round = 0; round < 5; round += 1) {
      expect((await askCertificate(address, roots, { leaf, agent })).status).toBe(200);
    }
    expect(service.status.connections).toBe(1);
  });

  it('whose answer was lost asks again with the same key; another key finds the token spent', async () => {
    const { authority, tokens, address, roots, events } = await serve();
    const token = await newToken(authority, tokens);
    const csr = newCsr();
    expect((await askCertificate(address, roots, { token, csr })).status).toBe(200);
    expect((await askCertificate(address, roots, { token, csr })).status).toBe(200);
    const other = await askCertificate(address, roots, { token });
    expect(other).toMatchObject({
      status: 403,
      body: { code: 'token-spent', hint: expect.stringContaining('ca token') },
    });
    expect(events.at(-1)).toMatchObject({ kind: 'refused', code: 'token-spent', identity: WEB });
  });

  it('whose certificate has expired gets another within the grace period, and not after it', async () => {
    let ahead = 0;
    const clock = shiftedClock(() => ahead);
    const { authority, address, roots } = await serve({ graceMs: 24 * HOUR }, { clock });
    ahead = -2 * HOUR;
    const leaf = await newLeaf(authority);
    ahead = 0;
    // Expired by every clock there is, and OpenSSL's.
    expect(new Date(new X509Certificate(leaf.cert).validTo).getTime()).toBeLessThan(Date.now());
    expect((await askCertificate(address, roots, { leaf })).status).toBe(200);
    ahead = 24 * HOUR;
    expect(await askCertificate(address, roots, { leaf })).toMatchObject({
      status: 401,
      body: { code: 'unauthorized', error: expect.stringMatching(/expired at 20.*grace period of 1d is over/) },
    });
  });
});

describe('is refused, each with its own words:', () => {
  it('nobody', async () => {
    const { address, roots } = await serve();
    expect(await askCertificate(address, roots)).toMatchObject({
      status: 401,
      body: { code: 'unauthorized', error: 'there is neither a join token nor a client certificate' },
    });
  });

  it('a certificate of another trust domain, and one of another authority of the same', async () => {
    const { address, roots, authority } = await serve();
    const foreign = await newAuthority('other.test');
    const leaf = await newLeaf(foreign.authority, 'spiffe://other.test/ns/default/sa/web');
    expect(await askCertificate(address, roots, { leaf })).toMatchObject({
      status: 401,
      body: { code: 'unauthorized', error: expect.stringContaining('trust domain other.test') },
    });
    const namesake = await newLeaf((await newAuthority()).authority);
    expect(await askCertificate(address, roots, { leaf: namesake })).toMatchObject({
      status: 401,
      body: { code: 'unauthorized', error: expect.stringContaining('this authority did not issue it') },
    });
    const token = await newToken(foreign.authority, foreign.tokens, 'spiffe://other.test/ns/default/sa/web');
    expect((await askCertificate(address, roots, { token })).body.error).toBe(
      `this authority is of ${authority.trustDomain}, not of other.test`,
    );
  });

  it('what is revoked, by serial and by identity, also with a new token', async () => {
    const { store, authority, tokens, address, roots } = await serve();
    const [one, other] = [await newLeaf(authority), await newLeaf(authority)];
    const token = await newToken(authority, tokens);
    const entry = { at: Date.now(), reason: 'stolen' };
    await store.writeRevoked({ identities: [], serials: [{ serial: one.serial, ...entry }] });
    await authority.look();
    const refused = await askCertificate(address, roots, { leaf: one });
    expect(refused).toMatchObject({
      status: 403,
      body: { code: 'revoked', error: expect.stringContaining(one.serial) },
    });
    expect((await askCertificate(address, roots, { leaf: other })).status).toBe(200);
    await store.writeRevoked({ identities: [{ id: WEB, ...entry }], serials: [] });
    await authority.look();
    for (const by of [{ leaf: other }, { token }]) {
      const answer = await askCertificate(address, roots, by);
      expect(answer).toMatchObject({
        status: 403,
        body: { code: 'revoked', error: expect.stringContaining(`${WEB} is revoked`) },
      });
    }
    // The token was not spent by that.
    await store.writeRevoked({ identities: [], serials: [] });
    await authority.look();
    expect((await askCertificate(address, roots, { token })).status).toBe(200);
  });

  it('a token beside the certificate of somebody else', async () => {
    const { authority, tokens, address, roots } = await serve();
    const leaf = await newLeaf(authority, 'spiffe://example.org/ns/default/sa/db');
    const answer = await askCertificate(address, roots, { leaf, token: await newToken(authority, tokens) });
    expect(answer).toMatchObject({ status: 401, body: { error: expect.stringContaining('sa/db') } });
    const own = await newLeaf(authority);
    expect((await askCertificate(address, roots, { leaf: own, token: await newToken(authority, tokens) })).status).toBe(
      200,
    );
  });

  it('the name of the authority itself', async () => {
    const { authority, tokens, address, roots } = await serve();
    const token = await newToken(authority, tokens, 'spiffe://example.org/ns/meshproxy/sa/ca');
    expect(await askCertificate(address, roots, { token })).toMatchObject({
      status: 401,
      body: { error: expect.stringContaining('is the authority itself') },
    });
  });

  it('tokens that are unknown, expired or garbage', async () => {
    const { authority, tokens, address, roots } = await serve();
    const spec = {
      identity: { trustDomain: 'example.org', namespace: 'default', name: 'web' },
      roots: ['ab'.repeat(32)],
    };
    const { token: expired } = await tokens.create({ ...spec, ttlMs: 1000 }, Date.now() - HOUR);
    const { token: unknown } = await (await newAuthority()).tokens.create({ ...spec, ttlMs: HOUR }, Date.now());
    const codes = await Promise.all(
      [expired, unknown, 'mpj1.x', 'secret'].map(
        async (token) => (await askCertificate(address, roots, { token })).body.code,
      ),
    );
    expect(codes).toEqual(['token-expired', 'token-unknown', 'bad-request', 'bad-request']);
    expect(authority.trustDomain).toBe('example.org');
  });

  it('requests that are none', async () => {
    const { authority, address, roots } = await serve();
    const leaf = await newLeaf(authority);
    const post = (body: unknown) => ask(address, roots, '/v1/certificate', { method: 'POST', body, leaf });
    expect(await post('{')).toMatchObject({ status: 400, body: { code: 'bad-request' } });
    expect(await post({ csr: 'x'.repeat(30_000) })).toMatchObject({ status: 400, body: { code: 'bad-request' } });
    expect(await post({ csr: newCsr().replace('A', 'B') })).toMatchObject({ status: 400 });
    expect(await post('x'.repeat(100_000))).toMatchObject({ status: 413, body: { code: 'too-large' } });
    expect(await ask(address, roots, '/')).toMatchObject({ status: 404, body: { code: 'not-found' } });
    expect(await ask(address, roots, '/v1/trust?wait=x')).toMatchObject({ status: 400 });
    expect((await ask(address, roots, '/healthz')).text).toBe('ok\n');
    expect((await ask(address, roots, '/metrics')).text).toBe('figures 1\n');
  });
});

describe('the trust', () => {
  it('is answered at once to whoever has another, and to who has it, when it changes', async () => {
    const { store, authority, service, address, roots } = await serve();
    const { body } = await ask(address, roots, '/v1/trust?wait=60&after=old');
    expect(body).toEqual(authority.trust);
    const waiting = ask(address, roots, `/v1/trust?wait=60&after=${authority.trust.version}`);
    await expect.poll(() => service.status.waiters).toBe(1);
    await store.writeRevoked({ identities: [{ id: WEB, at: Date.now(), reason: 'gone' }], serials: [] });
    expect((await waiting).body).toMatchObject({ revoked: { identities: [WEB], serials: [] } });
    expect(service.status.waiters).toBe(0);
  });

  it('is answered as it was when the time is over', async () => {
    const { authority, address, roots } = await serve();
    const { body } = await ask(address, roots, `/v1/trust?wait=1&after=${authority.trust.version}`);
    expect(body).toEqual(authority.trust);
  });

  it('is waited for by a bounded number; the next is told to come back', async () => {
    const { authority, service, address, roots } = await serve({ maxConnections: 10 });
    const path = `/v1/trust?wait=60&after=${authority.trust.version}`;
    const waiting = Array.from({ length: 5 }, () => ask(address, roots, path).catch(() => undefined));
    // Of one address, half of those who may be connected; four and a half of nine who may wait.
    await expect.poll(() => service.status.waiters).toBe(5);
    await service.drain(5000);
    expect((await Promise.all(waiting)).map((answer) => answer?.body)).toEqual(Array(5).fill(authority.trust));
  });
});

describe('too much', () => {
  it('at a time, or in a second, is told when to come back', async () => {
    const { authority, address, roots, events } = await serve({ limits: { ratePerS: 2, concurrency: 1 } });
    const leaf = await newLeaf(authority);
    const answers = [];
    for (let round = 0; round < 3; round += 1) answers.push(await askCertificate(address, roots, { leaf }));
    expect(answers.map(({ status }) => status)).toEqual([200, 503, 503]);
    const { body, headers } = answers[1] ?? expect.fail('no answer');
    expect(body).toMatchObject({ code: 'busy', error: expect.stringContaining('busy') });
    expect(body.retryAfterMs).toBeGreaterThan(100);
    expect(Number(headers['retry-after'])).toBe(Math.ceil(body.retryAfterMs / 1000));
    expect(events.map(({ kind }) => kind)).toEqual(['issued', 'refused', 'refused']);
  });

  it('of connections from one address leaves room for others', async () => {
    const { service, address, events } = await serve({ maxConnections: 20 });
    const sockets = Array.from({ length: 30 }, () => net.connect(endpoint(address)));
    for (const socket of sockets) socket.on('error', () => {});
    onTestFinished(() => sockets.forEach((socket) => void socket.destroy()));
    await expect.poll(() => events.filter(({ kind }) => kind === 'turned-away').length).toBe(20);
    expect(service.status.connections).toBe(10);
  });
});

describe('a hostile client', () => {
  it('that speaks no TLS is turned away with the reason in the log', async () => {
    const { address, roots, events } = await serve();
    const said: string[] = [];
    for (const bytes of ['GET / HTTP/1.1\r\n\r\n', Buffer.alloc(3000, 0xff), '\u0016\u0003\u0001\u0000\u0001x']) {
      const socket = net.connect(endpoint(address));
      socket.on('error', () => {});
      socket.on('data', (chunk) => said.push(String(chunk)));
      socket.write(bytes);
      if (typeof bytes === 'string' && bytes.length < 10) socket.end();
      await once(socket, 'close');
    }
    expect(said[0]).toMatch(/^HTTP\/1.1 400 Bad Request\r\n[\s\S]*the address begins with https:/);
    await expect
      .poll(() => events.map((event) => 'why' in event && event.why))
      .toEqual(['it spoke plain HTTP', 'it does not speak TLS']);
    expect((await ask(address, roots, '/healthz')).status).toBe(200);
  });

  it('that speaks TLS 1.2 is turned away', async () => {
    const { address, events } = await serve();
    const socket = tls.connect({ ...endpoint(address), maxVersion: 'TLSv1.2', rejectUnauthorized: false });
    await once(socket, 'error');
    await expect.poll(() => events.map((event) => 'why' in event && event.why)).toEqual(['it does not speak TLS 1.3']);
  });

  it('that speaks no HTTP within TLS is told so', async () => {
    const { address, roots } = await serve();
    const socket = tls.connect({ ...endpoint(address), ca: roots, checkServerIdentity: () => undefined });
    socket.end('\u0000\u0001garbage\r\n\r\n');
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    await once(socket, 'close');
    expect(text).toMatch(/^HTTP\/1.1 400 Bad Request\r\n[\s\S]*"code":"bad-request"/);
  });

  it('that pipelines is cut off', async () => {
    const { authority, address, roots, service } = await serve();
    const socket = tls.connect({ ...endpoint(address), ca: roots, checkServerIdentity: () => undefined });
    socket.on('error', () => {});
    const wait = `GET /v1/trust?wait=60&after=${authority.trust.version} HTTP/1.1\r\nhost: ca\r\n\r\n`;
    socket.write(wait.repeat(100));
    socket.resume();
    await once(socket, 'close');
    await expect.poll(() => service.status.waiters).toBe(0);
  });

  it('that sends whatever it likes within TLS gets an answer or an end, and nobody else notices', async () => {
    const { authority, address, roots, service, events } = await serve();
    const { cert, key } = await newLeaf(authority);
    const piece = fc.oneof(
      fc.constantFrom(
        'GET ',
        'POST ',
        '/v1/certificate',
        '/v1/trust?wait=1&after=',
        ' HTTP/1.1\r\n',
        'host: ca\r\n',
        '\r\n',
      ),
      fc.constantFrom(
        'content-length: 5\r\n',
        'transfer-encoding: chunked\r\n',
        'expect: 100-continue\r\n',
        '{"csr":"x"}',
      ),
      fc.string({ unit: 'binary', maxLength: 20 }),
    );
    const bytes = fc.oneof(
      fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
      fc.string(),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (text) => {
        const socket = tls.connect({
          ...endpoint(address),
          ca: roots,
          cert,
          key,
          checkServerIdentity: () => undefined,
        });
        socket.on('error', () => {});
        socket.resume();
        socket.end(text);
        await once(socket, 'close');
      }),
      { numRuns: 60 },
    );
    await expect.poll(() => service.status).toMatchObject({ connections: 0, waiters: 0, busy: 0 });
    expect(events.filter(({ kind }) => kind === 'failed')).toEqual([]);
    expect((await ask(address, roots, '/healthz')).status).toBe(200);
  });

  it('resumes no session: its certificate is proved on each connection', async () => {
    const { address, roots } = await serve();
    const options = { ...endpoint(address), ca: roots, checkServerIdentity: () => undefined };
    const first = tls.connect(options);
    const sessions: Buffer[] = [];
    first.on('session', (session) => sessions.push(session));
    first.end('GET /healthz HTTP/1.1\r\nhost: ca\r\nconnection: close\r\n\r\n');
    first.resume();
    await once(first, 'close');
    const session = sessions.at(-1);
    const second = tls.connect({ ...options, ...(session && { session }) });
    await once(second, 'secureConnect');
    expect(second.isSessionReused()).toBe(false);
    second.destroy();
  });
});

describe('the service', () => {
  it('says that it is busy where the authority cannot issue, and tells only its own log why', async () => {
    const { authority, tokens, address, roots, events } = await serve();
    const [token, csr] = [await newToken(authority, tokens), newCsr()];
    const issue = vi.spyOn(authority, 'issue').mockRejectedValue(new MeshproxyError('file', '/secret/disk is full'));
    const answer = await askCertificate(address, roots, { token, csr });
    expect(answer).toMatchObject({ status: 503, body: { code: 'busy' } });
    expect(answer.text).not.toContain('/secret');
    expect(answer.body.retryAfterMs).toBeGreaterThanOrEqual(15_000);
    expect(events.at(0)).toMatchObject({ kind: 'failed', error: { message: '/secret/disk is full' } });
    // The token is not lost.
    issue.mockRestore();
    expect((await askCertificate(address, roots, { token, csr })).status).toBe(200);
  });

  it('renews its own certificate for later connections, and none that is open is touched', async () => {
    let ahead = 0;
    const clock = shiftedClock(() => ahead);
    const due: (() => void)[] = [];
    const stepped: Clock = {
      ...clock,
      after(delayMs, action) {
        if (delayMs > HOUR / 2) due.push(action);
        return clock.after(delayMs, action);
      },
    };
    const { service, address, roots, events } = await serve({}, { clock: stepped });
    const agent = keptAgent();
    onTestFinished(() => agent.destroy());
    const open = await ask(address, roots, '/healthz', { agent });
    const before = service.status.notAfter;
    ahead = 40 * 60_000;
    for (const action of due.splice(0)) action();
    await expect.poll(() => events.map(({ kind }) => kind)).toEqual(['renewed']);
    expect(service.status.notAfter).toBeGreaterThan(before);
    expect((await ask(address, roots, '/healthz', { agent })).status).toBe(open.status);
    expect(service.status.connections).toBe(1);
  });

  it('drains: takes no more connections, answers what is under way, and is gone', async () => {
    const { authority, service, address, roots } = await serve();
    const waiting = ask(address, roots, `/v1/trust?wait=60&after=${authority.trust.version}`);
    await expect.poll(() => service.status.waiters).toBe(1);
    await service.drain(5000);
    expect((await waiting).headers).toMatchObject({ connection: 'close' });
    await expect(ask(address, roots, '/healthz')).rejects.toThrow('ECONNREFUSED');
  });

  it('says where it cannot listen', async () => {
    const { address } = await serve();
    await expect(serve({ address })).rejects.toThrow('already in use');
  });
});
