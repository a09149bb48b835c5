import { describe, expect, it } from 'vitest';
import { latest } from '../../src/cli/latest.js';

describe('a task of which the latest call counts', () => {
  it('runs one at a time, and once more for all calls that came meanwhile', async () => {
    const log: string[] = [];
    const finish: (() => void)[] = [];
    const call = latest(async (reason: string) => {
      log.push(`begin ${reason}`);
      await new Promise<void>((resolve) => finish.push(resolve));
      log.push(`end ${reason}`);
    });
    call('a');
    call('b');
    call('c');
    expect(log).toEqual(['begin a']);
    finish.shift()?.();
    await new Promise(setImmediate);
    expect(log).toEqual(['begin a', 'end a', 'begin c']);
    finish.shift()?.();
    await new Promise(setImmediate);
    expect(log).toEqual(['begin a', 'end a', 'begin c', 'end c']);
    call('d');
    expect(log.at(-1)).toBe('begin d');
  });
});
