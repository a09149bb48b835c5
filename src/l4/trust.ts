/** Who is trusted no more: by a list of what is revoked, or because the root has left the bundle. Pure. */
import { X509Certificate } from 'node:crypto';
import type { Identity } from '../pki/identity-files.js';

/** What is remembered of a peer's certificate as long as the connection lives. One object for all connections with the same one. */
export interface PeerCredential {
  /** Its SPIFFE ID; absent where it has none, as servers outside of the mesh. */
  readonly id: string | undefined;
  /** Hexadecimal, lower case. */
  readonly serial: string;
  /** SHA-256 of the root that its chain ended in: 64 hexadecimal digits; absent where that is not known. */
  readonly root: string | undefined;
}

export class Trust {
  readonly #identities: ReadonlySet<string>;
  readonly #serials: ReadonlySet<string>;
  readonly #retired: ReadonlySet<string>;
  readonly #bundle: string | undefined;
  #roots: ReadonlySet<string> | undefined;

  constructor({ revoked, roots }: Identity) {
    this.#identities = new Set(revoked.identities);
    this.#serials = new Set(revoked.serials);
    this.#retired = new Set(revoked.retiredRoots);
    this.#bundle = roots;
  }

  /** Why what was verified before is trusted no more, in words. */
  refusal({ id, serial, root }: PeerCredential): string | undefined {
    const revoked = this.revocation(id, serial);
    if (revoked !== undefined || this.#bundle === undefined || root === undefined) return revoked;
    // That another root of the bundle may vouch for it as well is not tried: the peer connects again, and is verified anew.
    this.#roots ??= fingerprintsOf(this.#bundle);
    if (this.#roots.has(root) || this.#retired.has(root)) return undefined;
    return `the root that its certificate leads to (${root}) has left the trust bundle`;
  }

  revocation(id: string | undefined, serial: string): string | undefined {
    if (this.#serials.has(serial)) return `its certificate is revoked (serial ${serial})`;
    return id !== undefined && this.#identities.has(id) ? `${id} is revoked` : undefined;
  }
}

/** Lower case, without colons. */
export function fingerprintsOf(bundle: string): ReadonlySet<string> {
  const certificates = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return new Set(certificates.map((pem) => fingerprintOf(new X509Certificate(pem))));
}

export function fingerprintOf({ fingerprint256 }: X509Certificate): string {
  return fingerprint256.replaceAll(':', '').toLowerCase();
}
