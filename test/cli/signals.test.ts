import { describe, expect, it } from 'vitest';
import { judgeSignal } from '../../src/cli/signals.js';

const first = { signal: 'SIGINT', at: 1000 } as const;

describe('a signal to stop', () => {
  it('begins the drain when it is the first', () => {
    expect(judgeSignal(undefined, first, false)).toBe('drain');
    expect(judgeSignal(undefined, first, true)).toBe('drain');
  });

  it('ends at once when it is the second, of whichever kind', () => {
    expect(judgeSignal(first, { signal: 'SIGINT', at: 1020 }, false)).toBe('force');
    expect(judgeSignal(first, { signal: 'SIGTERM', at: 1001 }, false)).toBe('force');
  });

  it('is an echo when the same comes twice in one go, as timeout(1) sends it to a program and to its group', () => {
    expect(judgeSignal(first, { signal: 'SIGINT', at: 1019 }, false)).toBe('ignore');
  });

  it("is npm's echo when npm runs the program and it comes within half a second of the same", () => {
    expect(judgeSignal(first, { signal: 'SIGINT', at: 1499 }, true)).toBe('ignore');
    expect(judgeSignal(first, { signal: 'SIGINT', at: 1500 }, true)).toBe('force');
    expect(judgeSignal(first, { signal: 'SIGTERM', at: 1001 }, true)).toBe('force');
  });
});
