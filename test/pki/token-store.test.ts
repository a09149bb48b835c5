import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MeshproxyError } from '../../src/core/errors.js';
import { type JoinToken, parseJoinToken } from '../../src/pki/join-token.js';
import { TokenStore } from '../../src/pki/token-store.js';

const WEB = { trustDomain: 'example.org', namespace: 'default', name: 'web' };
const ROOTS = ['ab'.repeat(32)];
const NOW = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;

function newStore() {
  const directory = mkdtempSync(join(tmpdir(), 'meshproxy-tokens-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const folder = join(directory, 'tokens');
  return { directory, folder, store: new TokenStore(directory) };
}

async function newToken(store: TokenStore, ttlMs = HOUR): Promise<{ id: string; token: JoinToken }> {
  const { id, token } = await store.create({ identity: WEB, ttlMs, roots: ROOTS }, NOW);
  return { id, token: parseJoinToken(token) };
}

const key = (name: string): Uint8Array => Buffer.from(name);

describe('a token', () => {
  it('is for its identity, until its time is over, and its secret is in no file', async () => {
    const { store, folder } = newStore();
    const { id, token } = await newToken(store);
    expect(token).toMatchObject({ identity: WEB, roots: ROOTS, expires: NOW + HOUR });
    const [name = ''] = readdirSync(folder);
    expect(name).toBe(`${id}.json`);
    expect(readFileSync(join(folder, name), 'utf8')).not.toContain(token.secret);
    expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    const late = await store.redeem(token, key('a'), NOW + HOUR);
    expect(late).toMatchObject({
      kind: 'refused',
      code: 'token-expired',
      why: expect.stringContaining('2026-01-01T01'),
    });
    expect(await store.redeem(token, key('a'), NOW)).toEqual({ kind: 'claimed', id, identity: WEB });
  });

  it('is for one key: that may ask again, and no other, also not of another process', async () => {
    const { store, directory } = newStore();
    const { token, id } = await newToken(store);
    expect((await store.redeem(token, key('a'), NOW)).kind).toBe('claimed');
    const other = new TokenStore(directory);
    expect((await other.redeem(token, key('a'), NOW + 1)).kind).toBe('claimed');
    const spent = await other.redeem(token, key('b'), NOW + 2);
    expect(spent).toMatchObject({ code: 'token-spent', why: expect.stringContaining('2026-01-01T00:00:00.000Z') });
    expect((await store.list())[0]).toMatchObject({ id, claim: { at: NOW } });
  });

  it('is redeemed by exactly one of many keys at once, in two stores', async () => {
    const { directory } = newStore();
    const stores = [new TokenStore(directory), new TokenStore(directory)];
    const [first = new TokenStore(directory)] = stores;
    const { token } = await newToken(first);
    const all = Array.from({ length: 60 }, (_, index) =>
      (stores[index % 2] ?? first).redeem(token, key(`key ${index}`), NOW),
    );
    const results = await Promise.all(all);
    expect(results.filter(({ kind }) => kind === 'claimed')).toHaveLength(1);
    expect(new Set(results.flatMap((one) => (one.kind === 'refused' ? [one.code] : [])))).toEqual(
      new Set(['token-spent']),
    );
  });

  it('that was changed, or is of another authority, is unknown', async () => {
    const { store } = newStore();
    const { token } = await newToken(store);
    for (const changed of [
      { ...token, identity: { ...WEB, name: 'admin' } },
      { ...token, secret: `${token.secret.slice(0, -2)}AA` },
    ]) {
      expect(await store.redeem(changed, key('a'), NOW)).toMatchObject({ code: 'token-unknown' });
    }
    // What the token itself says of its end is not believed, but explains.
    const old = { ...token, secret: 'x'.repeat(43), expires: NOW - 1 };
    expect(await store.redeem(old, key('a'), NOW)).toMatchObject({ code: 'token-expired' });
    expect((await store.redeem({ ...token, expires: NOW - 1 }, key('a'), NOW)).kind).toBe('claimed');
  });

  it('that was revoked is worth nothing, before and after it was redeemed', async () => {
    const { store } = newStore();
    const { token, id } = await newToken(store);
    await store.redeem(token, key('a'), NOW);
    expect(await store.revoke(id)).toBe(true);
    expect(await store.revoke(id)).toBe(false);
    for (const name of ['a', 'b']) {
      expect(await store.redeem(token, key(name), NOW)).toMatchObject({ code: 'token-unknown' });
    }
    expect(await store.revoke('../issuer')).toBe(false);
  });

  it('that is revoked while keys race for it never goes to two', async () => {
    const { store } = newStore();
    for (let round = 0; round < 20; round += 1) {
      const { token, id } = await newToken(store);
      const results = await Promise.all([
        store.redeem(token, key('a'), NOW),
        store.revoke(id),
        store.redeem(token, key('b'), NOW),
        store.redeem(token, key('c'), NOW),
      ]);
      const claimed = results.filter((one) => typeof one === 'object' && one.kind === 'claimed');
      expect(claimed.length).toBeLessThanOrEqual(1);
    }
  });
});

describe('the store', () => {
  it('lists nothing where there is no folder yet', async () => {
    expect(await newStore().store.list()).toEqual([]);
    expect(await newStore().store.sweep(NOW)).toBe(0);
  });

  it('keeps what expired for an hour, and then it is gone, with its claim and what a killed process left', async () => {
    const { store, folder } = newStore();
    const { token } = await newToken(store);
    await newToken(store, 10 * HOUR);
    await store.redeem(token, key('a'), NOW);
    writeFileSync(join(folder, '.half.json.xyz'), '{');
    writeFileSync(join(folder, `${'0'.repeat(16)}.claim`), '{}');
    for (const name of readdirSync(folder)) utimesSync(join(folder, name), NOW / 1000, NOW / 1000);
    expect(await store.sweep(NOW + HOUR)).toBe(0);
    expect((await store.list()).map(({ claim }) => claim?.at)).toEqual(expect.arrayContaining([NOW, undefined]));
    expect(await store.sweep(NOW + 2 * HOUR)).toBe(1);
    expect(readdirSync(folder)).toHaveLength(1);
  });

  it('says which file is no record', async () => {
    const { store, folder } = newStore();
    const { id, token } = await newToken(store);
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.json(), fc.string()), async (text) => {
        writeFileSync(join(folder, `${id}.json`), text);
        const result = store.redeem(token, key('a'), NOW);
        await expect(result).rejects.toThrow(MeshproxyError);
        await expect(store.list()).rejects.toThrow(`${id}.json: this is no record of a join token`);
      }),
      { numRuns: 50 },
    );
  });
});
