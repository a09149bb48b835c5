import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { CancelSignal } from '../../src/core/cancel.js';
import { parseSpiffeId } from '../../src/core/identity.js';
import { Authority, type Trust } from '../../src/pki/authority.js';
import { parseCertificateAnswer, parseRefusal, parseTrust } from '../../src/pki/ca-answers.js';
import { type CaCalls, CaRefusal, type CaSession } from '../../src/pki/ca-client.js';
import { readCsr } from '../../src/pki/csr.js';
import { initAuthority } from '../../src/pki/init.js';
import { loadKept } from '../../src/pki/kept-identity.js';
import { Renewer } from '../../src/pki/renewer.js';
import { CaStore } from '../../src/pki/store.js';
import { TokenStore } from '../../src/pki/token-store.js';
import { newToken } from '../fakes/authority.js';
import { VirtualClock } from '../fakes/clock.js';

const WEB = parseSpiffeId('spiffe://example.org/ns/default/sa/web');
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** A workload, and an authority that answers by calls in place of a network. */
async function world({ random = (): number => 0.5, lifetimeMs = HOUR_MS } = {}) {
  const clock = new VirtualClock();
  const folder = mkdtempSync(join(tmpdir(), 'meshproxy-renewer-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const store = new CaStore(join(folder, 'ca'), undefined);
  await initAuthority(store, 'example.org', clock.wall());
  const authority = await Authority.open({ store, clock });
  onTestFinished(() => authority.close());
  const said: string[] = [];
  /** When each certificate was asked for, wall time, and with which credential. */
  const asked: { at: number; session: CaSession; token: string | undefined }[] = [];
  let refuse: Error | undefined;
  let watching: ((trust: Trust) => void) | undefined;
  const client: CaCalls = {
    address: '127.0.0.1:8443',
    unverifiedTrust: async () => authority.trust,
    trust: (_, after, waitS, signal: CancelSignal) =>
      new Promise((resolve, reject) => {
        if (after !== authority.trust.version) return resolve(authority.trust);
        const giveUp = () => reject(new Error('given up'));
        watching = (trust) => {
          signal.removeEventListener('abort', giveUp);
          resolve(trust);
        };
        clock.after(waitS * 1000, () => watching?.(authority.trust));
        signal.addEventListener('abort', giveUp, { once: true });
      }),
    certificate: async (session, csr, token) => {
      asked.push({ at: clock.wall(), session, token });
      if (refuse) throw refuse;
      const issued = await authority.issue({ spki: readCsr(csr).spki, identity: WEB, lifetimeMs, requester: 'a test' });
      return { chain: issued.chain, trust: authority.trust };
    },
    close() {},
  };
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, `${await newToken(authority, new TokenStore(store.directory))}\n`);
  const directory = join(folder, 'me');
  let running: Renewer | undefined;
  const start = async (more: { tokenFile?: string | undefined } = { tokenFile }) => {
    const say = (level: string, message: string) => void said.push(`${level}: ${message}`);
    const renewer = new Renewer({ client, directory, tokenFile: more.tokenFile, clock, random, say });
    onTestFinished(() => renewer.stop());
    await renewer.start(0);
    running = renewer;
    return renewer;
  };
  /** Moves the clock on in small steps; between them, whatever was due is seen to its end. */
  const pass = async (ms: number, stepMs: number) => {
    for (let gone = 0; gone < ms; gone += stepMs) {
      clock.advance(stepMs);
      await vi.waitUntil(() => (running?.status.nextRenewal ?? Number.POSITIVE_INFINITY) > clock.wall(), {
        interval: 1,
      });
    }
  };
  return {
    ...{ clock, authority, store, said, asked, client, directory, folder, start, pass },
    fail: (error: Error | undefined) => {
      refuse = error;
    },
    /** It waits for a trust that is another. */
    watches: () => watching !== undefined,
    push: () => watching?.(authority.trust),
  };
}

describe('a renewer', () => {
  it('joins with its token once, and keeps what it got over a restart', async () => {
    const { start, directory, asked, authority } = await world();
    const first = await start();
    first.stop();
    expect(asked).toMatchObject([
      { token: expect.stringMatching(/^mpj1\./), session: { bundle: authority.trust.bundle } },
    ]);
    const kept = await loadKept(directory);
    expect(kept).toMatchObject({
      bundle: authority.trust.bundle,
      kept: { identity: WEB, issuer: authority.trust.issuer },
    });
    await start({ tokenFile: undefined });
    expect(asked).toHaveLength(1);
  });

  it('renews at two thirds of each life, give or take a twentieth, each time with a new key', async () => {
    for (const random of [0, 0.5, 0.999]) {
      const { clock, start, asked, pass, directory } = await world({ random: () => random });
      await start();
      const before = readFileSync(join(directory, 'identity.pem'), 'utf8');
      const born = clock.wall();
      await pass(HOUR_MS, MINUTE_MS);
      const at = ((asked[1]?.at ?? 0) - born) / HOUR_MS;
      expect(at).toBeGreaterThan(2 / 3 - 1 / 20 - 0.03);
      expect(at).toBeLessThan(2 / 3 + 1 / 20 + 0.03);
      expect(asked[1]).toMatchObject({ token: undefined, session: { credential: { chain: expect.any(String) } } });
      const after = readFileSync(join(directory, 'identity.pem'), 'utf8');
      expect(after.slice(0, 200)).not.toBe(before.slice(0, 200));
    }
  });

  it('tries again while the old one serves, no sooner than it is asked to, and also after its end', async () => {
    const { clock, start, asked, pass, fail, said } = await world();
    const renewer = await start();
    fail(new CaRefusal('the authority at x: busy', { refusal: 'busy', retryAfterMs: 5 * MINUTE_MS }));
    await pass(90 * MINUTE_MS, MINUTE_MS);
    const times = asked.slice(1).map(({ at }) => at);
    expect(times.length).toBeGreaterThan(5);
    for (const [index, at] of times.slice(1).entries())
      expect(at - (times[index] ?? 0)).toBeGreaterThanOrEqual(5 * MINUTE_MS);
    expect(renewer.status).toMatchObject({ failing: { error: 'the authority at x: busy' } });
    expect(renewer.status.failing?.since).toBeLessThanOrEqual((times[0] ?? 0) + MINUTE_MS);
    // One line when it begins, and one for every ten that follow.
    expect(said.filter((line) => line.startsWith('warn')).length).toBeLessThanOrEqual(1 + times.length / 10);
    fail(undefined);
    await pass(6 * MINUTE_MS, MINUTE_MS);
    expect(said.at(-1)).toMatch(/^info: the certificate of .*web is renewed at last: 1h/);
    expect(renewer.status.failing).toBeUndefined();
    expect(renewer.status.nextRenewal).toBeGreaterThan(clock.wall());
  });

  it('follows whom to trust, and renews soon when another issuer signs', async () => {
    const { clock, start, asked, pass, push, watches, store, authority, directory } = await world();
    const renewer = await start();
    await vi.waitUntil(watches);
    const { rotate } = await import('../../src/pki/rotate.js');
    for (const _ of ['prepare', 'activate']) {
      await rotate(store, { kind: 'issuer', force: false, dryRun: false }, clock.wall());
    }
    await authority.look();
    const changed = clock.wall();
    const due = renewer.status.nextRenewal;
    push();
    await vi.waitUntil(() => renewer.status.nextRenewal < due);
    await pass(6 * MINUTE_MS, MINUTE_MS / 2);
    expect(asked).toHaveLength(2);
    expect((asked[1]?.at ?? 0) - changed).toBeLessThanOrEqual(5 * MINUTE_MS);
    expect((await loadKept(directory))?.kept.issuer).toBe(authority.trust.issuer);
  });

  it('takes no bundle with no root in it', async () => {
    const { start, pass, client, said, directory, authority } = await world();
    await start();
    const before = await loadKept(directory);
    const { certificate } = client;
    Object.assign(client, {
      certificate: async (...args: Parameters<typeof certificate>) => ({
        ...(await certificate(...args)),
        trust: { ...authority.trust, bundle: '' },
      }),
    });
    await pass(50 * MINUTE_MS, MINUTE_MS);
    expect(said.join('\n')).toMatch(/the certificate is not renewed: .*leads to no root of its bundle/);
    expect(await loadKept(directory)).toEqual(before);
  });

  it('takes no certificate that is for somebody else', async () => {
    const { start, pass, client, said, directory, authority } = await world();
    await start();
    const before = await loadKept(directory);
    const identity = { ...WEB, name: 'other' };
    const certificate: CaCalls['certificate'] = async (_, csr) => {
      const order = { spki: readCsr(csr).spki, identity, lifetimeMs: HOUR_MS, requester: 'a test' };
      return { chain: (await authority.issue(order)).chain, trust: authority.trust };
    };
    Object.assign(client, { certificate });
    await pass(50 * MINUTE_MS, MINUTE_MS);
    expect(said.join('\n')).toMatch(/the certificate is not renewed: .*a certificate for .*other, not for .*web/);
    expect(await loadKept(directory)).toEqual(before);
  });

  it('does not start with what is broken, unless it has a token to join anew', async () => {
    const { start, directory, asked } = await world();
    (await start()).stop();
    writeFileSync(join(directory, 'identity.pem'), readFileSync(join(directory, 'identity.pem')).subarray(0, 500));
    await expect(start({ tokenFile: undefined })).rejects.toThrow(/identity\.pem: certificate 1 of it is not complete/);
    await start();
    expect(asked).toHaveLength(2);
  });

  it('says what stands in the way of the first certificate', async () => {
    const { start, fail, folder } = await world();
    await expect(start({ tokenFile: undefined })).rejects.toThrow('there is no identity in it yet, and no token');
    await expect(start({ tokenFile: join(folder, 'none') })).rejects.toThrow(/none: .*no such file/);
    fail(new CaRefusal('the authority at x: this join token was used already', { refusal: 'token-spent' }));
    await expect(start()).rejects.toThrow('was used already');
  });

  it('asks again with the same key where the answer was lost: the token is worth one key', async () => {
    const { start, fail, client } = await world();
    const keys: string[] = [];
    const { certificate } = client;
    Object.assign(client, {
      certificate: (session: CaSession, csr: string, token: string | undefined, signal: CancelSignal) => {
        keys.push(Buffer.from(readCsr(csr).spki).toString('hex'));
        return certificate(session, csr, token, signal);
      },
    });
    fail(new CaRefusal('the authority at x: connection reset'));
    await expect(start()).rejects.toThrow('connection reset');
    fail(undefined);
    await start();
    expect(new Set(keys).size).toBe(1);
    expect(keys).toHaveLength(2);
  });
});

describe('what an authority answers', () => {
  it('is understood or not, and never an exception', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (body) => {
        for (const parse of [parseTrust, parseCertificateAnswer, parseRefusal]) parse(body);
      }),
    );
  });

  it('asks for an hour of patience at most, and is cut to what fits a log', () => {
    const refused = parseRefusal(JSON.stringify({ error: 'x'.repeat(5000), code: 'busy', retryAfterMs: 1e12 }));
    expect(refused).toMatchObject({ refusal: 'busy', retryAfterMs: HOUR_MS });
    expect(refused?.error).toHaveLength(1000);
  });

  it('keeps the key that its token was spent for until the identity is on the disk', async () => {
    const { directory, start } = await world();
    // In the way of the identity's file, as a full disk would be.
    mkdirSync(join(directory, 'identity.pem', 'x'), { recursive: true });
    await expect(start()).rejects.toThrow();
    const key = readFileSync(join(directory, 'joining.key'), 'utf8');
    rmSync(join(directory, 'identity.pem'), { recursive: true });
    await start();
    expect((await loadKept(directory))?.kept.key).toBe(key);
    expect(readdirSync(directory)).not.toContain('joining.key');
  });
});
