/** What is revoked: one certificate by its serial, or a workload with all it has and could get. */
import { MeshproxyError } from '../core/errors.js';
import { formatSpiffeId, type SpiffeId } from '../core/identity.js';
import { livingLeaves } from './rotate.js';
import type { CaStore, RevocationList } from './store.js';

export type Target =
  | { readonly kind: 'serial'; readonly serial: string }
  | { readonly kind: 'identity'; readonly identity: SpiffeId };

export interface RevokeOptions {
  readonly reason: string;
  /** Takes it back. */
  readonly undo: boolean;
}

export interface RevocationChange {
  /** False where it was so already. */
  readonly changed: boolean;
  /** Certificates that live and are hit by it. */
  readonly hit: number;
}

/** No certificate lives, or can be renewed, so long after it was revoked: then its serial need not be remembered. */
const REMEMBERED_MS = 30 * 86_400_000;

/** @throws MeshproxyError `usage` for a serial that nothing alive has, `file` */
export function revoke(store: CaStore, target: Target, options: RevokeOptions, now: number): Promise<RevocationChange> {
  return store.alone(async () => {
    const { trustDomain } = await store.readState();
    const before = await store.readRevoked();
    const key = target.kind === 'serial' ? target.serial : formatSpiffeId(target.identity);
    if (target.kind === 'identity' && target.identity.trustDomain !== trustDomain) {
      throw new MeshproxyError(
        'bad-identity',
        `this authority is of ${trustDomain}, not of ${target.identity.trustDomain}`,
      );
    }
    const leaves = (await livingLeaves(store, now)).filter(
      ({ serial, identity }) => serial === key || identity === key,
    );
    const isKnown = before.serials.some(({ serial }) => serial === key);
    if (target.kind === 'serial' && leaves.length === 0 && !isKnown) {
      throw new MeshproxyError('usage', `no certificate that lives has the serial ${key}`, {
        hint: 'compare it with meshproxy ca inspect FILE; what has expired need not be revoked',
      });
    }
    const after = changed(before, target.kind, key, options, now);
    if (after !== undefined && !options.undo) checkSize(after);
    if (after !== undefined) await store.writeRevoked(after);
    return { changed: after !== undefined, hit: leaves.length };
  });
}

/** Everybody gets the whole list, and takes no answer of more than 8 MB (ca-client.ts). */
const MOST_REVOKED_BYTES = 6 * 1024 * 1024;

function checkSize({ identities, serials }: RevocationList): void {
  const keys = [...identities.map(({ id }) => id), ...serials.map(({ serial }) => serial)];
  if (JSON.stringify(keys).length <= MOST_REVOKED_BYTES) return;
  throw new MeshproxyError('usage', `${keys.length} are revoked: with one more, proxies would not take the list`, {
    hint: 'take back what is needed no more (--undo), or replace the root: meshproxy ca rotate root',
  });
}

function changed(
  { identities, serials }: RevocationList,
  kind: Target['kind'],
  key: string,
  { reason, undo }: RevokeOptions,
  now: number,
): RevocationList | undefined {
  const listed =
    kind === 'serial' ? serials.some(({ serial }) => serial === key) : identities.some(({ id }) => id === key);
  if (listed !== undo) return undefined;
  const entry = { at: now, reason };
  const remembered = serials.filter(({ at }) => now - at < REMEMBERED_MS);
  return {
    identities:
      kind === 'serial'
        ? identities
        : undo
          ? identities.filter(({ id }) => id !== key)
          : [...identities, { id: key, ...entry }],
    serials:
      kind === 'identity'
        ? remembered
        : undo
          ? remembered.filter(({ serial }) => serial !== key)
          : [...remembered, { serial: key, ...entry }],
  };
}
