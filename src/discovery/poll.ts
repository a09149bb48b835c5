/** Asking again and again, as all sources do that stand on DNS: when an answer has expired, and after a failure. */
import { backoffMs } from '../core/backoff.js';
import { type Clock, sleep } from '../core/clock.js';
import { describeError, MeshproxyError } from '../core/errors.js';
import { formatDuration } from '../core/units.js';
import { isNoSuchName, type Lookups } from './resolver.js';

export interface DnsSettings {
  /** ms. An answer is kept for its time to live, but not shorter and not longer than these. */
  readonly minTtl: number;
  readonly maxTtl: number;
  /** ms. For an answer without a time to live. */
  readonly fallbackTtl: number;
}

export interface DnsOptions {
  readonly settings: DnsSettings;
  readonly lookups: Lookups;
  readonly clock: Clock;
  /** Between 0 and 1; for the jitter of retries. */
  readonly random?: () => number;
}

/** A name server that was restarted is back within seconds; one that is gone is not asked more than four times a minute. */
const RETRY = { baseMs: 2000, maxMs: 30_000 };

/** For all the asking together: a dead name server (6 s) and, after it, the system's resolver at its first try (5 s). */
const RESOLVE_TIMEOUT_MS = 15_000;

/** Whoever has no endpoint refuses everybody: as often as Envoy asks by default. */
const EMPTY_TTL_MS = 5000;

/**
 * How long a name may be said not to exist before its endpoints go, as HAProxy has it (`hold nx 30s`): a name server
 * that has loaded only half of its zone, or is cut off from it (envoy #2691), says so of names that are there again a
 * moment later. A name that exists without such records (NODATA) loses its endpoints at once: somebody took them out of it.
 */
const NO_SUCH_NAME_MS = 30_000;

/** In words, where a name is taken to be gone. */
export const GONE = `there has been no such name for ${formatDuration(NO_SUCH_NAME_MS)}`;

export interface Answer {
  readonly isEmpty: boolean;
  /** ms; `undefined` where the answer came without a time to live. */
  readonly ttlMs: number | undefined;
}

export type Polled<T> =
  | { readonly kind: 'answer'; readonly answer: T }
  /** What was there before is no more: nobody has known the name for a while. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'failed'; readonly error: MeshproxyError };

/** Yields what becomes of each look-up. A name that was never found is taken for a slip of the keyboard: it fails for as long as that lasts. */
export async function* poll<T extends Answer>(
  name: string,
  lookUp: (signal: AbortSignal) => Promise<T>,
  { settings, clock, random = Math.random }: DnsOptions,
  signal: AbortSignal,
): AsyncGenerator<Polled<T>> {
  let answered = false;
  let failures = 0;
  let missingSince: number | undefined;
  while (!signal.aborted) {
    const answer = await ask(name, lookUp, clock, signal);
    if (signal.aborted) return;
    if (!(answer instanceof MeshproxyError)) {
      answered = true;
      failures = 0;
      missingSince = undefined;
      yield { kind: 'answer', answer };
      await sleep(clock, timeToLive(answer, settings), signal);
      continue;
    }
    missingSince = isNoSuchName(answer) ? (missingSince ?? clock.now()) : undefined;
    if (answered && missingSince !== undefined && clock.now() - missingSince >= NO_SUCH_NAME_MS) {
      failures = 0;
      yield { kind: 'gone' };
      await sleep(clock, EMPTY_TTL_MS, signal);
    } else {
      failures += 1;
      yield { kind: 'failed', error: answer };
      await sleep(clock, backoffMs(failures, RETRY, random()), signal);
    }
  }
}

function timeToLive({ isEmpty, ttlMs }: Answer, { minTtl, maxTtl, fallbackTtl }: DnsSettings): number {
  if (isEmpty) return Math.min(fallbackTtl, EMPTY_TTL_MS);
  return ttlMs === undefined ? fallbackTtl : Math.min(maxTtl, Math.max(minTtl, ttlMs));
}

/** Asks once, and never rejects. Ends at the deadline or when `signal` is aborted, whatever the look-up does; queries end with it. */
async function ask<T>(
  name: string,
  lookUp: (signal: AbortSignal) => Promise<T>,
  clock: Clock,
  signal: AbortSignal,
): Promise<T | MeshproxyError> {
  const stop = new AbortController();
  const onStop = (): void => stop.abort();
  const deadline = clock.after(RESOLVE_TIMEOUT_MS, onStop);
  signal.addEventListener('abort', onStop, { once: true });
  const stopped = new Promise<MeshproxyError>((resolve) => {
    stop.signal.addEventListener('abort', () => resolve(noAnswer(name)), { once: true });
  });
  try {
    return await Promise.race([lookUp(stop.signal), stopped]);
  } catch (error) {
    return failure(name, error);
  } finally {
    deadline.cancel();
    signal.removeEventListener('abort', onStop);
  }
}

function noAnswer(name: string): MeshproxyError {
  const text = `cannot resolve ${name}: no answer within ${formatDuration(RESOLVE_TIMEOUT_MS)}`;
  return new MeshproxyError('resolve', text, { hint: 'check that the name servers can be reached' });
}

function failure(name: string, cause: unknown): MeshproxyError {
  if (cause instanceof MeshproxyError && cause.code === 'resolve') return cause;
  const hint = cause instanceof MeshproxyError ? cause.hint : undefined;
  const text = `cannot resolve ${name}: ${describeError(cause)}`;
  return new MeshproxyError('resolve', text, { cause, ...(hint !== undefined && { hint }) });
}
