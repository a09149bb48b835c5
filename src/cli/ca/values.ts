/** Values of options that several commands of the authority take. Each throws a `MeshproxyError` `usage` that names the option. */
import { MeshproxyError } from '../../core/errors.js';
import { formatDuration, parseDuration } from '../../core/units.js';

export interface Range {
  readonly least: number;
  readonly most: number;
}

/** Milliseconds within `range`. */
export function durationOf(option: string, text: string, { least, most }: Range): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw wrong(option, text, 'it is no duration; write 30m, 1h or 1d');
  if (ms < least || ms > most) {
    throw wrong(option, text, `it is not between ${formatDuration(least)} and ${formatDuration(most)}`);
  }
  return ms;
}

/** A whole number within `range`. */
export function countOf(option: string, text: string, { least, most }: Range): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (count >= least && count <= most) return count;
  throw wrong(option, text, `write a number from ${least} to ${most}`);
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };

/** How many a second: `200/s`, `600/m`, or `off` for no limit. */
export function rateOf(option: string, text: string): number {
  if (text === 'off') return Number.POSITIVE_INFINITY;
  const [, count = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?)\/([smh])$/.exec(text) ?? [];
  const rate = Number(count) / (UNITS[unit] ?? Number.NaN);
  if (rate > 0) return rate;
  throw wrong(option, text, 'write 200/s, 600/m, or off');
}

function wrong(option: string, text: string, why: string): MeshproxyError {
  return new MeshproxyError('usage', `${option} ${JSON.stringify(text)}: ${why}`);
}
