/** An upstream that is a name: resolved again whenever its answer has expired. */
import { formatAddress, type NameAddress } from '../core/address.js';
import { backoffMs } from '../core/backoff.js';
import { type Clock, sleep } from '../core/clock.js';
import { describeError, MeshproxyError } from '../core/errors.js';
import { formatDuration } from '../core/units.js';
import { pairFamilies } from './endpoints.js';
import { type Answer, type Lookups, resolveName } from './resolver.js';
import type { DiscoverySnapshot, DiscoverySource } from './source.js';

export interface DnsSettings {
  /** ms. An answer is kept for its time to live, but not shorter and not longer than these. */
  readonly minTtl: number;
  readonly maxTtl: number;
  /** ms. For an answer without a time to live. */
  readonly fallbackTtl: number;
}

/** A name server that was restarted is back within seconds; one that is gone is not asked more than four times a minute. */
const RETRY = { baseMs: 2000, maxMs: 30_000 };

/** For all the asking together: a dead name server (6 s) and, after it, the system's resolver at its first try (5 s). */
const RESOLVE_TIMEOUT_MS = 15_000;

export interface DnsOptions {
  readonly settings: DnsSettings;
  readonly lookups: Lookups;
  readonly clock: Clock;
  /** Between 0 and 1; for the jitter of retries. */
  readonly random?: () => number;
}

/** Every failure is yielded; the same answer again is not, unless it comes after a failure. */
export function dnsSource(address: NameAddress, options: DnsOptions): DiscoverySource {
  return { upstream: formatAddress(address), watch: (signal) => watch(address, options, signal) };
}

async function* watch(
  { name, port }: NameAddress,
  { settings, lookups, clock, random = Math.random }: DnsOptions,
  signal: AbortSignal,
): AsyncGenerator<DiscoverySnapshot> {
  let shown: string | undefined;
  let failures = 0;
  while (!signal.aborted) {
    const answer = await ask(name, lookups, clock, signal);
    if (signal.aborted) return;
    if (answer instanceof MeshproxyError) {
      failures += 1;
      shown = undefined;
      yield { kind: 'failed', error: answer };
      await sleep(clock, backoffMs(failures, RETRY, random()), signal);
    } else {
      failures = 0;
      const endpoints = pairFamilies(answer.hosts, port);
      const found = JSON.stringify(endpoints);
      if (found !== shown) yield { kind: 'endpoints', endpoints };
      shown = found;
      await sleep(clock, timeToLive(answer, settings), signal);
    }
  }
}

function timeToLive({ ttlMs }: Answer, { minTtl, maxTtl, fallbackTtl }: DnsSettings): number {
  return ttlMs === undefined ? fallbackTtl : Math.min(maxTtl, Math.max(minTtl, ttlMs));
}

/** Resolves once, and never rejects. Ends at the deadline or when `signal` is aborted, whatever the lookups do; queries end with it. */
async function ask(
  name: string,
  lookups: Lookups,
  clock: Clock,
  signal: AbortSignal,
): Promise<Answer | MeshproxyError> {
  const stop = new AbortController();
  const onStop = (): void => stop.abort();
  const deadline = clock.after(RESOLVE_TIMEOUT_MS, onStop);
  signal.addEventListener('abort', onStop, { once: true });
  const stopped = new Promise<MeshproxyError>((resolve) => {
    stop.signal.addEventListener('abort', () => resolve(noAnswer(name)), { once: true });
  });
  try {
    return await Promise.race([resolveName(name, lookups, stop.signal), stopped]);
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
