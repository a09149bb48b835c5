/**
 * Keeps a workload's identity fresh: gets the first certificate by a token, each next one by the last, well before its
 * end, and follows whom to trust. Whatever goes wrong is tried again while the old one serves; and when that has expired
 * all the same, the authority still takes it within its grace period, so that nobody is locked out by an outage.
 */
import { backoffMs } from '../core/backoff.js';
import { type Clock, sleep } from '../core/clock.js';
import { describeError } from '../core/errors.js';
import { formatSpiffeId } from '../core/identity.js';
import { formatDuration } from '../core/units.js';
import type { Trust } from './authority.js';
import { type CaCalls, CaRefusal } from './ca-client.js';
import { join, joined, renew } from './enrolment.js';
import { checkBundle, type KeptIdentity, loadKept, saveIdentity, saveTrust } from './kept-identity.js';

export interface RenewerOptions {
  readonly client: CaCalls;
  /** Where the identity is kept. */
  readonly directory: string;
  /** Holds the token for the first certificate. It is not read where there is an identity already. */
  readonly tokenFile: string | undefined;
  readonly clock: Clock;
  /** Between 0 and 1. */
  random(): number;
  say(level: 'info' | 'warn' | 'error', message: string): void;
}

export interface RenewerStatus {
  /** The authority that is asked next. */
  readonly authority: string;
  /** ms since 1970. */
  readonly nextRenewal: number;
  readonly renewals: { readonly done: number; readonly failed: number };
  /** Why the last one failed, and since when they do, ms since 1970; absent where it did not. */
  readonly failing?: { readonly since: number; readonly error: string };
}

/** At two thirds of its life, as smallstep has it; a third is left for an authority that is down. */
const RENEW_AT = 2 / 3;
/** Of its life, to either side, so that workloads that were started together do not renew together. */
const JITTER = 1 / 20;
/** Between two attempts. */
const RETRY = { baseMs: 1000, maxMs: 60_000 };
/** A new issuer: all are to renew, and not all at once, ms and as a part of a life. */
const SPREAD = { mostMs: 5 * 60_000, ofLife: 1 / 12 };
/**
 * The authority keeps a question for so long at most, ms. Ten thousand that ask again every ten minutes cost it half of a
 * hundredth of a core; and so long does it take at most to notice that it has gone without a word.
 */
const LONGEST_WAIT_MS = 600_000;
/** An answer that says nothing new, sooner than it was to come: not asked again at once, ms. */
const LEAST_INTERVAL_MS = 1000;
/** Of failures that go on, one line for so many. */
const REPEAT_EVERY = 10;
/** Asking again will not help. */
const FINAL: ReadonlySet<string | undefined> = new Set([
  'token-spent',
  'token-expired',
  'token-unknown',
  'revoked',
  'bad-request',
]);

/** When a certificate is to be renewed, ms since 1970. @param random between 0 and 1 */
export function renewalAt(
  { notBefore, notAfter }: Pick<KeptIdentity, 'notBefore' | 'notAfter'>,
  random: number,
): number {
  return notBefore + (notAfter - notBefore) * (RENEW_AT + (2 * random - 1) * JITTER);
}

/** The same once another issuer signs. @param dueAt when it was to be renewed until then */
export function renewalUnderNewIssuer(
  { notBefore, notAfter }: Pick<KeptIdentity, 'notBefore' | 'notAfter'>,
  dueAt: number,
  now: number,
  random: number,
): number {
  return Math.min(dueAt, now + random * Math.min(SPREAD.mostMs, (notAfter - notBefore) * SPREAD.ofLife));
}

/** How long the authority is asked to keep a question, ms. */
export function waitFor(dueAt: number, now: number): number {
  return Math.min(LONGEST_WAIT_MS, dueAt - now);
}

interface State {
  readonly kept: KeptIdentity;
  readonly bundle: string;
}

export class Renewer {
  readonly #options: RenewerOptions;
  readonly #stopped = new AbortController();
  #state: State | undefined;
  #dueAt = 0;
  #failures = 0;
  #trustVersion: string | undefined;
  /** How often in a row the trust could not be followed. */
  #deaf = 0;
  #failing: { readonly since: number; readonly error: string } | undefined;
  #counts = { done: 0, failed: 0 };

  constructor(options: RenewerOptions) {
    this.#options = options;
  }

  get status(): RenewerStatus {
    return {
      authority: this.#options.client.address,
      nextRenewal: this.#dueAt,
      renewals: { ...this.#counts },
      ...(this.#failing && { failing: this.#failing }),
    };
  }

  /**
   * Resolves when there is an identity in the folder: at once where there was one, however old, or when the authority has
   * given the first. From then on it is kept fresh until `stop`.
   * @param withinMs rejects with what stands in the way, where there is none by then
   */
  async start(withinMs: number): Promise<void> {
    this.#state = await this.#fromDisk();
    if (this.#state === undefined) await this.#joinWithin(withinMs);
    this.#schedule();
    void this.#run();
  }

  /** Idempotent. */
  stop(): void {
    this.#stopped.abort();
    this.#options.client.close();
  }

  async #fromDisk(): Promise<State | undefined> {
    const { directory, tokenFile, say } = this.#options;
    try {
      return await loadKept(directory);
    } catch (error) {
      if (tokenFile === undefined) throw error;
      say('error', `${describeError(error)}; joining anew with the token in ${tokenFile}`);
      return undefined;
    }
  }

  async #joinWithin(withinMs: number): Promise<void> {
    const { clock, random, say } = this.#options;
    const deadline = clock.now() + withinMs;
    for (let failures = 1; ; failures += 1) {
      try {
        return await this.#join();
      } catch (error) {
        const waitMs = this.#waitAfter(error, failures, random());
        const isFinal = !(error instanceof CaRefusal) || FINAL.has(error.refusal);
        if (isFinal || clock.now() + waitMs > deadline || this.#stopped.signal.aborted) throw error;
        if (failures === 1) say('warn', `no identity yet: ${describeError(error)}; trying again`);
        await sleep(clock, waitMs, this.#stopped.signal);
      }
    }
  }

  async #join(): Promise<void> {
    const { client, directory, tokenFile, clock, say } = this.#options;
    const got = await join({ client, directory, tokenFile, now: clock.wall() }, this.#stopped.signal);
    await this.#adopt(got.kept, got.trust);
    await joined(directory);
    say('info', `${formatSpiffeId(got.kept.identity)} has joined: its certificate is valid for ${this.#left()}`);
  }

  /** One question at a time, over one connection: whom to trust, until it is time for another certificate. */
  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      if (clock.wall() >= this.#dueAt) await this.#renew();
      else await this.#followTrust();
    }
  }

  #schedule(): void {
    this.#dueAt = renewalAt(this.#current.kept, this.#options.random());
  }

  async #renew(): Promise<void> {
    const { client, say } = this.#options;
    const { kept, bundle } = this.#current;
    try {
      const got = await renew({ client, kept, bundle }, this.#stopped.signal);
      await this.#adopt(got.kept, got.trust);
      this.#counts.done += 1;
      if (this.#failing) {
        say('info', `the certificate of ${formatSpiffeId(kept.identity)} is renewed at last: ${this.#left()}`);
      }
      this.#recovered();
    } catch (error) {
      if (!this.#stopped.signal.aborted) await this.#failed(error);
    }
  }

  #recovered(): void {
    this.#failures = 0;
    this.#failing = undefined;
    this.#schedule();
  }

  async #failed(error: unknown): Promise<void> {
    const { clock, random, say } = this.#options;
    const words = describeError(error);
    this.#counts.failed += 1;
    this.#failures += 1;
    const isNews = this.#failing?.error !== words || this.#failures % REPEAT_EVERY === 0;
    this.#failing = { since: this.#failing?.since ?? clock.wall(), error: words };
    if (error instanceof CaRefusal && error.refusal === 'unauthorized' && (await this.#joinAgain())) return;
    if (isNews) {
      say('warn', `the certificate is not renewed: ${words}; it is valid for ${this.#left()}, and it is tried again`);
    }
    this.#dueAt = clock.wall() + this.#waitAfter(error, this.#failures, random());
  }

  /** The authority does not know this workload any more. Somebody may have put a new token there. */
  async #joinAgain(): Promise<boolean> {
    if (this.#options.tokenFile === undefined) return false;
    try {
      await this.#join();
      this.#recovered();
      return true;
    } catch {
      return false;
    }
  }

  /** Until there is news, a certificate is due, or nothing comes of it. */
  async #followTrust(): Promise<void> {
    const { client, clock, random, say } = this.#options;
    const { signal } = this.#stopped;
    const { kept, bundle } = this.#current;
    const askedAt = clock.now();
    const waitS = Math.ceil(waitFor(this.#dueAt, clock.wall()) / 1000);
    const session = { trustDomain: kept.identity.trustDomain, bundle, credential: kept };
    try {
      const trust = await client.trust(session, this.#trustVersion, waitS, signal);
      const isNews = trust.version !== this.#trustVersion;
      if (isNews) await this.#adoptTrust(trust);
      this.#trustVersion = trust.version;
      this.#deaf = 0;
      const early = LEAST_INTERVAL_MS - (clock.now() - askedAt);
      if (!isNews && early > 0) await sleep(clock, early, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#deaf += 1;
      if (this.#deaf % REPEAT_EVERY === 1) {
        say('warn', `whom to trust cannot be followed: ${describeError(error)}; trying again`);
      }
      const waitMs = this.#waitAfter(error, this.#deaf, random());
      await sleep(clock, Math.min(waitMs, Math.max(0, this.#dueAt - clock.wall())), signal);
    }
  }

  async #adopt(kept: KeptIdentity, trust: Trust): Promise<void> {
    const { directory } = this.#options;
    checkBundle(trust);
    await saveTrust(directory, trust);
    await saveIdentity(directory, kept);
    this.#state = { kept, bundle: trust.bundle };
  }

  async #adoptTrust(trust: Trust): Promise<void> {
    const { directory, clock, random } = this.#options;
    checkBundle(trust);
    await saveTrust(directory, trust);
    const { kept } = this.#current;
    this.#state = { kept, bundle: trust.bundle };
    if (trust.issuer === kept.issuer) return;
    this.#dueAt = renewalUnderNewIssuer(kept, this.#dueAt, clock.wall(), random());
  }

  #waitAfter(error: unknown, failures: number, random: number): number {
    const wanted = error instanceof CaRefusal ? (error.retryAfterMs ?? 0) : 0;
    return Math.max(wanted, backoffMs(failures, RETRY, random));
  }

  get #current(): State {
    if (this.#state === undefined) throw new Error('unreachable: it has started, so there is an identity');
    return this.#state;
  }

  #left(): string {
    const ms = this.#current.kept.notAfter - this.#options.clock.wall();
    return ms > 0 ? formatDuration(Math.round(ms / 1000) * 1000) : 'no longer';
  }
}
