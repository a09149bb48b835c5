/**
 * How long things took, as percentiles: per service, since the start and over the last one to two minutes.
 *
 * High dynamic range histograms: 1 % exact from a microsecond to a day, in some kilobytes each, made when there is
 * a first value. Windows turn when they are next written to or read: no timer.
 */
import { build, type JsHistogram } from 'hdr-histogram-js';
import type { Clock } from '../core/clock.js';

/** What is measured; `STEPS` has what each means. */
export type Step = 'connect' | 'firstByte' | 'duration';

export const STEPS: Readonly<Record<Step, string>> = {
  connect: 'until an endpoint had accepted the connection',
  firstByte: 'from then until the first byte from the upstream',
  duration: 'from accept to the end of the connection',
};

/** All in microseconds, save `count`. */
export interface LatencySummary {
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export type StepLatency = {
  readonly [step in Step]?: { readonly sinceStart: LatencySummary; readonly recent?: LatencySummary };
};

/** A step is absent where nothing was measured yet, `recent` where nothing was in the last minutes. */
export interface ServiceLatency {
  readonly service: string;
  readonly steps: StepLatency;
}

/** A point of the percentile curve: this share of all (0 to 100) took at most so many microseconds. */
export interface CurvePoint {
  readonly percentile: number;
  readonly us: number;
}

/** Longer ones count as this. */
const MAX_US = 86_400e6;
/** Two significant digits: a value is off by less than 1 %, and a histogram is a tenth of the size that three would take. */
const DIGITS = 2 as const;
/** Where a histogram's range starts out; it grows with its values. */
const START_US = 10_000;
/** A window; `recent` is the one that fills and the one before it. */
const WINDOW_MS = 60_000;
/** Where the curve is drawn: closer towards the end, as the tail is what people look at. */
const CURVE = [0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 100];

/** Plain data: values and how often each occurred, by turns. */
export interface SampleSnapshot {
  readonly values: readonly number[];
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

/** Plain data: what one thread has measured. */
export type LatencySnapshot = readonly {
  readonly service: string;
  readonly step: Step;
  readonly sinceStart: SampleSnapshot;
  readonly recent: SampleSnapshot;
}[];

/** Values of one step. Count, sum and extremes are exact, and cost nothing to read: the histogram would walk all its buckets for them. */
class Sample {
  readonly #histogram: JsHistogram;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;

  constructor(counterBits: 32 | 64) {
    this.#histogram = build({
      numberOfSignificantValueDigits: DIGITS,
      bitBucketSize: counterBits,
      autoResize: true,
      highestTrackableValue: START_US,
      // `build` makes one in WebAssembly only where that was initialized, which is nowhere here.
    }) as JsHistogram;
  }

  get count(): number {
    return this.#histogram.totalCount;
  }

  record(us: number): void {
    this.#histogram.recordValue(us);
    this.#sum += us;
    if (us < this.#min) this.#min = us;
    if (us > this.#max) this.#max = us;
  }

  add(other: Sample): void {
    this.#histogram.add(other.#histogram);
    this.#sum += other.#sum;
    this.#min = Math.min(this.#min, other.#min);
    this.#max = Math.max(this.#max, other.#max);
  }

  snapshot(): SampleSnapshot {
    const histogram = this.#histogram;
    const values: number[] = [];
    for (let index = 0; index < histogram.countsArrayLength; index += 1) {
      const count = histogram.getCountAtIndex(index);
      if (count > 0) values.push(histogram.valueFromIndex(index), count);
    }
    return { values, sum: this.#sum, min: this.#min, max: this.#max };
  }

  /** Adds what another one has recorded, exactly: equal values fall into equal buckets. */
  addSnapshot({ values, sum, min, max }: SampleSnapshot): void {
    for (let index = 0; index < values.length; index += 2) {
      this.#histogram.recordValueWithCount(values[index] ?? 0, values[index + 1] ?? 0);
    }
    this.#sum += sum;
    this.#min = Math.min(this.#min, min);
    this.#max = Math.max(this.#max, max);
  }

  /** The upper end of what the histogram cannot tell apart, and never outside of what was recorded. */
  at(percentile: number): number {
    if (this.count === 0) return 0;
    return Math.min(Math.max(this.#histogram.getValueAtPercentile(percentile), this.#min), this.#max);
  }

  summary(): LatencySummary {
    const { count } = this;
    return {
      count,
      min: count === 0 ? 0 : this.#min,
      mean: count === 0 ? 0 : Math.round(this.#sum / count),
      p50: this.at(50),
      p90: this.at(90),
      p99: this.at(99),
      p999: this.at(99.9),
      max: this.#max,
    };
  }
}

/** One step of one service. A value is written once, into the current window; what has left the windows is added to `older`. */
class Windows {
  /** The number of the current window, counted from the clock's origin. */
  #slot: number;
  #current = new Sample(32);
  #previous: Sample | undefined;
  /** 64 bits: a counter of 32 would be full, and throw, after some days of a busy proxy. */
  readonly #older = new Sample(64);

  constructor(slot: number) {
    this.#slot = slot;
  }

  record(slot: number, us: number): void {
    this.#turnTo(slot);
    this.#current.record(us);
  }

  recent(slot: number): Sample {
    this.#turnTo(slot);
    return sum([this.#current, this.#previous]);
  }

  sinceStart(): Sample {
    return sum([this.#current, this.#previous, this.#older]);
  }

  #turnTo(slot: number): void {
    if (slot <= this.#slot) return;
    const isNext = slot === this.#slot + 1;
    if (this.#previous !== undefined) this.#older.add(this.#previous);
    if (!isNext) this.#older.add(this.#current);
    this.#previous = isNext ? this.#current : undefined;
    this.#current = new Sample(32);
    this.#slot = slot;
  }
}

function sum(samples: readonly (Sample | undefined)[]): Sample {
  const total = new Sample(64);
  for (const sample of samples) if (sample !== undefined) total.add(sample);
  return total;
}

export class LatencyBook {
  readonly #clock: Clock;
  readonly #services = new Map<string, Map<Step, Windows>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  record(service: string, step: Step, ms: number): void {
    const us = Math.min(Math.max(Math.round(ms * 1000), 0), MAX_US);
    this.#windows(service, step).record(this.#slot(), us);
  }

  snapshot(): LatencySnapshot {
    const slot = this.#slot();
    return [...this.#services].flatMap(([service, steps]) =>
      [...steps].map(([step, windows]) => ({
        service,
        step,
        recent: windows.recent(slot).snapshot(),
        sinceStart: windows.sinceStart().snapshot(),
      })),
    );
  }

  /** Forgets every service that `isWanted` does not know. */
  prune(isWanted: (service: string) => boolean): void {
    for (const service of this.#services.keys()) {
      if (!isWanted(service)) this.#services.delete(service);
    }
  }

  #windows(service: string, step: Step): Windows {
    let steps = this.#services.get(service);
    if (steps === undefined) {
      steps = new Map();
      this.#services.set(service, steps);
    }
    let windows = steps.get(step);
    if (windows === undefined) {
      windows = new Windows(this.#slot());
      steps.set(step, windows);
    }
    return windows;
  }

  #slot(): number {
    return Math.floor(this.#clock.now() / WINDOW_MS);
  }
}

/** Of a thread that has ended: what it measured last was recent then. */
export function withoutRecent(snapshot: LatencySnapshot): LatencySnapshot {
  const none = new Sample(32).snapshot();
  return snapshot.map((entry) => ({ ...entry, recent: none }));
}

/** What several threads have measured together. */
export class LatencyTotals {
  readonly #services = new Map<string, Map<Step, { readonly sinceStart: Sample; readonly recent: Sample }>>();

  add(snapshot: LatencySnapshot): void {
    for (const { service, step, sinceStart, recent } of snapshot) {
      const steps = this.#services.get(service) ?? new Map();
      this.#services.set(service, steps);
      const samples = steps.get(step) ?? { sinceStart: new Sample(64), recent: new Sample(64) };
      steps.set(step, samples);
      samples.sinceStart.addSnapshot(sinceStart);
      samples.recent.addSnapshot(recent);
    }
  }

  snapshot(): LatencySnapshot {
    return [...this.#services].flatMap(([service, steps]) =>
      [...steps].map(([step, { sinceStart, recent }]) => ({
        ...{ service, step, sinceStart: sinceStart.snapshot(), recent: recent.snapshot() },
      })),
    );
  }

  summaries(): readonly ServiceLatency[] {
    return [...this.#services].map(([service, steps]) => {
      const entries = [...steps].map(([step, samples]) => {
        const sinceStart = samples.sinceStart.summary();
        return [step, samples.recent.count === 0 ? { sinceStart } : { sinceStart, recent: samples.recent.summary() }];
      });
      return { service, steps: Object.fromEntries(entries) as StepLatency };
    });
  }

  /** The percentile curve since the start; empty where nothing was measured. */
  curve(service: string, step: Step): readonly CurvePoint[] {
    const sample = this.#services.get(service)?.get(step)?.sinceStart;
    if (sample === undefined) return [];
    return CURVE.map((percentile) => ({ percentile, us: sample.at(percentile) }));
  }

  /** Forgets every service that `isWanted` does not know. */
  prune(isWanted: (service: string) => boolean): void {
    for (const service of this.#services.keys()) if (!isWanted(service)) this.#services.delete(service);
  }
}
