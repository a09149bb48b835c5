/**
 * How long things took, as percentiles: per service, since the start and over the last one to two minutes.
 *
 * High dynamic range histograms: 1 % exact from a microsecond to a day, in some kilobytes each, made when there is
 * a first value. Windows turn when they are next written to or read: no timer.
 */
import type { JsHistogram } from 'hdr-histogram-js';
import type { Clock } from '../core/clock.js';
import {
  createHistogram,
  type LatencySummary,
  mergeSamples,
  NO_SAMPLE,
  percentilesOf,
  type Sample,
  summarize,
} from './sample.js';

/** What is measured; `STEPS` has what each means. */
export type Step = 'connect' | 'firstByte' | 'duration';

export const STEPS: Readonly<Record<Step, string>> = {
  connect: 'until an endpoint had accepted the connection',
  firstByte: 'from then until the first byte from the upstream',
  duration: 'from accept to the end of the connection',
};

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
/** A window; `recent` is the one that fills and the one before it. */
const WINDOW_MS = 60_000;
/** Where the curve is drawn: closer towards the end, as the tail is what people look at. */
const CURVE = [0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 100];

/** Plain data: what has been measured of one step. */
export interface StepSample {
  readonly service: string;
  readonly step: Step;
  /** Of the last one to two minutes. */
  readonly recent: Sample;
  readonly older: Sample;
}

/** Plain data: what one thread has measured, or several together. */
export type LatencySnapshot = readonly StepSample[];

/** What is measured within one window. Sum and extremes are exact; the histogram's own would be as coarse as its groups. */
class Window {
  readonly #histogram: JsHistogram;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;

  constructor() {
    this.#histogram = createHistogram();
  }

  record(us: number): void {
    this.#histogram.recordValue(us);
    this.#sum += us;
    if (us < this.#min) this.#min = us;
    if (us > this.#max) this.#max = us;
  }

  sample(): Sample {
    const histogram = this.#histogram;
    const groups: number[] = [];
    const counts: number[] = [];
    for (let index = 0; index < histogram.countsArrayLength; index += 1) {
      const count = histogram.getCountAtIndex(index);
      if (count === 0) continue;
      groups.push(index);
      counts.push(count);
    }
    return { groups, counts, sum: this.#sum, min: this.#min, max: this.#max };
  }
}

/** One step of one service. A value is written once, into the current window; what has left the windows is added to `older`. */
class Windows {
  /** The number of the current window, counted from the clock's origin. */
  #slot: number;
  #current = new Window();
  #previous = NO_SAMPLE;
  #older = NO_SAMPLE;

  constructor(slot: number) {
    this.#slot = slot;
  }

  record(slot: number, us: number): void {
    if (slot > this.#slot) this.#turnTo(slot);
    this.#current.record(us);
  }

  samples(slot: number): { readonly recent: Sample; readonly older: Sample } {
    if (slot > this.#slot) this.#turnTo(slot);
    return { recent: mergeSamples(this.#current.sample(), this.#previous), older: this.#older };
  }

  #turnTo(slot: number): void {
    const last = this.#current.sample();
    const isNext = slot === this.#slot + 1;
    this.#older = mergeSamples(this.#older, this.#previous);
    if (!isNext) this.#older = mergeSamples(this.#older, last);
    this.#previous = isNext ? last : NO_SAMPLE;
    this.#current = new Window();
    this.#slot = slot;
  }
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
      [...steps].map(([step, windows]) => ({ service, step, ...windows.samples(slot) })),
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
  return snapshot.map(({ service, step, recent, older }) => ({
    ...{ service, step, recent: NO_SAMPLE, older: mergeSamples(older, recent) },
  }));
}

/** What several threads have measured together. */
export class LatencyTotals {
  readonly #services = new Map<string, Map<Step, StepSample>>();

  add(snapshot: LatencySnapshot): void {
    for (const { service, step, recent, older } of snapshot) {
      const steps = this.#services.get(service) ?? new Map<Step, StepSample>();
      this.#services.set(service, steps);
      const known = steps.get(step) ?? { recent: NO_SAMPLE, older: NO_SAMPLE };
      const both = { recent: mergeSamples(known.recent, recent), older: mergeSamples(known.older, older) };
      steps.set(step, { service, step, ...both });
    }
  }

  snapshot(): LatencySnapshot {
    return [...this.#services.values()].flatMap((steps) => [...steps.values()]);
  }

  summaries(): readonly ServiceLatency[] {
    return [...this.#services].map(([service, steps]) => {
      const entries = [...steps].map(([step, { recent, older }]) => {
        const sinceStart = summarize(mergeSamples(recent, older));
        return [step, recent.groups.length === 0 ? { sinceStart } : { sinceStart, recent: summarize(recent) }];
      });
      return { service, steps: Object.fromEntries(entries) as StepLatency };
    });
  }

  /** The percentile curve since the start; empty where nothing was measured. */
  curve(service: string, step: Step): readonly CurvePoint[] {
    const measured = this.#services.get(service)?.get(step);
    if (measured === undefined) return [];
    const values = percentilesOf(mergeSamples(measured.recent, measured.older), CURVE);
    return CURVE.map((percentile, index) => ({ percentile, us: values[index] ?? 0 }));
  }

  /** Forgets every service that `isWanted` does not know. */
  prune(isWanted: (service: string) => boolean): void {
    for (const service of this.#services.keys()) if (!isWanted(service)) this.#services.delete(service);
  }
}
