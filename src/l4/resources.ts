/** What this process has to live on: memory and descriptors. */
import { readdirSync } from 'node:fs';
import { totalmem } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock } from '../core/clock.js';
import { descriptorLimit } from '../core/descriptors.js';
import { libc } from './native/libc.js';

/** Reading the resident size costs some 20 µs: under a flood of connections it is read this often at most. */
const SAMPLE_MS = 200;

/** A forced collection stops the process for tens of milliseconds: this often at most, and only past the limit. */
const RECLAIM_MS = 5000;

/** A reading of the resident memory, taken when asked for and kept for a moment. An idle process samples nothing. */
export class MemoryGauge {
  readonly #clock: Clock;
  readonly #read: () => number;
  readonly #reclaim: () => void;
  #bytes = 0;
  #readAt = Number.NEGATIVE_INFINITY;
  #reclaimedAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, read: () => number = process.memoryUsage.rss, reclaim: () => void = reclaimMemory) {
    this.#clock = clock;
    this.#read = read;
    this.#reclaim = reclaim;
  }

  /**
   * Resident bytes. Where that is `limit` or more, what is garbage is given back first: a proxy that turns everybody
   * away allocates nothing, so nothing would be collected, and it would never get below its limit again.
   */
  resident(limit: number): number {
    const now = this.#clock.now();
    if (now - this.#readAt >= SAMPLE_MS) {
      this.#readAt = now;
      this.#sample();
    }
    if (this.#bytes >= limit && now - this.#reclaimedAt >= RECLAIM_MS) {
      this.#reclaimedAt = now;
      this.#reclaim();
      this.#sample();
    }
    return this.#bytes;
  }

  #sample(): void {
    try {
      this.#bytes = this.#read();
    } catch {
      // The system tells by a file: with no descriptor left (EMFILE) there is no new reading, and the last one stands.
    }
  }
}

let collect: (() => void) | undefined;

/** Collects garbage, and gives what the allocator keeps back to the system. */
function reclaimMemory(): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
  libc()?.releaseFreedMemory();
}

/** Room for a garbage collector's peaks and for the kernel's own buffers, which count against a control group too. */
const MEMORY_SHARE = 0.75;

/** The resident size past which no connection is admitted, where none is configured: a share of what there is. */
export function defaultMaxMemory(): number {
  const machine = totalmem();
  const group = process.constrainedMemory?.() ?? 0;
  return MEMORY_SHARE * (group > 0 ? Math.min(machine, group) : machine);
}

/** A connection holds one descriptor on each side. */
const PER_CONNECTION = 2;
/** What may be open beside connections: the admin's 64 clients, and a few for name servers, files and races of addresses. */
const MIN_RESERVE = 64 + 12;
/** With more connections more races go on at a time, but never so many that this is not enough. */
const MAX_RESERVE = 128;
const RESERVE_SHARE = 0.1;

/**
 * How many connections the descriptors of this process allow. libuv closes what it accepts when there is none left,
 * silently, so accepting has to stop before that.
 * @param limit of descriptors, `undefined` where the system does not say
 * @param inUse descriptors open beside connections
 */
export function connectionsAllowed(limit: number | undefined, inUse: number): number {
  if (limit === undefined) return Number.POSITIVE_INFINITY;
  const reserve = Math.min(MAX_RESERVE, Math.max(MIN_RESERVE, Math.floor(limit * RESERVE_SHARE)));
  return Math.max(1, Math.floor((limit - inUse - reserve) / PER_CONNECTION));
}

/** How many descriptors are open; 0 where the system does not say. */
export function descriptorsInUse(): number {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return 0;
  }
}

/**
 * How many connections this process has descriptors for, `open` of which there are now. To be asked when the listeners
 * change, not per connection: a count of many is slow.
 */
export function countAllowed(open: number): number {
  const beside = descriptorsInUse() - PER_CONNECTION * open;
  return connectionsAllowed(descriptorLimit(), Math.max(0, beside));
}
