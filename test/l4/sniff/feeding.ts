/** Has a parser read what comes bit by bit, as a connection does. */
import { expect } from 'vitest';
import type { SniffResult } from '../../../src/l4/sniff/result.js';

export type Parse<T> = (bytes: Uint8Array, from?: number) => SniffResult<T>;

/** What it says in the end, and how often it was asked. @param sizes of the pieces; the last one again and again */
export function feed<T>(parse: Parse<T>, bytes: Uint8Array, sizes: readonly number[] = [1]) {
  let [there, from, asked, atLeast] = [0, 0, 0, 1];
  for (let piece = 0; ; piece += 1) {
    const isAll = there >= bytes.length;
    if (there >= atLeast || isAll) {
      asked += 1;
      const result = parse(bytes.subarray(0, there), from);
      if (result.kind !== 'need-more' || isAll) return { result, asked };
      expect(result.atLeast).toBeGreaterThan(there);
      from = result.from ?? 0;
      expect(from).toBeLessThanOrEqual(there);
      atLeast = result.atLeast;
    }
    there += Math.max(1, sizes[Math.min(piece, sizes.length - 1)] ?? 1);
  }
}

/** Of every beginning of `bytes`, that it needs more, and no more than there is; of all of it, what it says. */
export function atEverySplit<T>(parse: Parse<T>, bytes: Uint8Array): SniffResult<T> {
  const whole = parse(bytes);
  const length = whole.kind === 'match' ? whole.length : bytes.length;
  for (let end = 0; end < length; end += 1) {
    const result = parse(bytes.subarray(0, end));
    expect(result).toMatchObject({ kind: 'need-more' });
    if (result.kind !== 'need-more') break;
    expect(result.atLeast).toBeGreaterThan(end);
    expect(result.atLeast).toBeLessThanOrEqual(length);
    expect(parse(bytes.subarray(0, Math.max(end + 1, length)), result.from)).toEqual(whole);
  }
  return whole;
}

/** But for what it quotes of what had come by then. */
export function withoutReason<T>(result: SniffResult<T>): unknown {
  return result.kind === 'no-match' ? 'no-match' : result;
}
