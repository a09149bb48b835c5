/**
 * From a name to its addresses and how long they may be kept. Asked in this order: the hosts file; DNS, which alone
 * tells a time to live; and where DNS does not know the name or fails, the system's resolver, which also knows search
 * domains, mDNS and whatever else this machine was set up with.
 */
import { describeError, errnoOf, MeshproxyError } from '../core/errors.js';

export interface Answer {
  /** Both families, in no particular order. Empty for a name that exists and has no address. */
  readonly hosts: readonly string[];
  /** ms; `undefined` where the answer came without a time to live. */
  readonly ttlMs: number | undefined;
  /** The family of which DNS could not tell, where it could of the other; and why. */
  readonly unanswered?: { readonly family: 4 | 6; readonly error: MeshproxyError };
}

/** An address record as a name server sends it. */
export interface AddressRecord {
  readonly address: string;
  /** Seconds. */
  readonly ttl: number;
}

/** The questions that can be asked. Each rejects with the system's own error where there is no answer. */
export interface Lookups {
  /** The hosts file; none where it does not know the name. */
  hosts(name: string): Promise<readonly string[]>;
  /** DNS: IPv4 addresses. An aborted query ends at once, as does one for IPv6. */
  a(name: string, signal: AbortSignal): Promise<readonly AddressRecord[]>;
  /** DNS: IPv6 addresses. */
  aaaa(name: string, signal: AbortSignal): Promise<readonly AddressRecord[]>;
  /** The system's resolver; absent where name servers were configured, which then have the last word. */
  system?(name: string): Promise<readonly string[]>;
}

/** Resolves `name`. Rejects with a `MeshproxyError` that says why and what to check. */
export async function resolveName(name: string, lookups: Lookups, signal: AbortSignal): Promise<Answer> {
  const known = await lookups.hosts(name);
  if (known.length > 0) return { hosts: known, ttlMs: undefined };
  const families = await Promise.allSettled([lookups.a(name, signal), lookups.aaaa(name, signal)]);
  // Where one family fails, the other is still good to connect to.
  const records = families.flatMap((family) => (family.status === 'fulfilled' ? family.value : []));
  if (records.length > 0) {
    const ttlMs = 1000 * Math.min(...records.map(({ ttl }) => ttl));
    const unanswered = unansweredOf(name, families);
    return { hosts: records.map(({ address }) => address), ttlMs, ...(unanswered && { unanswered }) };
  }
  const reasons = families.flatMap((family) => (family.status === 'rejected' ? [family.reason as unknown] : []));
  // That the name exists but has no address is an answer, too.
  const unanswered = reasons.filter((reason) => errnoOf(reason) !== NO_ADDRESS);
  if (unanswered.length === 0) return { hosts: [], ttlMs: undefined };
  if (!lookups.system) throw unresolved(name, unanswered);
  signal.throwIfAborted();
  try {
    return { hosts: await lookups.system(name), ttlMs: undefined };
  } catch (error) {
    throw unresolved(name, [...unanswered, error]);
  }
}

/** A name of which one family has addresses exists: "no such name" of the other means that it has none. */
function unansweredOf(name: string, [a, aaaa]: readonly PromiseSettledResult<unknown>[]): Answer['unanswered'] {
  const failed = a?.status === 'rejected' ? a : aaaa;
  if (failed?.status !== 'rejected') return undefined;
  const errno = errnoOf(failed.reason);
  if (errno === NO_ADDRESS || errno === NO_SUCH_NAME) return undefined;
  return { family: failed === a ? 4 : 6, error: unresolved(name, [failed.reason]) };
}

/** Whether all who were asked say that there is no such name, which is not to say that they cannot tell. */
export function isNoSuchName(error: MeshproxyError): boolean {
  return errnoOf(error) === NO_SUCH_NAME;
}

/** Node's errno for NXDOMAIN. */
const NO_SUCH_NAME = 'ENOTFOUND';
/** The name exists, and has no record of the family. */
const NO_ADDRESS = 'ENODATA';

function unresolved(name: string, reasons: readonly unknown[]): MeshproxyError {
  const why = [...new Set(reasons.map(describeReason))].join('; ');
  return new MeshproxyError('resolve', `cannot resolve ${name}: ${why}`, {
    cause: reasons.find((reason) => errnoOf(reason) !== NO_SUCH_NAME) ?? reasons.at(-1),
    hint: 'check the spelling and the name servers (dns.servers, or else those of this machine)',
  });
}

/** Node has this errno for a name server that cannot be reached, beside an endpoint that refuses. */
function describeReason(reason: unknown): string {
  return errnoOf(reason) === 'ECONNREFUSED' ? 'no name server can be reached (ECONNREFUSED)' : describeError(reason);
}
