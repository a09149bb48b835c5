/**
 * The join tokens that an authority has given out, as files that all of its processes share. A token's record holds no
 * secret, only its hash. The first redemption claims the token for the key of its request by making a file that can be
 * made only once; so a workload whose answer was lost can ask again with the same key, and nobody else can.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, MeshproxyError } from '../core/errors.js';
import { formatSpiffeId, parseSpiffeId, type SpiffeId } from '../core/identity.js';
import { formatJoinToken, type JoinToken } from './join-token.js';
import { fileError, SECRET_MODE, syncFolder, writeWhole } from './safe-files.js';

export interface TokenSpec {
  readonly identity: SpiffeId;
  readonly ttlMs: number;
  /** Fingerprints, as `JoinToken` has them. */
  readonly roots: readonly string[];
  readonly ca?: string;
}

/** Times are milliseconds since 1970. */
export interface TokenRecord {
  /** 16 hexadecimal digits. Not a secret: the beginning of the secret's hash. */
  readonly id: string;
  readonly identity: string;
  readonly createdAt: number;
  readonly expires: number;
  /** The redemption, if there was one; `key` is the SHA-256 of the SubjectPublicKeyInfo. */
  readonly claim: { readonly at: number; readonly key: string } | undefined;
}

export type Redemption =
  | { readonly kind: 'claimed'; readonly id: string; readonly identity: SpiffeId }
  | {
      readonly kind: 'refused';
      readonly code: 'token-unknown' | 'token-expired' | 'token-spent';
      readonly id: string;
      readonly why: string;
    };

/** Long enough to start a workload with it, short enough to be worthless when somebody finds it. */
export const TOKEN_TTL_MS = 3_600_000;
export const MIN_TOKEN_TTL_MS = 60_000;
export const MAX_TOKEN_TTL_MS = 86_400_000;

/** Records are kept beyond their end, for people to see and for machines whose clocks are slow. */
const KEEP_MS = 3_600_000;
const UNKNOWN = 'this authority knows no such join token, or it was revoked';
const ID = /^[0-9a-f]{16}$/;

export class TokenStore {
  readonly #folder: string;

  /** @param directory the authority's; the tokens are in `tokens/` below */
  constructor(directory: string) {
    this.#folder = join(directory, 'tokens');
  }

  /**
   * @returns the token itself, which is nowhere else, and its id
   * @throws MeshproxyError `file`
   */
  async create({ identity, ttlMs, ...rest }: TokenSpec, now: number): Promise<{ id: string; token: string }> {
    const secret = randomBytes(32).toString('base64url');
    const hash = hashOf(secret);
    const id = idOf(hash);
    const expires = now + ttlMs;
    const token = formatJoinToken({ secret, identity, expires, ...rest });
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const record = { version: 1, identity: formatSpiffeId(identity), hash, createdAt: now, expires };
    await this.#createFile(`${id}.json`, record);
    return { id, token };
  }

  /**
   * Exactly one key can redeem a token, whichever process is asked. Resolves when that is on the disk.
   * @param key DER of the SubjectPublicKeyInfo of the request
   */
  async redeem({ secret, identity, expires }: JoinToken, key: Uint8Array, now: number): Promise<Redemption> {
    const hash = hashOf(secret);
    const id = idOf(hash);
    const refuse = (code: (Redemption & { kind: 'refused' })['code'], why: string): Redemption => {
      return { kind: 'refused', code, id, why };
    };
    const record = await this.#record(id);
    if (record === undefined || record.hash !== hash || record.identity !== formatSpiffeId(identity)) {
      if (expires <= now) return refuse('token-expired', expiredSince(expires));
      return refuse('token-unknown', UNKNOWN);
    }
    if (record.expires <= now) return refuse('token-expired', expiredSince(record.expires));
    const claim = { key: hashOf(key), at: now };
    if ((await this.#claim(id)) === undefined) await this.#createFile(`${id}.claim`, claim);
    // It may just have been revoked, and its claim removed with it: then another key may have claimed it in between.
    const [first, still] = [await this.#claim(id), await this.#record(id)];
    if (first === undefined || still === undefined) return refuse('token-unknown', UNKNOWN);
    if (first.key !== claim.key) {
      return refuse('token-spent', `this join token was used at ${isoTime(first.at)}, for another key`);
    }
    // Of whoever made the claim, before anything follows from it.
    await syncFolder(this.#folder);
    return { kind: 'claimed', id, identity };
  }

  /** The newest first. */
  async list(): Promise<TokenRecord[]> {
    const names = await this.#names();
    const ids = names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length));
    const records = await Promise.all(
      ids.map(async (id): Promise<TokenRecord | undefined> => {
        const record = await this.#record(id);
        if (record === undefined) return undefined;
        const { identity, createdAt, expires } = record;
        return { id, identity, createdAt, expires, claim: await this.#claim(id) };
      }),
    );
    return records.filter((record) => record !== undefined).sort((one, other) => other.createdAt - one.createdAt);
  }

  /** False where there is none with that id. A certificate that it was redeemed for stays valid. */
  async revoke(id: string): Promise<boolean> {
    if (!ID.test(id)) return false;
    const was = await this.#remove(`${id}.json`);
    // Only then: without its claim, a token could be redeemed once more.
    await this.#remove(`${id}.claim`);
    if (was) await syncFolder(this.#folder);
    return was;
  }

  /** Removes what expired long ago, and what a process that was killed has left. Resolves with how many tokens are gone. */
  async sweep(now: number): Promise<number> {
    const old = (await this.list()).filter(({ expires }) => expires + KEEP_MS <= now);
    for (const { id } of old) await this.revoke(id);
    const names = await this.#names();
    const orphans = names.filter((name) => name.endsWith('.claim') && !names.includes(name.replace('.claim', '.json')));
    for (const name of orphans) await this.#removeOld(name, now);
    for (const name of names.filter((one) => one.startsWith('.'))) await this.#removeOld(name, now);
    return old.length;
  }

  async #record(id: string): Promise<StoredToken | undefined> {
    if (!ID.test(id)) return undefined;
    const value = await this.#read(`${id}.json`);
    if (value === undefined || isStoredToken(value)) return value;
    throw this.#broken(`${id}.json`);
  }

  async #claim(id: string): Promise<TokenRecord['claim']> {
    const value = await this.#read(`${id}.claim`);
    if (value === undefined || isClaim(value)) return value;
    throw this.#broken(`${id}.claim`);
  }

  async #read(name: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    try {
      const value: unknown = JSON.parse(await readFile(this.#path(name), 'utf8'));
      return typeof value === 'object' && value !== null ? { ...value } : {};
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return undefined;
      if (cause instanceof SyntaxError) return {};
      throw fileError(this.#path(name), 'cannot be read', cause);
    }
  }

  /** Nothing happens where there is one already. */
  async #createFile(name: string, contents: object): Promise<void> {
    const options = { mode: SECRET_MODE, how: 'create' } as const;
    await writeWhole(this.#path(name), `${JSON.stringify(contents)}\n`, options).catch(unlessErrno('EEXIST'));
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  async #names(): Promise<string[]> {
    try {
      return await readdir(this.#folder);
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return [];
      throw fileError(this.#folder, 'cannot be read', cause);
    }
  }

  async #removeOld(name: string, now: number): Promise<void> {
    const { mtimeMs = now } = (await stat(this.#path(name)).catch(unlessErrno('ENOENT'))) ?? {};
    if (mtimeMs + KEEP_MS <= now) await this.#remove(name);
  }

  async #remove(name: string): Promise<boolean> {
    try {
      await unlink(this.#path(name));
      return true;
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return false;
      throw fileError(this.#path(name), 'cannot be removed', cause);
    }
  }

  #broken(name: string): MeshproxyError {
    return new MeshproxyError('file', `${this.#path(name)}: this is no record of a join token`, {
      hint: 'remove it, and make another token where one is needed',
    });
  }
}

interface StoredToken {
  readonly hash: string;
  readonly identity: string;
  readonly createdAt: number;
  readonly expires: number;
}

function isStoredToken(value: object): value is StoredToken {
  const { hash, identity, createdAt, expires } = { ...value } as Partial<Record<keyof StoredToken, unknown>>;
  return isText(hash) && isText(identity) && isIdentity(identity) && isTime(createdAt) && isTime(expires);
}

function isClaim(value: object): value is NonNullable<TokenRecord['claim']> {
  const { key, at } = { ...value } as { key?: unknown; at?: unknown };
  return isText(key) && isTime(at);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value);
}

function isIdentity(text: string): boolean {
  try {
    parseSpiffeId(text);
    return true;
  } catch {
    return false;
  }
}

/** Of a secret of 256 random bits, a plain hash gives nothing away; and of a key, it is its name. */
function hashOf(value: string | Uint8Array): string {
  return createHash('sha256').update(value).digest('hex');
}

function idOf(hash: string): string {
  return hash.slice(0, 16);
}

function expiredSince(at: number): string {
  return `this join token expired at ${isoTime(at)}`;
}

function isoTime(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? 'a time that is none' : date.toISOString();
}

function unlessErrno(expected: string): (cause: unknown) => undefined {
  return (cause) => {
    if (errnoOf(cause) !== expected) throw cause;
  };
}
