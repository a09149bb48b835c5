/**
 * The folder of an authority. A change writes new files beside those that are there, and is in force once `ca.json` is
 * replaced: a crash at any moment leaves either what was before or what was to be.
 */
import { createPrivateKey, type KeyObject, randomUUID, X509Certificate } from 'node:crypto';
import { chmod, link, mkdir, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { sleep, systemClock } from '../core/clock.js';
import { describeError, errnoOf, MeshproxyError } from '../core/errors.js';
import { fileError, SECRET_MODE, writeWhole } from './safe-files.js';
import { type CaState, formatState, parseState, type Role } from './state.js';

export interface Revoked {
  readonly at: number;
  readonly reason: string;
}

export interface RevocationList {
  readonly identities: readonly (Revoked & { readonly id: string })[];
  readonly serials: readonly (Revoked & { readonly serial: string })[];
}

const NOTHING_REVOKED: RevocationList = { identities: [], serials: [] };

/** Of the kind and id of a member: `root-1a2b3c4d`. */
export type MemberName = `${'root' | 'issuer'}-${string}`;

/** A folder that others than its owner can look into shows them names at least. */
const FOLDER_MODE = 0o700;
/** A change takes milliseconds: for these five seconds together somebody may wait for others. */
const LOCK_TRIES = 100;
const LOCK_WAIT_MS = 50;

/** What belongs to an authority must never be committed with a program's sources. */
const GITIGNORE = '*\n!.gitignore\n!README.md\n';

export class CaStore {
  readonly directory: string;
  readonly #passphrase: string | undefined;

  /** @param passphrase that private keys are written with, and read with where they need one */
  constructor(directory: string, passphrase: string | undefined) {
    this.directory = directory;
    this.#passphrase = passphrase;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Makes the folder, readable by its owner alone. One that holds something of somebody's (`--dir .`) stays as it is. */
  async prepareFolder(): Promise<void> {
    try {
      await mkdir(this.directory, { recursive: true, mode: FOLDER_MODE });
      if ((await readdir(this.directory)).length > 0) return;
      await chmod(this.directory, FOLDER_MODE);
      await writeWhole(this.path('.gitignore'), GITIGNORE, { how: 'replace' });
    } catch (cause) {
      if (cause instanceof MeshproxyError) throw cause;
      throw fileError(this.directory, 'cannot be made', cause);
    }
  }

  async has(name: string): Promise<boolean> {
    try {
      await stat(this.path(name));
      return true;
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return false;
      throw fileError(this.path(name), 'cannot be looked at', cause);
    }
  }

  /** Rejects `file` where there is no authority, or what is there is broken. */
  async readState(): Promise<CaState> {
    const path = this.path('ca.json');
    const text = await this.#read('ca.json');
    if (text !== undefined) return parseState(text, path);
    throw new MeshproxyError('file', `${this.directory}: there is no authority in this folder`, {
      hint: `make one: meshproxy ca init --trust-domain example.org --dir ${this.directory}`,
    });
  }

  /** Puts a change in force. @param how `create` fails where there is an authority already */
  async commit(state: CaState, how: 'create' | 'replace'): Promise<void> {
    await writeWhole(this.path('ca.json'), formatState(state), { how });
    await this.writeBundle(state);
  }

  /** For people and programs that want a file; it follows from `ca.json`. */
  async writeBundle(state: CaState): Promise<void> {
    const bundle = await this.bundleOf(state);
    if ((await this.#read('bundle.pem')) !== bundle)
      await writeWhole(this.path('bundle.pem'), bundle, { how: 'replace' });
  }

  /** PEM of the roots that are to be trusted. */
  async bundleOf(state: CaState): Promise<string> {
    return (await this.#roots(state, (role) => role !== 'retired')).map(String).join('');
  }

  /** SHA-256 of the roots that have left the bundle in order. */
  async retiredRoots(state: CaState): Promise<string[]> {
    return (await this.#roots(state, (role) => role === 'retired')).map(({ fingerprint256 }) =>
      fingerprint256.replaceAll(':', '').toLowerCase(),
    );
  }

  #roots({ roots }: CaState, wanted: (role: Role) => boolean): Promise<X509Certificate[]> {
    const chosen = roots.filter(({ role }) => wanted(role));
    return Promise.all(chosen.map(({ id }) => this.readCertificate(`root-${id}`)));
  }

  /** Of a member that is not in force before `commit`. */
  async addMember(name: MemberName, certificate: string, key: KeyObject): Promise<void> {
    const secret = { mode: SECRET_MODE, how: 'create' } as const;
    await writeWhole(this.path(`${name}.key`), this.#exportKey(key), secret);
    await writeWhole(this.path(`${name}.crt`), certificate, { how: 'create' });
  }

  /** Of a member that is in force no more. Where a crash comes between, files are left that nobody reads. */
  async removeFiles(names: readonly string[]): Promise<void> {
    for (const name of names) {
      await unlink(this.path(name)).catch((cause: unknown) => {
        if (errnoOf(cause) !== 'ENOENT') throw fileError(this.path(name), 'cannot be removed', cause);
      });
    }
  }

  /** Changes of the folder one after the other: of two people who change it at once, the second sees what the first did. */
  async alone<T>(change: () => Promise<T>): Promise<T> {
    const path = this.path('ca.lock');
    await this.#lock(path);
    try {
      return await change();
    } finally {
      await unlink(path).catch(() => {});
    }
  }

  async #lock(path: string): Promise<void> {
    const mine = `${process.pid} ${hostname()}\n`;
    for (let tries = 0; tries < LOCK_TRIES; tries += 1) {
      try {
        // Never there without saying whose it is, whenever its owner is killed.
        return await writeWhole(path, mine, { how: 'create', mode: SECRET_MODE });
      } catch (cause) {
        if (errnoOf(cause) !== 'EEXIST') throw cause;
      }
      const owner = (await this.#read('ca.lock')) ?? '';
      if (isDead(owner)) await this.#breakLock(path, owner);
      else await sleep(systemClock, LOCK_WAIT_MS, new AbortController().signal);
    }
    throw new MeshproxyError('file', `${path}: another process is changing this authority`, {
      hint: 'wait for it; if it is gone, remove this file',
    });
  }

  /** Aside first, which only one can do: of two who find a dead one's lock, the second must not remove that of the first. */
  async #breakLock(path: string, owner: string): Promise<void> {
    const aside = `ca.lock.${randomUUID()}`;
    try {
      await rename(path, this.path(aside));
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return;
      throw fileError(path, 'cannot be removed', cause);
    }
    if ((await this.#read(aside)) !== owner) await link(this.path(aside), path).catch(() => {});
    await unlink(this.path(aside)).catch(() => {});
  }

  async readCertificate(name: MemberName): Promise<X509Certificate> {
    const path = this.path(`${name}.crt`);
    const text = await this.#read(`${name}.crt`);
    if (text === undefined) throw new MeshproxyError('file', `${path}: it is not there, and ca.json names it`, RESTORE);
    try {
      return new X509Certificate(text);
    } catch (cause) {
      throw new MeshproxyError('bad-certificate', `${path}: there is no certificate in it: ${describeError(cause)}`, {
        ...RESTORE,
        cause,
      });
    }
  }

  /** `undefined` where the key is not in the folder: the root's is better kept elsewhere. */
  async readKey(name: MemberName): Promise<KeyObject | undefined> {
    const path = this.path(`${name}.key`);
    const text = await this.#read(`${name}.key`);
    if (text === undefined) return undefined;
    const isEncrypted = text.includes('ENCRYPTED');
    if (isEncrypted && this.#passphrase === undefined) {
      throw new MeshproxyError('bad-certificate', `${path}: this private key is encrypted`, { hint: GIVE_PASSPHRASE });
    }
    try {
      return createPrivateKey({ key: text, ...(isEncrypted && { passphrase: this.#passphrase }) });
    } catch (cause) {
      const what = isEncrypted ? 'the passphrase is wrong, or the key broken' : 'there is no private key in it';
      throw new MeshproxyError('bad-certificate', `${path}: ${what}: ${describeError(cause)}`, { cause });
    }
  }

  async readRevoked(): Promise<RevocationList> {
    const text = await this.#read('revoked.json');
    return text === undefined ? NOTHING_REVOKED : parseRevoked(text, this.path('revoked.json'));
  }

  async writeRevoked(list: RevocationList): Promise<void> {
    await writeWhole(this.path('revoked.json'), `${JSON.stringify(list, undefined, 2)}\n`, { how: 'replace' });
  }

  /** Differs when the authority has changed; cheap. */
  async version(): Promise<string> {
    const versions = await Promise.all(['ca.json', 'revoked.json'].map((name) => this.#fileVersion(name)));
    return versions.join(' ');
  }

  async #fileVersion(name: string): Promise<string> {
    try {
      const { ino, size, mtimeNs } = await stat(this.path(name), { bigint: true });
      return `${ino}:${size}:${mtimeNs}`;
    } catch (cause) {
      return errnoOf(cause) ?? 'unknown';
    }
  }

  async #read(name: string): Promise<string | undefined> {
    try {
      return await readFile(this.path(name), 'utf8');
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return undefined;
      throw fileError(this.path(name), 'cannot be read', cause);
    }
  }

  #exportKey(key: KeyObject): string {
    const form = { type: 'pkcs8', format: 'pem' } as const;
    if (this.#passphrase === undefined) return key.export(form).toString();
    return key.export({ ...form, cipher: 'aes-256-cbc', passphrase: this.#passphrase }).toString();
  }
}

const RESTORE = { hint: 'restore it from a backup' };
const GIVE_PASSPHRASE = 'give --passphrase-file FILE, or set MESHPROXY_CA_PASSPHRASE';

function parseRevoked(text: string, path: string): RevocationList {
  try {
    const value: unknown = JSON.parse(text);
    if (isRevocationList(value)) return value;
  } catch {
    // Said below.
  }
  throw new MeshproxyError('file', `${path}: it is not a list of what is revoked, or not whole`, RESTORE);
}

function isRevocationList(value: unknown): value is RevocationList {
  if (typeof value !== 'object' || value === null) return false;
  const { identities, serials }: { identities?: unknown; serials?: unknown } = value;
  return isListOf(identities, 'id') && isListOf(serials, 'serial');
}

function isListOf(value: unknown, key: string): boolean {
  const isEntry = (entry: unknown): boolean =>
    typeof entry === 'object' &&
    entry !== null &&
    typeof Reflect.get(entry, key) === 'string' &&
    Number.isSafeInteger(Reflect.get(entry, 'at'));
  return Array.isArray(value) && value.every(isEntry);
}

/** Whether the process is gone that wrote this into a lock; of another machine's nobody can tell. */
function isDead(owner: string): boolean {
  const [pid = '', host] = owner.trim().split(' ');
  if (!/^\d{1,10}$/.test(pid) || host !== hostname()) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (cause) {
    return errnoOf(cause) === 'ESRCH';
  }
}
