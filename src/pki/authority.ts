/** An authority at work: it issues, it recognises what it has issued, and it notices when its folder says something else. */
import { createHash, type X509Certificate } from 'node:crypto';
import type { Clock, Timer } from '../core/clock.js';
import { describeError, MeshproxyError } from '../core/errors.js';
import {
  authorityIdentity,
  formatSpiffeId,
  isAuthorityIdentity,
  parseSpiffeId,
  type SpiffeId,
} from '../core/identity.js';
import { IssuanceLog } from './issuance-log.js';
import { Issuer } from './issuer.js';
import { activeOf, type CaState } from './state.js';
import type { CaStore } from './store.js';

/** What workloads have to know: whom to trust and whom not. Plain enough to be sent. */
export interface Trust {
  /** Of the content: the same in all processes that serve from one folder. */
  readonly version: string;
  /** PEM: the roots. */
  readonly bundle: string;
  readonly revoked: {
    readonly identities: readonly string[];
    readonly serials: readonly string[];
    /** SHA-256 of roots that have left the bundle in order, when nothing lived any more that led to them. */
    readonly retiredRoots: readonly string[];
  };
  /** Of the issuer in force. A workload whose certificate is another's should renew it. */
  readonly issuer: string;
}

export interface IssueOrder {
  /** DER of the SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  readonly identity: SpiffeId;
  readonly lifetimeMs: number;
  /** Who asked, and by what right: for the log. */
  readonly requester: string;
}

export interface Issued {
  /** PEM: the leaf, then its issuer. */
  readonly chain: string;
  readonly identity: string;
  readonly serial: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** What a certificate turned out to be that somebody showed. Whether it has expired is not looked at. */
export type Recognized =
  | { readonly kind: 'ours'; readonly identity: SpiffeId; readonly serial: string; readonly notAfter: number }
  | { readonly kind: 'refused'; readonly revoked: boolean; readonly why: string };

export interface AuthorityOptions {
  readonly store: CaStore;
  readonly clock: Clock;
  /** Told of what the folder says anew, and of what is wrong with it. */
  say?(level: 'info' | 'error', message: string): void;
}

/** A change that another process has made is noticed within so long, ms. Two `stat` each time. */
const LOOK_MS = 400;

/** What is in force, read from the folder as a whole. */
interface Loaded {
  readonly state: CaState;
  readonly issuer: Issuer;
  readonly issuers: readonly { readonly id: string; readonly certificate: X509Certificate }[];
  readonly trust: Trust;
}

export class Authority {
  readonly #options: AuthorityOptions;
  readonly #log: IssuanceLog;
  readonly #listeners = new Set<(trust: Trust) => void>();
  #loaded: Loaded;
  #version: string;
  #looking: Timer | undefined;
  #complaint: string | undefined;
  #closed = false;

  /** Rejects where the folder holds no authority that can issue. */
  static async open(options: AuthorityOptions): Promise<Authority> {
    const version = await options.store.version();
    const authority = new Authority(options, await load(options.store), version);
    await options.store.writeBundle(authority.state);
    authority.#lookLater();
    return authority;
  }

  private constructor(options: AuthorityOptions, loaded: Loaded, version: string) {
    this.#options = options;
    this.#loaded = loaded;
    this.#version = version;
    this.#log = new IssuanceLog(options.store.directory);
  }

  get state(): CaState {
    return this.#loaded.state;
  }

  get trustDomain(): string {
    return this.#loaded.state.trustDomain;
  }

  get trust(): Trust {
    return this.#loaded.trust;
  }

  /** When the issuing certificate ends, ms since 1970. */
  get issuerNotAfter(): number {
    return this.#loaded.issuer.notAfter;
  }

  /** Whether no more is to be issued for it. */
  isRevoked(identity: SpiffeId): boolean {
    return this.trust.revoked.identities.includes(formatSpiffeId(identity));
  }

  /** Calls `listener` with each trust that differs, until the function it returns is called. */
  onTrust(listener: (trust: Trust) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Resolves when it is in the log, on the disk. Rejects `bad-identity` for one that is revoked, reserved or another's. */
  async issue(order: IssueOrder): Promise<Issued> {
    const identity = formatSpiffeId(order.identity);
    if (isAuthorityIdentity(order.identity)) {
      throw new MeshproxyError('bad-identity', `${identity} is the authority's own name, which no workload gets`);
    }
    if (this.isRevoked(order.identity)) {
      throw new MeshproxyError('bad-identity', `${identity} is revoked: nothing is issued for it any more`, {
        hint: `to allow it again: meshproxy ca revoke --undo --identity ${identity}`,
      });
    }
    return this.#issue(order);
  }

  /** A certificate of the authority's own service. */
  issueOwn(spki: Uint8Array, lifetimeMs: number): Promise<Issued> {
    return this.#issue({
      spki,
      lifetimeMs,
      identity: authorityIdentity(this.trustDomain),
      requester: 'the authority itself',
    });
  }

  /**
   * Whether a certificate that was shown is one of ours. Verified here, by our own keys: of a peer that is let in to be
   * looked at, OpenSSL reports the last thing it found wrong and not all of them, and an expired forgery would pass for expired.
   */
  recognize(leaf: X509Certificate): Recognized {
    const refused = (why: string, revoked = false): Recognized => ({ kind: 'refused', revoked, why });
    const { issuers, trust } = this.#loaded;
    const isFrom = (certificate: X509Certificate): boolean =>
      leaf.checkIssued(certificate) && leaf.verify(certificate.publicKey);
    if (leaf.ca) return refused('it is no certificate of a workload');
    if (!issuers.some(({ certificate }) => isFrom(certificate))) return refused('this authority did not issue it');
    const identity = identityOf(leaf);
    if (identity === undefined) return refused('it names no workload');
    const serial = leaf.serialNumber.toLowerCase();
    const id = formatSpiffeId(identity);
    if (trust.revoked.identities.includes(id)) return refused(`${id} is revoked`, true);
    if (trust.revoked.serials.includes(serial))
      return refused(`the certificate with serial ${serial} is revoked`, true);
    return { kind: 'ours', identity, serial, notAfter: Date.parse(leaf.validTo) };
  }

  /** Reads the folder again now, if it has changed. Where it is broken, what was read before stays in force. */
  async look(): Promise<void> {
    const { store, say } = this.#options;
    try {
      const version = await store.version();
      if (version === this.#version || this.#closed) return;
      const loaded = await load(store);
      this.#version = version;
      this.#complaint = undefined;
      this.#adopt(loaded);
    } catch (error) {
      const complaint = describeError(error);
      if (complaint !== this.#complaint) say?.('error', `${complaint}; what was read before stays in force`);
      this.#complaint = complaint;
    }
  }

  /** Resolves when what was to be logged is. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#looking?.cancel();
    this.#listeners.clear();
    await this.#log.close();
  }

  async #issue({ spki, identity, lifetimeMs, requester }: IssueOrder): Promise<Issued> {
    const { issuer, trust } = this.#loaded;
    const at = this.#options.clock.wall();
    const { certificate, serial, notBefore, notAfter } = issuer.issue({ spki, identity, lifetimeMs, now: at });
    const id = formatSpiffeId(identity);
    await this.#log.append({ at, serial, identity: id, notAfter, issuer: trust.issuer, requester });
    return { chain: certificate + issuer.chain, identity: id, serial, notBefore, notAfter };
  }

  #lookLater(): void {
    if (this.#closed) return;
    this.#looking = this.#options.clock.after(LOOK_MS, () => void this.look().then(() => this.#lookLater()));
  }

  #adopt(loaded: Loaded): void {
    const before = this.#loaded;
    this.#loaded = loaded;
    if (loaded.trust.version === before.trust.version) return;
    this.#options.say?.('info', differenceOf(before.trust, loaded.trust));
    for (const listener of this.#listeners) listener(loaded.trust);
  }
}

async function load(store: CaStore): Promise<Loaded> {
  const state = await store.readState();
  const { trustDomain } = state;
  const active = activeOf(state.issuers);
  const key = await store.readKey(`issuer-${active.id}`);
  if (key === undefined) {
    throw new MeshproxyError('file', `${store.path(`issuer-${active.id}.key`)}: the key of the issuer is not there`, {
      hint: 'restore it from a backup, or replace the issuer: meshproxy ca rotate issuer',
    });
  }
  const issuers = await Promise.all(
    state.issuers.map(async ({ id }) => ({ id, certificate: await store.readCertificate(`issuer-${id}`) })),
  );
  const certificate = issuers.find(({ id }) => id === active.id)?.certificate;
  const issuer = new Issuer(String(certificate), key, trustDomain);
  const { identities, serials } = await store.readRevoked();
  const revoked = {
    identities: identities.map(({ id }) => id),
    serials: serials.map(({ serial }) => serial),
    retiredRoots: await store.retiredRoots(state),
  };
  const content = { bundle: await store.bundleOf(state), revoked, issuer: active.id };
  const version = createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 32);
  return { state, issuer, issuers, trust: { version, ...content } };
}

function identityOf(leaf: X509Certificate): SpiffeId | undefined {
  const [only, second] = (leaf.subjectAltName ?? '').split(', ');
  if (only === undefined || second !== undefined || !only.startsWith('URI:')) return undefined;
  try {
    return parseSpiffeId(only.slice('URI:'.length));
  } catch {
    return undefined;
  }
}

function differenceOf(before: Trust, now: Trust): string {
  const changes = [
    before.issuer === now.issuer ? '' : `issuer ${now.issuer} signs from now on, in place of ${before.issuer}`,
    before.bundle === now.bundle ? '' : 'the trust bundle holds other roots',
    before.revoked.identities.length + before.revoked.serials.length ===
    now.revoked.identities.length + now.revoked.serials.length
      ? ''
      : 'what is revoked has changed',
  ].filter((change) => change !== '');
  return changes.join('; ') || 'what is trusted has changed';
}
