/** An upstream that is a file of endpoints, which somebody else keeps: read again whenever it has changed. */
import { backoffMs } from '../core/backoff.js';
import { type Clock, sleep } from '../core/clock.js';
import { describeError, MeshproxyError } from '../core/errors.js';
import { type FileUpstream, formatUpstream } from '../core/upstream.js';
import { watchFile } from '../core/watch-file.js';
import type { DiscoveredEndpoint, DiscoverySnapshot, DiscoverySource } from './source.js';

export interface FileOptions {
  /** Rejects with a `MeshproxyError` that says what is wrong with the file, and where. */
  read(path: string): Promise<readonly DiscoveredEndpoint[]>;
  readonly clock: Clock;
  readonly random?: () => number;
}

/** What is wrong with the file itself, only its next change mends; a full table of descriptors mends itself. */
const RETRY = { baseMs: 2000, maxMs: 30_000 };

export function fileSource(upstream: FileUpstream, options: FileOptions): DiscoverySource {
  return { upstream: formatUpstream(upstream), watch: (signal) => watch(upstream.path, options, signal) };
}

async function* watch(
  path: string,
  { read, clock, random = Math.random }: FileOptions,
  signal: AbortSignal,
): AsyncGenerator<DiscoverySnapshot> {
  let changed = new AbortController();
  // Real time: the file system's events do not wait for a clock of ours.
  const watched = await watchFile(path, () => changed.abort(), { tellGone: true });
  try {
    for (let failures = 0; !signal.aborted; ) {
      // Before reading: what changes from here on is to be read again.
      changed = new AbortController();
      const snapshot = await look(path, read);
      if (signal.aborted) return;
      yield snapshot;
      failures = snapshot.kind === 'failed' ? failures + 1 : 0;
      const waitMs = failures === 0 ? Number.POSITIVE_INFINITY : backoffMs(failures, RETRY, random());
      await sleep(clock, waitMs, AbortSignal.any([signal, changed.signal]));
    }
  } finally {
    watched.close();
  }
}

async function look(path: string, read: FileOptions['read']): Promise<DiscoverySnapshot> {
  try {
    const endpoints = await read(path);
    return { kind: 'endpoints', endpoints, ...(endpoints.length === 0 && { why: 'the file lists none' }) };
  } catch (cause) {
    if (cause instanceof MeshproxyError) return { kind: 'failed', error: cause };
    return { kind: 'failed', error: new MeshproxyError('file', `${path}: ${describeError(cause)}`, { cause }) };
  }
}
