/** Durations as people read them in a line of text or a table. */
import { formatDuration } from '../core/units.js';

/** `420 µs`, `3.1 ms`, `1.25 s`, `1m30s`: two or three digits, the rest is noise to a reader. */
export function formatMs(ms: number): string {
  if (ms < 0.9995) return `${Math.round(ms * 1000)} µs`;
  if (ms < 10) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${Number((ms / 1000).toPrecision(3))} s`;
  return formatDuration(Math.round(ms / 1000) * 1000);
}

/** Milliseconds, to the microsecond: what a clock's fractions are worth to a reader. */
export function toMicroseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
