/** What the service shows to its clients: a leaf of the authority's own identity, renewed long before its end. */
import { backoffMs } from '../core/backoff.js';
import type { Clock, Timer } from '../core/clock.js';
import type { Authority } from './authority.js';
import { newKeys } from './init.js';
import { spkiOf } from './x509.js';

export interface Credential {
  /** PEM: the leaf, then its issuer. */
  readonly chain: string;
  /** PEM. Never written to a disk. */
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface CredentialOptions {
  readonly authority: Pick<Authority, 'trust' | 'onTrust' | 'issueOwn'>;
  readonly lifetimeMs: number;
  readonly clock: Clock;
  /** Between 0 and 1. */
  random(): number;
  renewed(credential: Credential): void;
  failed(error: unknown): void;
}

/** As workloads do: a third of the life is left for attempts. */
const RENEW_AT = 2 / 3;
/** Of that, so much at random: processes that were started together do not renew together. */
const JITTER = 1 / 20;
/** The disk or the issuer's file is what is in the way; both are looked after by people. */
const RETRY = { baseMs: 1000, maxMs: 60_000 };

export class ServiceCredential {
  readonly #options: CredentialOptions;
  readonly #unsubscribe: () => void;
  #current: Credential;
  #issuer: string;
  #timer: Timer | undefined;
  #failures = 0;
  #stopped = false;

  /** Issues the first one. Rejects as `Authority.issue` does. */
  static async obtain(options: CredentialOptions): Promise<ServiceCredential> {
    const { issuer } = options.authority.trust;
    return new ServiceCredential(options, await issueOne(options), issuer);
  }

  private constructor(options: CredentialOptions, first: Credential, issuer: string) {
    this.#options = options;
    this.#current = first;
    this.#issuer = issuer;
    this.#unsubscribe = options.authority.onTrust(() => {
      // A new issuer signs from now on: clients may soon trust it alone.
      if (options.authority.trust.issuer !== this.#issuer) void this.#renew();
    });
    this.#schedule();
  }

  get current(): Credential {
    return this.#current;
  }

  /** Idempotent. */
  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
    this.#timer?.cancel();
  }

  #schedule(): void {
    const { clock, random } = this.#options;
    const { notBefore, notAfter } = this.#current;
    const dueAt = notBefore + (notAfter - notBefore) * (RENEW_AT - JITTER * random());
    this.#after(Math.max(dueAt - clock.wall(), RETRY.baseMs));
  }

  #after(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(delayMs, () => void this.#renew());
  }

  async #renew(): Promise<void> {
    const { authority, random, renewed, failed } = this.#options;
    const { issuer } = authority.trust;
    try {
      const next = await issueOne(this.#options);
      if (this.#stopped) return;
      this.#current = next;
      this.#issuer = issuer;
      this.#failures = 0;
      this.#schedule();
      renewed(next);
    } catch (error) {
      if (this.#stopped) return;
      this.#failures += 1;
      this.#after(backoffMs(this.#failures, RETRY, random()));
      failed(error);
    }
  }
}

async function issueOne({ authority, lifetimeMs }: CredentialOptions): Promise<Credential> {
  const { publicKey, privateKey } = newKeys();
  const { chain, notBefore, notAfter } = await authority.issueOwn(spkiOf(publicKey), lifetimeMs);
  return { chain, key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })), notBefore, notAfter };
}
