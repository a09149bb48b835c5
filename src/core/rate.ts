/** How often, and how much in a time, as people write it: `100/s`, `10/m`, `10MiB/s`. */
import { exactSize, parseSize } from './units.js';

/** So many in so much time. */
export interface Rate {
  readonly count: number;
  readonly perMs: number;
}

const MS_OF: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 };

/** `undefined` where `text` is not a rate of whole things, one at least. */
export function parseRate(text: string): Rate | undefined {
  const [, count, unit = ''] = /^(\d{1,9})\s*\/\s*([smh])$/.exec(text) ?? [];
  const perMs = MS_OF[unit];
  return perMs === undefined || Number(count) === 0 ? undefined : { count: Number(count), perMs };
}

/** The form that `parseRate` reads back. */
export function formatRate({ count, perMs }: Rate): string {
  const unit = Object.keys(MS_OF).find((name) => MS_OF[name] === perMs);
  return `${count}/${unit ?? `${perMs}ms`}`;
}

/** Bytes a second, or `undefined` where `text` is not a size in a second. */
export function parseBandwidth(text: string): number | undefined {
  const size = /^(.*\S)\s*\/\s*s$/.exec(text)?.[1];
  return size === undefined ? undefined : parseSize(size);
}

/** The form that `parseBandwidth` reads back. */
export function formatBandwidth(bytesPerSecond: number): string {
  return `${exactSize(bytesPerSecond)}/s`;
}
