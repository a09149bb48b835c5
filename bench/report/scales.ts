/** Scales of the percentile plot. */

/** Where a quantile lies on the axis of an hdr plot: 0 at the least value, one further for each nine: 0.99 is at 2. */
export function ninesOf(quantile: number): number {
  return -Math.log10(1 - quantile);
}

export interface PercentileTick {
  readonly nines: number;
  readonly label: string;
}

const PERCENTILE_TICKS: readonly PercentileTick[] = [0, 50, 90, 99, 99.9, 99.99, 99.999].map((percent) => ({
  nines: ninesOf(percent / 100),
  label: `${percent} %`,
}));

/** The ticks from the least value up to `most` nines. */
export function percentileTicks(most: number): readonly PercentileTick[] {
  // 1 - 0.99 is not quite 0.01: a curve that ends at a tick is to show it.
  return PERCENTILE_TICKS.filter(({ nines }) => nines <= most + 1e-6);
}

/** Maps `[from, to]` to `[start, end]`, straight. */
export function linear(from: number, to: number, start: number, end: number): (value: number) => number {
  const factor = to === from ? 0 : (end - start) / (to - from);
  return (value) => start + (value - from) * factor;
}

/** Maps `[from, to]`, both above 0, to `[start, end]` by their logarithms. */
export function logarithmic(from: number, to: number, start: number, end: number): (value: number) => number {
  const scale = linear(Math.log10(from), Math.log10(to), start, end);
  return (value) => scale(Math.log10(value));
}

const NICE = [1, 2, 5, 10];

/** The next 1, 2 or 5 times a power of ten: at most `value` going down, at least `value` going up. */
export function niceBound(value: number, direction: 'down' | 'up'): number {
  const decade = 10 ** Math.floor(Math.log10(value));
  // Dividing by a power of ten leaves 4.999999 of a 5: the tolerance takes it as what it is.
  const steps = direction === 'down' ? NICE.filter((n) => n * decade <= value * 1.000001) : NICE;
  const step = direction === 'down' ? steps.at(-1) : steps.find((n) => n * decade >= value * 0.999999);
  return (step ?? 1) * decade;
}

/** Ticks of a logarithmic axis: powers of ten, and 2 and 5 times those where there is room (four decades or fewer). */
export function logTicks(from: number, to: number): number[] {
  const steps = to / from > 10_000 ? [1] : [1, 2, 5];
  const ticks: number[] = [];
  for (let exponent = Math.floor(Math.log10(from)); exponent <= Math.ceil(Math.log10(to)); exponent++) {
    for (const step of steps) {
      const tick = Number(`${step}e${exponent}`);
      if (tick >= from * 0.999999 && tick <= to * 1.000001) ticks.push(tick);
    }
  }
  return ticks;
}

/** `50 µs`, `2 ms`, `1 s`. */
export function formatLatency(ms: number): string {
  if (ms < 1) return `${Number((ms * 1000).toPrecision(3))} µs`;
  if (ms < 1000) return `${Number(ms.toPrecision(3))} ms`;
  return `${Number((ms / 1000).toPrecision(3))} s`;
}
