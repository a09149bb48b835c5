import { execFileSync, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.js';
import { parseSpiffeId } from '../../src/core/identity.js';
import { Authority, type Trust } from '../../src/pki/authority.js';
import { initAuthority, newKeys } from '../../src/pki/init.js';
import { type IssuanceEntry, IssuanceLog } from '../../src/pki/issuance-log.js';
import { toPem } from '../../src/pki/pem.js';
import { revoke } from '../../src/pki/revoke.js';
import { rotate } from '../../src/pki/rotate.js';
import { CaStore } from '../../src/pki/store.js';
import { spkiOf } from '../../src/pki/x509.js';
import { hasOpenssl } from '../e2e/mesh-certificates.js';

const WEB = parseSpiffeId('spiffe://example.org/ns/default/sa/web');
const HOUR_MS = 3_600_000;
const root = mkdtempSync(join(tmpdir(), 'meshproxy-authority-'));
afterAll(() => rmSync(root, { recursive: true }));

describe('an authority', () => {
  let directory: string;
  let store: CaStore;
  const open: Authority[] = [];

  beforeEach(async () => {
    directory = mkdtempSync(join(root, 'ca-'));
    store = new CaStore(directory, undefined);
    await initAuthority(store, 'example.org', Date.now());
    return async () => {
      for (const authority of open.splice(0)) await authority.close();
    };
  });

  async function start(from = store): Promise<Authority> {
    const authority = await Authority.open({ store: from, clock: systemClock });
    open.push(authority);
    return authority;
  }

  function order(identity = WEB) {
    return { spki: spkiOf(newKeys().publicKey), identity, lifetimeMs: HOUR_MS, requester: 'a test' };
  }

  async function living(now = Date.now()): Promise<IssuanceEntry[]> {
    const entries: IssuanceEntry[] = [];
    for await (const entry of new IssuanceLog(directory).living(now)) entries.push(entry);
    return entries;
  }

  it('has keys that only their owner can read, in a folder that only its owner can look into', () => {
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    const keys = readdirSync(directory).filter((name) => name.endsWith('.key'));
    expect(keys).toHaveLength(2);
    for (const key of keys) expect(statSync(join(directory, key)).mode & 0o777).toBe(0o600);
  });

  it('is never overwritten by another', async () => {
    const files = () => readdirSync(directory).map((name) => [name, statSync(join(directory, name)).mtimeMs]);
    const before = files();
    await expect(initAuthority(store, 'other.test', Date.now())).rejects.toThrow('holds the authority of example.org');
    expect(files()).toEqual(before);
  });

  it('is made once where two are made at the same time', async () => {
    const twice = new CaStore(mkdtempSync(join(root, 'ca-')), undefined);
    const made = await Promise.allSettled([1, 2].map(() => initAuthority(twice, 'example.org', Date.now())));
    expect(made.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await expect(start(twice)).resolves.toBeInstanceOf(Authority);
  });

  it.runIf(hasOpenssl)('issues what openssl verifies to the letter, and has it in its log', async () => {
    const authority = await start();
    const issued = await authority.issue(order());
    const file = join(directory, 'leaf.pem');
    writeFileSync(file, issued.chain);
    const verified = execFileSync('openssl', [
      'verify',
      '-x509_strict',
      '-CAfile',
      join(directory, 'bundle.pem'),
      '-untrusted',
      file,
      file,
    ]);
    expect(verified.toString()).toContain('OK');
    expect(await living()).toMatchObject([{ serial: issued.serial, identity: issued.identity, requester: 'a test' }]);
    expect(await living(issued.notAfter)).toEqual([]);
  });

  it('shares one write of the log among many, and loses none', async () => {
    const [one, other] = [await start(), await start()];
    const issued = await Promise.all(
      Array.from({ length: 200 }, (_, index) => (index % 2 ? one : other).issue(order())),
    );
    const serials = (await living()).map(({ serial }) => serial);
    expect(new Set(serials)).toEqual(new Set(issued.map(({ serial }) => serial)));
    expect(serials).toHaveLength(200);
  });

  it('goes on after a line that a crash has torn', async () => {
    const authority = await start();
    const first = await authority.issue(order());
    const [name = ''] = readdirSync(join(directory, 'issued'));
    appendFileSync(join(directory, 'issued', name), '{"at":1,"serial":"4aa');
    const second = await authority.issue(order());
    expect((await living()).map(({ serial }) => serial)).toEqual([first.serial, second.serial]);
  });

  it('issues nothing where the log cannot be written', async () => {
    const authority = await start();
    writeFileSync(join(directory, 'issued'), 'in the way');
    await expect(authority.issue(order())).rejects.toThrow(/issuance log cannot be written, so nothing is issued/);
    unlinkSync(join(directory, 'issued'));
    await expect(authority.issue(order())).resolves.toBeDefined();
  });

  it('recognises what it has issued, also when it has expired, and nothing else', async () => {
    const authority = await start();
    const issued = await authority.issue(order());
    const leaf = new X509Certificate(issued.chain);
    expect(authority.recognize(leaf)).toMatchObject({ kind: 'ours', identity: WEB, serial: issued.serial });
    const elsewhere = new CaStore(mkdtempSync(join(root, 'ca-')), undefined);
    await initAuthority(elsewhere, 'example.org', Date.now());
    expect((await start(elsewhere)).recognize(leaf)).toMatchObject({ why: 'this authority did not issue it' });
    // The signature of a leaf is at its end: whatever is changed there, it is not ours any more.
    const forged = Buffer.from(leaf.raw);
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    expect(authority.recognize(new X509Certificate(toPem('CERTIFICATE', forged)))).toMatchObject({ kind: 'refused' });
    const issuer = new X509Certificate(issued.chain.slice(issued.chain.lastIndexOf('-----BEGIN')));
    expect(authority.recognize(issuer)).toMatchObject({ why: 'it is no certificate of a workload' });
  });

  it('notices what another process revokes, and issues no more for it', async () => {
    const authority = await start();
    const issued = await authority.issue(order());
    const told = new Promise<Trust>((resolve) => authority.onTrust(resolve));
    const entry = { at: Date.now(), reason: 'stolen' };
    await store.writeRevoked({ identities: [{ id: issued.identity, ...entry }], serials: [] });
    expect((await told).revoked.identities).toEqual([issued.identity]);
    expect(authority.recognize(new X509Certificate(issued.chain))).toMatchObject({ kind: 'refused', revoked: true });
    await expect(authority.issue(order())).rejects.toThrow('is revoked');
  });

  it('keeps what it has read where the folder becomes broken, and says so once', async () => {
    const said: string[] = [];
    const authority = await Authority.open({ store, clock: systemClock, say: (_, message) => said.push(message) });
    open.push(authority);
    const whole = readFileSync(join(directory, 'ca.json'));
    writeFileSync(join(directory, 'ca.json'), whole.subarray(0, 40));
    for (let looks = 0; looks < 3; looks += 1) await authority.look();
    expect(said).toEqual([expect.stringMatching(/ca\.json: it is not JSON, or not whole; what was read before/)]);
    await expect(authority.issue(order())).resolves.toBeDefined();
  });

  it('gives its own name to nobody', async () => {
    const own = parseSpiffeId('spiffe://example.org/ns/meshproxy/sa/ca');
    await expect((await start()).issue(order(own))).rejects.toThrow("the authority's own name");
  });

  it('reads keys that were written with a passphrase only with it', async () => {
    const folder = mkdtempSync(join(root, 'ca-'));
    await initAuthority(new CaStore(folder, 'correct horse'), 'example.org', Date.now());
    const key = readdirSync(folder).find((name) => name.startsWith('issuer') && name.endsWith('.key')) ?? '';
    expect(readFileSync(join(folder, key), 'utf8')).toContain('BEGIN ENCRYPTED PRIVATE KEY');
    await expect(start(new CaStore(folder, 'correct horse'))).resolves.toBeInstanceOf(Authority);
    await expect(start(new CaStore(folder, 'battery'))).rejects.toThrow('the passphrase is wrong');
    await expect(start(new CaStore(folder, undefined))).rejects.toThrow('this private key is encrypted');
  });

  it('writes its log anew where somebody has moved it away, and issues nothing where its folder is gone', async () => {
    const authority = await start();
    await authority.issue(order());
    rmSync(join(directory, 'issued'), { recursive: true });
    const { serial } = await authority.issue(order());
    expect((await living()).map((entry) => entry.serial)).toEqual([serial]);
    rmSync(directory, { recursive: true });
    await expect(authority.issue(order())).rejects.toThrow('nothing is issued');
    expect(existsSync(directory)).toBe(false);
  });

  it('gets no root without a passphrase where its keys have one', async () => {
    const folder = mkdtempSync(join(root, 'ca-'));
    await initAuthority(new CaStore(folder, 'correct horse'), 'example.org', Date.now());
    const before = readdirSync(folder);
    const prepare = (passphrase?: string) =>
      rotate(new CaStore(folder, passphrase), { kind: 'root', force: false, dryRun: false }, Date.now());
    await expect(prepare()).rejects.toThrow('this private key is encrypted');
    await expect(prepare('battery')).rejects.toThrow('the passphrase is wrong');
    expect(readdirSync(folder)).toEqual(before);
    expect((await prepare('correct horse')).done).toBe(true);
  });

  it('leaves a folder as it is that holds something of somebody else', async () => {
    const folder = mkdtempSync(join(root, 'work-'));
    chmodSync(folder, 0o755);
    writeFileSync(join(folder, 'main.c'), '');
    await initAuthority(new CaStore(folder, undefined), 'example.org', Date.now());
    expect(statSync(folder).mode & 0o777).toBe(0o755);
    expect(readdirSync(folder)).not.toContain('.gitignore');
  });

  it('is changed by one after the other, also where somebody was killed while he changed it', async () => {
    const dead = spawnSync(process.execPath, ['-e', '0']).pid;
    writeFileSync(join(directory, 'ca.lock'), `${dead} ${hostname()}\n`);
    const names = Array.from({ length: 12 }, (_, index) => `w${index}`);
    const revokeOne = (name: string) => {
      const target = { kind: 'identity', identity: { ...WEB, name } } as const;
      return revoke(new CaStore(directory, undefined), target, { reason: 'a test', undo: false }, Date.now());
    };
    await Promise.all(names.map(revokeOne));
    const { identities } = await store.readRevoked();
    expect(identities.map(({ id }) => id.split('/').at(-1)).sort()).toEqual([...names].sort());
    expect(readdirSync(directory).filter((name) => name.includes('lock'))).toEqual([]);
  });

  it('revokes no more than what everybody can be told', async () => {
    const id = `spiffe://example.org/ns/default/sa/${'x'.repeat(2000)}`;
    const identities = Array.from({ length: 3100 }, (_, index) => ({ id: id + index, at: Date.now(), reason: '' }));
    await store.writeRevoked({ identities, serials: [] });
    const options = { reason: '', undo: false };
    await expect(revoke(store, { kind: 'identity', identity: WEB }, options, Date.now())).rejects.toThrow(
      'with one more, proxies would not take the list',
    );
  });

  it.each([
    ['ca.json', '{}', /version is undefined/],
    [
      'ca.json',
      '{"version":1,"trustDomain":"example.org","roots":[],"issuers":[]}',
      /list of roots or issuers is broken/,
    ],
    ['revoked.json', '[]', /not a list of what is revoked/],
  ])('does not start with a %s of %s', async (name, text, words) => {
    writeFileSync(join(directory, name), text);
    await expect(start()).rejects.toThrow(words);
  });

  it('says what is missing, and what to do', async () => {
    for (const name of readdirSync(directory).filter((file) => /^issuer.*key$/.test(file)))
      unlinkSync(join(directory, name));
    await expect(start()).rejects.toThrow(/the key of the issuer is not there/);
    await expect(start(new CaStore(join(directory, 'none'), undefined))).rejects.toThrow('there is no authority');
  });
});
