/**
 * What a listener, and each of its clients, may take in a time: connections and bytes. All threads count in the same memory, so it holds for
 * the process, however connections are spread over them. Where a limit is not set, nothing is counted.
 */
import type { ListenerConfig } from '../config/schema.js';
import type { Clock } from '../core/clock.js';
import type { Rate } from '../core/rate.js';
import { Bucket } from './bucket.js';
import { BUCKETS, newSourceCells, type SourcePlace, SourceTable } from './source-table.js';

/** Which bucket of a listener, or of a source, counts what. Bytes from clients and bytes to them count apart, as on a line that is full duplex. */
const BUCKET = { connections: 0, received: 1, sent: 2 } as const;
export type Direction = 'received' | 'sent';

/** On cache lines of their own. */
const LISTENER_STRIDE = 16;

/** What is counted of a listener. Plain enough to be sent to a thread. */
export interface RateCells {
  readonly listener: Int32Array<SharedArrayBuffer>;
  /** Only where sources are counted. */
  readonly sources?: Int32Array<SharedArrayBuffer>;
}

export type RateSettings = Pick<
  ListenerConfig,
  'maxConnectionRate' | 'maxConnectionRatePerSource' | 'maxBandwidth' | 'maxBandwidthPerSource'
>;

/** Those there were, as far as they will do for these settings: what is counted outlives a reload. */
export function rateCellsFor(settings: RateSettings, before?: RateCells): RateCells {
  const perSource = settings.maxConnectionRatePerSource ?? settings.maxBandwidthPerSource;
  const listener = before?.listener ?? newCells();
  const sources = before?.sources ?? (perSource === undefined ? undefined : newSourceCells());
  return { listener, ...(sources && { sources }) };
}

function newCells(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(BUCKETS * LISTENER_STRIDE * Int32Array.BYTES_PER_ELEMENT));
}

/** One thread's view of a listener's. */
export class Rates {
  readonly clock: Clock;
  #cells: RateCells;
  readonly #listener: readonly Bucket[];
  #settings: RateSettings;
  #sources: SourceTable | undefined;

  constructor(cells: RateCells, settings: RateSettings, clock: Clock) {
    this.clock = clock;
    this.#cells = cells;
    this.#listener = [0, 1, 2].map((index) => new Bucket(cells.listener, index * LISTENER_STRIDE));
    this.#settings = settings;
    this.#sources = cells.sources && new SourceTable(cells.sources);
  }

  /** Other limits from now on, for what is open as well. @param cells of the same listener, where other threads have a part in it */
  replace(settings: RateSettings, cells: RateCells = rateCellsFor(settings, this.#cells)): void {
    this.#cells = cells;
    this.#settings = settings;
    this.#sources = cells.sources && new SourceTable(cells.sources);
  }

  /** Counts a connection, unless there have been too many of late. */
  admits(): boolean {
    const { maxConnectionRate: rate } = this.#settings;
    return rate === undefined || this.#enter(this.#listener[BUCKET.connections], rate);
  }

  /** The same of those of one source. */
  admitsFrom(source: string): boolean {
    const { maxConnectionRatePerSource: rate } = this.#settings;
    if (rate === undefined || this.#sources === undefined) return true;
    return this.#enter(this.#sources.find(source, this.clock.now()).buckets[BUCKET.connections], rate);
  }

  /** Whether bytes are counted now. */
  get limitsBandwidth(): boolean {
    return (this.#settings.maxBandwidth ?? this.#settings.maxBandwidthPerSource) !== undefined;
  }

  /** The place of a source, for those who count its bytes; `undefined` where nobody does. @param known where it was last */
  placeOf(source: string, known?: SourcePlace): SourcePlace | undefined {
    if (this.#settings.maxBandwidthPerSource === undefined || this.#sources === undefined) return undefined;
    return known && this.#sources.isCurrent(known) ? known : this.#sources.find(source, this.clock.now());
  }

  /** Counts bytes that were carried. Returns how long no more are to be, ms, so that the limits are kept. */
  carried(bytes: number, direction: Direction, place: SourcePlace | undefined): number {
    const { maxBandwidth, maxBandwidthPerSource } = this.#settings;
    const now = this.clock.now();
    const which = BUCKET[direction];
    return Math.max(
      restMs(this.#listener[which], bytes, maxBandwidth, now),
      restMs(place?.buckets[which], bytes, maxBandwidthPerSource, now),
    );
  }

  /** Bytes that may be carried at a time: with less a connection would have its turn too often, with more too long a rest. */
  get mostAtOnce(): number {
    const { maxBandwidth = Number.POSITIVE_INFINITY, maxBandwidthPerSource = Number.POSITIVE_INFINITY } =
      this.#settings;
    const share = (Math.min(maxBandwidth, maxBandwidthPerSource) * TURN_MS) / 1000;
    return Math.max(LEAST_AT_ONCE, Math.min(MOST_AT_ONCE, Math.floor(share)));
  }

  #enter(bucket: Bucket | undefined, { count, perMs }: Rate): boolean {
    return bucket === undefined || bucket.enter(count, count / perMs, this.clock.now());
  }
}

/** What a connection carries at a time, in ms of its limit: some tens of turns a second, so that many share it smoothly. */
const TURN_MS = 20;
/** A read that is copied, whatever the limit. */
const LEAST_AT_ONCE = 16 * 1024;
/** A pipe. */
const MOST_AT_ONCE = 1024 * 1024;
/**
 * What may be carried in advance, in ms of the limit. A timer that is late by less costs nothing of the bandwidth: what was not
 * carried meanwhile is carried after it.
 */
const BURST_MS = 100;

function restMs(bucket: Bucket | undefined, bytes: number, bytesPerSecond: number | undefined, now: number): number {
  if (bucket === undefined || bytesPerSecond === undefined) return 0;
  const perMs = bytesPerSecond / 1000;
  return bucket.add(bytes, perMs, now) / perMs - BURST_MS;
}
