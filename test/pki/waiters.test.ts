import { describe, expect, it } from 'vitest';
import { Waiters } from '../../src/pki/waiters.js';
import { turn, VirtualClock } from '../fakes/clock.js';

const NEVER = new AbortController().signal;

function waiting(most = 4) {
  const clock = new VirtualClock();
  const waiters = new Waiters(most, clock);
  const done: string[] = [];
  const wait = (source: string, ms = 1000, gone: AbortSignal = NEVER): boolean => {
    const over = waiters.wait(source, ms, gone);
    void over?.then(() => done.push(source));
    return over !== undefined;
  };
  return { clock, waiters, done, wait };
}

describe('who waits', () => {
  it('is woken with all others, or when the time is over, and leaves no timer', async () => {
    const { clock, waiters, done, wait } = waiting();
    wait('a', 1000);
    wait('b', 2000);
    clock.advance(1000);
    await turn();
    expect(done).toEqual(['a']);
    waiters.wakeAll();
    await turn();
    expect(done).toEqual(['a', 'b']);
    expect([waiters.size, clock.pending]).toEqual([0, 0]);
  });

  it('and is gone makes room, and so does who was gone before', async () => {
    const { clock, waiters, done, wait } = waiting();
    const gone = new AbortController();
    wait('a', 1000, gone.signal);
    gone.abort();
    wait('b', 1000, gone.signal);
    await turn();
    expect(done).toEqual(['a', 'b']);
    expect([waiters.size, clock.pending]).toEqual([0, 0]);
  });

  it('is one of a bounded number, at most half of them from one source', () => {
    const { waiters, wait } = waiting(4);
    expect([wait('flood'), wait('flood'), wait('flood')]).toEqual([true, true, false]);
    expect([wait('b'), wait('c'), wait('d')]).toEqual([true, true, false]);
    waiters.wakeAll();
    expect([wait('flood'), wait('flood'), wait('flood')]).toEqual([true, true, false]);
  });
});
