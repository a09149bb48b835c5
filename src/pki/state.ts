/**
 * What an authority's folder says of itself, in `ca.json`: which roots are trusted, which issuer signs. It is the one
 * file whose replacement puts a change in force; all others are written before it, under names of their own.
 */
import { MeshproxyError } from '../core/errors.js';
import { parseTrustDomain } from '../core/identity.js';

/**
 * `next` is known and does not sign yet; `old` signs no more, and what it has signed still lives; `retired` has no key any
 * more: such an issuer is known for those who renew an expired certificate of its, such a root has left the bundle in
 * order, so that connections are left alone that were opened while it was in. Exactly one is `active`.
 */
export type Role = 'next' | 'active' | 'old' | 'retired';

/** A certificate and its key, in `root-ID.crt` and `root-ID.key`, or `issuer-…`. */
export interface Member {
  /** The first 8 hexadecimal digits of its key identifier, as in its certificate's name. */
  readonly id: string;
  readonly role: Role;
  /** When it came to this role, ms since 1970. */
  readonly since: number;
}

export interface IssuerMember extends Member {
  /** The root that it chains to. */
  readonly root: string;
}

export interface CaState {
  readonly trustDomain: string;
  /** All of them are in the trust bundle, but those that are retired. */
  readonly roots: readonly Member[];
  readonly issuers: readonly IssuerMember[];
}

const VERSION = 1;
const ID = /^[0-9a-f]{8}$/;
const ROLES: ReadonlySet<unknown> = new Set(['next', 'active', 'old', 'retired']);
/** More are a mistake: of each kind there are two while one replaces the other, and some that are retired. */
const MOST_MEMBERS = 64;

export function formatState(state: CaState): string {
  return `${JSON.stringify({ version: VERSION, ...state }, undefined, 2)}\n`;
}

/** @throws MeshproxyError `file` that names `path` and says what is wrong */
export function parseState(text: string, path: string): CaState {
  const state = parseObject(text, path);
  if (state['version'] !== VERSION) {
    throw bad(path, `its version is ${JSON.stringify(state['version'])}; this program knows ${VERSION}`);
  }
  const { trustDomain, roots, issuers } = state;
  if (typeof trustDomain !== 'string') throw bad(path, 'it names no trust domain');
  if (!isMembers(roots) || !isIssuers(issuers)) throw bad(path, 'its list of roots or issuers is broken');
  const known = new Set(roots.map(({ id }) => id));
  const stranger = issuers.find(({ root }) => !known.has(root));
  if (stranger !== undefined)
    throw bad(path, `issuer ${stranger.id} chains to ${stranger.root}, which it does not list`);
  return { trustDomain: parseTrustDomain(trustDomain), roots, issuers };
}

/** The one that signs. */
export function activeOf<M extends Member>(members: readonly M[]): M {
  const active = members.find(({ role }) => role === 'active');
  if (active === undefined) throw new Error('unreachable: one is active, or the state would not have been read');
  return active;
}

function parseObject(text: string, path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return { ...value };
  } catch {
    // Said below.
  }
  throw bad(path, 'it is not JSON, or not whole');
}

function isMembers(value: unknown): value is readonly Member[] {
  return (
    Array.isArray(value) &&
    value.length <= MOST_MEMBERS &&
    value.every(isMember) &&
    value.filter(({ role }) => role === 'active').length === 1
  );
}

function isIssuers(value: unknown): value is readonly IssuerMember[] {
  return isMembers(value) && value.every((member) => 'root' in member && ID.test(String(member.root)));
}

function isMember(value: unknown): value is Member {
  if (typeof value !== 'object' || value === null) return false;
  const { id, role, since }: { id?: unknown; role?: unknown; since?: unknown } = value;
  return typeof id === 'string' && ID.test(id) && ROLES.has(role) && Number.isSafeInteger(since);
}

function bad(path: string, why: string): MeshproxyError {
  return new MeshproxyError('file', `${path}: ${why}`, {
    hint: 'restore it from a backup; certificates and keys beside it are not touched',
  });
}
