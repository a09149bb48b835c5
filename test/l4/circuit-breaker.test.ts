import { describe, expect, it } from 'vitest';
import { Canceller } from '../../src/core/cancel.js';
import {
  type BreakerBounds,
  CircuitBreaker,
  forgetInBreaker,
  newBreakerCells,
  useOf,
} from '../../src/l4/circuit-breaker.js';
import { turn, VirtualClock } from '../fakes/clock.js';

const BOUNDS: BreakerBounds = {
  maxConnections: 2,
  maxPending: 2,
  maxRetries: 1,
  queue: { timeoutMs: 5000, targetMs: 0 },
};

function breakers(threads: number) {
  const clock = new VirtualClock();
  const cells = newBreakerCells(threads);
  return {
    clock,
    cells,
    all: Array.from({ length: threads }, (_, thread) => new CircuitBreaker(cells, thread, clock)),
  };
}

describe('the circuit breaker of a service', () => {
  it('lets in as many connections as there may be, over all threads', () => {
    const { all } = breakers(2);
    const [one, other] = all;
    expect([one?.tryEnter(BOUNDS), other?.tryEnter(BOUNDS), one?.tryEnter(BOUNDS)]).toEqual([true, true, false]);
    other?.leave();
    expect(one?.tryEnter(BOUNDS)).toBe(true);
  });

  it('lets everybody in who comes without a bound, and counts them for when there is one', () => {
    const { all } = breakers(1);
    const [breaker] = all;
    for (let times = 0; times < 100; times += 1) {
      expect(breaker?.tryEnter({ ...BOUNDS, maxConnections: undefined })).toBe(true);
    }
    expect(breaker?.tryEnter({ ...BOUNDS, maxConnections: 100 })).toBe(false);
  });

  it('has as many wait as may, and refuses the next at once', async () => {
    const { all, clock } = breakers(2);
    const [one, other] = all;
    for (let times = 0; times < 2; times += 1) one?.tryEnter(BOUNDS);
    const ended: unknown[] = [];
    void one?.enter('a', BOUNDS, new Canceller()).then((how) => ended.push(how));
    void other?.enter('b', BOUNDS, new Canceller()).then((how) => ended.push(how));
    expect(await one?.enter('c', BOUNDS, new Canceller())).toBe('full');
    expect(ended).toEqual([]);
    await clock.advanceAsync(5000);
    await turn();
    expect(ended).toEqual(['timeout', 'timeout']);
    expect(await one?.enter('c', { ...BOUNDS, queue: { timeoutMs: 0, targetMs: 0 } }, new Canceller())).toBe('full');
  });

  it('tells what all threads use of it, and that it is open only while the next one is refused', async () => {
    const { all, cells, clock } = breakers(2);
    const [one, other] = all;
    const limits = { maxConnections: 2, maxWaiting: 2, maxRetrying: 1 };
    one?.tryEnter(BOUNDS);
    other?.tryEnter(BOUNDS);
    other?.tryRetry(BOUNDS.maxRetries);
    expect(useOf(cells, BOUNDS)).toEqual({ connections: 2, waiting: 0, retrying: 1, open: false, ...limits });
    void one?.enter('a', BOUNDS, new Canceller());
    expect(useOf(cells, BOUNDS)).toMatchObject({ waiting: 1, open: false });
    void other?.enter('b', BOUNDS, new Canceller());
    expect(useOf(cells, BOUNDS)).toMatchObject({ connections: 2, waiting: 2, open: true });
    expect(await one?.enter('b', BOUNDS, new Canceller())).toBe('full');
    await clock.advanceAsync(5000);
    await turn();
    expect(useOf(cells, BOUNDS)).toMatchObject({ connections: 2, waiting: 0, open: false });
  });

  it('is open with its last place where nobody may wait, and never where there is no bound', () => {
    const { all, cells } = breakers(1);
    const [breaker] = all;
    const impatient = { ...BOUNDS, queue: { timeoutMs: 0, targetMs: 0 } };
    breaker?.tryEnter(impatient);
    expect(useOf(cells, impatient)).toMatchObject({ connections: 1, maxWaiting: 0, open: false });
    breaker?.tryEnter(impatient);
    expect(useOf(cells, impatient)).toMatchObject({ connections: 2, open: true });
    const unbound = { ...impatient, maxConnections: undefined, maxRetries: undefined };
    expect(useOf(cells, unbound)).toEqual({ connections: 2, waiting: 0, retrying: 0, open: false });
    forgetInBreaker(cells, 0);
    expect(useOf(cells, impatient)).toMatchObject({ connections: 0, open: false });
  });

  it('has one client that fills the queue give way to another, as long as it has more there', async () => {
    const { all, clock } = breakers(1);
    const [breaker] = all;
    const bounds = { ...BOUNDS, maxPending: 3 };
    for (let times = 0; times < 2; times += 1) breaker?.tryEnter(bounds);
    const ended: unknown[] = [];
    const enter = async (client: string): Promise<void> => {
      void breaker?.enter(client, bounds, new Canceller()).then((how) => ended.push([client, how]));
      await turn();
    };
    for (let times = 0; times < 4; times += 1) await enter('noisy');
    expect(ended).toEqual([['noisy', 'full']]);
    await enter('quiet');
    expect(ended.slice(1)).toEqual([['noisy', 'full']]);
    // Two of one client and one of another: a second one of the other would only turn it round.
    await enter('quiet');
    expect(ended.slice(2)).toEqual([['quiet', 'full']]);
    await enter('another');
    expect(ended.slice(3)).toEqual([['noisy', 'full']]);
    await clock.advanceAsync(5000);
    await turn();
    expect(ended.slice(4)).toEqual(['noisy', 'quiet', 'another'].map((client) => [client, 'timeout']));
  });

  it('gives nobody a place who comes later than one that waits', async () => {
    const { all } = breakers(1);
    const [breaker] = all;
    for (let times = 0; times < 2; times += 1) breaker?.tryEnter(BOUNDS);
    const first = breaker?.enter('a', BOUNDS, new Canceller());
    expect(breaker?.tryEnter({ ...BOUNDS, maxConnections: 3 })).toBe(false);
    breaker?.leave();
    expect(await first).toBe('in');
    expect(breaker?.tryEnter(BOUNDS)).toBe(false);
  });

  it('gives a place that comes free in one thread to who waits in another, without waiting for the clock', async () => {
    const { all } = breakers(2);
    const [one, other] = all;
    for (let times = 0; times < 2; times += 1) one?.tryEnter(BOUNDS);
    const waiting = [other?.enter('a', BOUNDS, new Canceller()), other?.enter('b', BOUNDS, new Canceller())];
    one?.leave();
    one?.leave();
    expect(await Promise.all(waiting)).toEqual(['in', 'in']);
  });

  it('forgets what a thread had that has died', async () => {
    const { all, cells } = breakers(2);
    const [one, other] = all;
    for (let times = 0; times < 2; times += 1) one?.tryEnter(BOUNDS);
    void one?.enter('a', BOUNDS, new Canceller());
    one?.tryRetry(1);
    expect(other?.tryRetry(1)).toBe(false);
    forgetInBreaker(cells, 0);
    expect(other?.tryEnter(BOUNDS)).toBe(true);
    expect(other?.tryRetry(1)).toBe(true);
  });
});
