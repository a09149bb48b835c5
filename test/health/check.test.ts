import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { parseConfig } from '../../src/config/load.js';
import type { ConfigInput } from '../../src/config/schema.js';
import { formatAddress, type IpAddress, type SocketAddress } from '../../src/core/address.js';
import { Canceller } from '../../src/core/cancel.js';
import { systemClock } from '../../src/core/clock.js';
import { type CheckResult, check } from '../../src/health/check.js';
import { questionOf } from '../../src/health/question.js';
import { TlsSetups } from '../../src/l4/tls-setups.js';
import { type Identity, NOBODY } from '../../src/pki/identity-files.js';
import { startBlackHole } from '../fakes/black-hole.js';
import { VirtualClock } from '../fakes/clock.js';
import { readAll, startServer, startUnixServer } from '../fakes/net.js';
import { ALICE, BOB, TlsWorld } from '../l4/tls-world.js';

type Settings = Omit<NonNullable<ConfigInput['services']>[string], 'upstreams'>;

const world = new TlsWorld();
afterAll(() => world.maker.close());

const files = { certificate: 'a.crt', key: 'a.key', bundle: 'roots.pem' };

function settingsOf(settings: Settings) {
  const config = parseConfig({ identity: files, services: { one: { upstreams: ['10.0.0.1:80'], ...settings } } });
  return config.services['one']!;
}

async function ask(
  addresses: readonly SocketAddress[],
  written: Settings,
  { clock = systemClock, identity = NOBODY, signal = new Canceller() as Canceller } = {},
): Promise<CheckResult> {
  const settings = settingsOf(written);
  const question = questionOf(settings)!;
  return check(addresses, question, { settings, tls: new TlsSetups(identity), clock }, signal);
}

async function server(handler: (socket: Socket) => void): Promise<IpAddress> {
  const { address, close } = await startServer(handler);
  onTestFinished(close);
  return address;
}

const answering = (text: string) => server((socket) => void socket.once('data', () => socket.end(text)));

async function gone(): Promise<IpAddress> {
  const { address, close } = await startServer();
  close();
  return address;
}

const HTTP: Settings = { healthCheck: 'http:/health' };
const PING: Settings = { healthCheck: 'send-expect', healthSend: 'hex:50494e470d0a', healthExpect: '+PONG' };

describe('a check by TCP', () => {
  it('passes where a connection is accepted, and ends it in order', async () => {
    const { address, accept, close } = await startServer();
    onTestFinished(close);
    const result = ask([address], { healthCheck: 'tcp' });
    const seen = await readAll(await accept());
    expect(seen).toEqual({ bytes: Buffer.alloc(0), end: 'end' });
    expect(await result).toEqual({ kind: 'passed', words: 'connecting succeeded' });
  });

  it('fails where nobody listens, in words', async () => {
    const address = await gone();
    const words = `connecting failed: ${formatAddress(address)}: connection refused: nothing listens there (ECONNREFUSED)`;
    expect(await ask([address], { healthCheck: 'tcp' })).toEqual({ kind: 'failed', words });
  });

  it('passes where one of the addresses of the endpoint can be connected to', async () => {
    const addresses = [await gone(), await answering('')];
    expect(await ask(addresses, { healthCheck: 'tcp' })).toMatchObject({ kind: 'passed' });
  });

  it('gives up after the timeout', async () => {
    const hole = await startBlackHole();
    onTestFinished(() => hole.close());
    const clock = new VirtualClock();
    const result = ask([hole.address], { healthCheck: 'tcp', healthTimeout: '3s' }, { clock });
    await clock.advanceAsync(2999);
    expect(clock.pending).toBe(1);
    clock.advance(1);
    expect(await result).toEqual({ kind: 'failed', words: 'connecting failed: no answer within 3s' });
  });

  it('says nothing where it is no longer wanted', async () => {
    const hole = await startBlackHole();
    onTestFinished(() => hole.close());
    const signal = new Canceller();
    const result = ask([hole.address], { healthCheck: 'tcp' }, { signal });
    signal.abort();
    expect(await result).toEqual({ kind: 'void' });
  });

  it('may be of another port than the one that connections go to', async () => {
    const { port } = await answering('');
    const endpoint = await gone();
    expect(await ask([endpoint], { healthCheck: 'tcp', healthPort: port })).toMatchObject({ kind: 'passed' });
  });
});

describe('a check by HTTP', () => {
  it('sends a request that names the host, and passes with a good status', async () => {
    let request = '';
    const address = await server((socket) => {
      socket.on('data', (chunk) => {
        request += chunk;
        if (request.endsWith('\r\n\r\n')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      });
    });
    expect(await ask([address], HTTP)).toEqual({ kind: 'passed', words: 'GET /health answered 200' });
    expect(request).toMatch(/^GET \/health HTTP\/1\.1\r\n/);
    expect(request).toContain(`\r\nHost: ${formatAddress(address)}\r\n`);
    await ask([address], { healthCheck: 'http://orders.example/up?deep=1' });
    expect(request).toMatch(/GET \/up\?deep=1 HTTP\/1\.1\r\nHost: orders\.example\r\n/);
  });

  it('fails with another status, and with what is no HTTP', async () => {
    expect(await ask([await answering('HTTP/1.1 503 Busy\r\n\r\n')], HTTP)).toEqual({
      kind: 'failed',
      words: 'GET /health answered 503',
    });
    expect(await ask([await answering('+PONG\r\n')], HTTP)).toEqual({
      kind: 'failed',
      words: 'GET /health was answered by what is no HTTP: "+PONG\\r\\n"',
    });
  });

  it('is over at the status: a body without an end is not read', async () => {
    const address = await server((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      const more = Buffer.alloc(64 * 1024);
      const push = (): void => {
        while (socket.write(more));
      };
      socket.on('drain', push);
      push();
    });
    expect(await ask([address], HTTP)).toMatchObject({ kind: 'passed' });
  });

  it('reads no more than 16 KiB of interim answers', async () => {
    const header = `HTTP/1.1 103 Early Hints\r\nx: ${'y'.repeat(200_000)}\r\n`;
    const result = await ask([await answering(header)], HTTP);
    expect(result).toEqual({ kind: 'failed', words: 'GET /health answered 103, and no more' });
  });

  it('fails at the timeout where the answer drips in', async () => {
    const clock = new VirtualClock();
    const address = await server((socket) => {
      socket.once('data', () => socket.write('H'));
    });
    const result = ask([address], { ...HTTP, healthTimeout: '2s' }, { clock });
    let late = false;
    void result.then(() => {
      late = true;
    });
    while (!late) await clock.advanceAsync(500);
    expect(await result).toEqual({ kind: 'failed', words: 'GET /health failed: no answer within 2s' });
  });

  it('fails where the endpoint resets', async () => {
    const address = await server((socket) => void socket.once('data', () => socket.resetAndDestroy()));
    expect(await ask([address], HTTP)).toEqual({
      kind: 'failed',
      words: 'GET /health failed: the other side broke the connection',
    });
  });

  it('reaches a unix socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meshproxy-health-'));
    const { address, close } = await startUnixServer(join(folder, 's'), (socket) =>
      socket.end('HTTP/1.0 204 No Content\r\n\r\n'),
    );
    onTestFinished(() => {
      close();
      rmSync(folder, { recursive: true });
    });
    expect(await ask([address], { ...HTTP, healthPort: 1 })).toMatchObject({ kind: 'passed' });
  });
});

describe('a check by what is sent and expected', () => {
  it('passes and fails by the answer', async () => {
    expect(await ask([await answering('+PONG\r\n')], PING)).toEqual({
      kind: 'passed',
      words: '"PING\\r\\n" was answered by "+PONG"',
    });
    expect(await ask([await answering('-LOADING')], PING)).toEqual({
      kind: 'failed',
      words: '"PING\\r\\n" was not answered by "+PONG" but by "-LOADING"',
    });
  });

  it('takes a banner that comes by itself', async () => {
    const address = await server((socket) => void socket.write('220 mail.example ESMTP\r\n'));
    const settings: Settings = { healthCheck: 'send-expect', healthExpect: '220 ' };
    expect(await ask([address], settings)).toEqual({ kind: 'passed', words: 'greeting was answered by "220 "' });
  });
});

describe('where connections begin with a PROXY header', () => {
  it.each([
    ['v2', Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex')],
    ['v1', Buffer.from('PROXY UNKNOWN\r\n')],
  ] as const)('a check begins with one (%s) of nobody', async (version, header) => {
    const { address, accept, close } = await startServer();
    onTestFinished(close);
    const settings: Settings = { healthCheck: 'tcp', sendProxyProtocol: version };
    const result = ask([address], settings);
    expect((await readAll(await accept())).bytes).toEqual(header);
    expect(await result).toMatchObject({ kind: 'passed' });
  });
});

describe('a check in TLS', () => {
  const alice: Identity = { ...NOBODY, credential: world.alice, roots: world.root.certificate };

  async function tlsServer(answer = '', mutual = true): Promise<IpAddress> {
    const listener = tls.createServer(
      { key: world.bob.key, cert: world.bob.chain, ca: world.root.certificate, requestCert: mutual },
      (socket) => {
        socket.on('error', () => {});
        socket.once('data', () => socket.end(answer));
      },
    );
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void listener.close());
    return { kind: 'ip', host: '127.0.0.1', port: (listener.address() as { port: number }).port };
  }

  const mutual: Settings = { tlsDial: 'mutual', serverIdentity: BOB };

  it('passes with whoever shows that it is the one that connections would go to', async () => {
    const address = await tlsServer();
    const options = { identity: alice };
    expect(await ask([address], { ...mutual, healthCheck: 'tls' }, options)).toEqual({
      kind: 'passed',
      words: 'TLS handshake succeeded',
    });
    const other = await ask([address], { ...mutual, serverIdentity: ALICE, healthCheck: 'tls' }, options);
    expect(other).toMatchObject({
      kind: 'failed',
      words: expect.stringContaining("TLS handshake failed: the server's certificate is in order, but"),
    });
  });

  it('asks by HTTP within it, as connections would', async () => {
    const address = await tlsServer('HTTP/1.1 200 OK\r\n\r\n');
    const result = await ask([address], { ...mutual, ...HTTP }, { identity: alice });
    expect(result).toEqual({ kind: 'passed', words: 'GET /health answered 200' });
  });

  it('takes any certificate where connections bring TLS of their own', async () => {
    const address = await tlsServer('', false);
    expect(await ask([address], { healthCheck: 'tls' })).toEqual({ kind: 'passed', words: 'TLS handshake succeeded' });
    expect(await ask([await answering('hello')], { healthCheck: 'tls' })).toMatchObject({
      kind: 'failed',
      words: expect.stringMatching(/does not speak TLS/),
    });
  });
});
