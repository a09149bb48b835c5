/** An upstream that is a name: resolved again whenever its answer has expired. */

import { formatAddress, type NameAddress } from '../core/address.js';
import { backoffMs } from '../core/backoff.js';
import { type Clock, sleep } from '../core/clock.js';
import { MeshproxyError } from '../core/errors.js';
import { pairFamilies } from './endpoints.js';
import { type Lookups, resolveName } from './resolver.js';
import type { DiscoverySnapshot, DiscoverySource } from './source.js';

export interface DnsSettings {
  /** ms. An answer is kept for its time to live, but not shorter and not longer than these. */
  readonly minTtl: number;
  readonly maxTtl: number;
  /** ms. For an answer without a time to live. */
  readonly fallbackTtl: number;
}

/** A name server that was restarted is back within seconds; one that is gone is not asked more than twice a minute. */
const RETRY = { baseMs: 1000, maxMs: 30_000 };

export interface DnsOptions {
  readonly settings: DnsSettings;
  readonly lookups: Lookups;
  readonly clock: Clock;
  /** Between 0 and 1; for the jitter of retries. */
  readonly random?: () => number;
}

export function dnsSource(address: NameAddress, options: DnsOptions): DiscoverySource {
  return { upstream: formatAddress(address), watch: (signal) => watch(address, options, signal) };
}

async function* watch(
  address: NameAddress,
  options: DnsOptions,
  signal: AbortSignal,
): AsyncGenerator<DiscoverySnapshot> {
  const { settings, lookups, clock, random = Math.random } = options;
  const { minTtl, maxTtl, fallbackTtl } = settings;
  let shown: string | undefined;
  let failures = 0;
  while (!signal.aborted) {
    const answer = await unlessAborted(signal, resolveName(address.name, lookups).catch(asError));
    if (answer === undefined) return;
    if (answer instanceof MeshproxyError) {
      failures += 1;
      yield { kind: 'failed', error: answer };
      await sleep(clock, backoffMs(failures, RETRY, random()), signal);
      continue;
    }
    const endpoints = pairFamilies(answer.addresses, address.port);
    const now = JSON.stringify(endpoints);
    // After failures the same answer is told again: that it is known to be good is news.
    if (now !== shown || failures > 0) yield { kind: 'endpoints', endpoints };
    shown = now;
    failures = 0;
    await sleep(clock, Math.min(maxTtl, Math.max(minTtl, answer.ttlMs ?? fallbackTtl)), signal);
  }
}

function asError(error: unknown): MeshproxyError {
  if (error instanceof MeshproxyError) return error;
  return new MeshproxyError('resolve', `cannot resolve: ${String(error)}`, { cause: error });
}

/** What `promise` resolves with, or `undefined` as soon as `signal` is aborted: a question is bounded by its own timeout. */
function unlessAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve) => {
    const onAbort = (): void => resolve(undefined);
    signal.addEventListener('abort', onAbort, { once: true });
    void promise.then((value) => {
      signal.removeEventListener('abort', onAbort);
      resolve(value);
    });
  });
}
