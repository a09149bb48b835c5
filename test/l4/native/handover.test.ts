import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WINDOW_MS } from '../../../src/l4/native/churn.js';
import { Handover, leastLoaded, type SharedExchange } from '../../../src/l4/native/handover.js';
import { LANE_ENTRIES, sharedInboxes } from '../../../src/l4/native/inboxes.js';
import { IN } from '../../../src/l4/native/kernel.js';
import type { Handler } from '../../../src/l4/native/reactor.js';
import { sharedCells, Tally } from '../../../src/l4/tally.js';

const GROUP = 5;

/** One worker with its descriptors; all that it is handed counts as a connection, as long as `serves` is set. */
class Fake {
  readonly taken: number[] = [];
  readonly aborted: number[] = [];
  readonly owned = new Set<number>();
  readonly handover: Handover;
  readonly #tally: Tally;
  handler: Handler | undefined;
  now = 0;

  constructor(exchange: SharedExchange, number: number, woken: Set<number>) {
    this.#tally = new Tally(exchange.connections, number);
    const kernel = {
      own: (fd: number) => void this.owned.add(fd),
      disown: (fd: number) => void this.owned.delete(fd),
      abort: (fd: number) => void this.aborted.push(fd),
      wake: (waker: number) => void woken.add(waker),
      awake: (waker: number) => void woken.delete(waker),
    };
    const reactor = {
      watchReadable: (_: number, handler: Handler) => {
        this.handler = handler;
        return 0;
      },
      unwatch: () => {
        this.handler = undefined;
      },
    };
    this.handover = new Handover(kernel, reactor, exchange, number, () => this.now);
  }

  get load(): number {
    return this.taken.length;
  }

  take(fd: number): void {
    this.taken.push(fd);
    this.#tally.enter(Number.POSITIVE_INFINITY);
  }

  end(): void {
    this.taken.pop();
    this.#tally.leave();
  }

  accept(fd: number): void {
    this.owned.add(fd);
    if (!this.handover.offer(GROUP, fd)) this.take(fd);
  }
}

function workers(count: number, most = Number.MAX_SAFE_INTEGER) {
  const allowed = sharedCells(1).fill(Math.min(most, 2 ** 31 - 1));
  const wakers = Array.from({ length: count }, (_, number) => 100 + number);
  const exchange = { inboxes: sharedInboxes(count), wakers, connections: sharedCells(count), allowed };
  const woken = new Set<number>();
  const all = wakers.map((_, number) => new Fake(exchange, number, woken));
  const turn = (number: number): void => {
    if (woken.has(100 + number)) all[number]?.handler?.onEvents(IN);
  };
  return { all, woken, turn, joined: () => all.map((one) => one.handover.join(GROUP, one)) };
}

describe('the least loaded worker', () => {
  it.each([
    [[0, 0], 0, 0],
    [[1, 0], 0, 0],
    [[2, 0], 0, 1],
    [[17, 15], 0, 1],
    [[16, 15], 0, 0],
    [[0, 40], 0, 0],
    [[1099, 1000], 0, 0],
    [[1100, 1000], 0, 1],
    [[9, Number.POSITIVE_INFINITY], 0, 0],
    [[9, 4, 3, 3], 0, 2],
  ])('of %j, seen by worker %i, is %i', (loads, mine, expected) => {
    expect(leastLoaded(loads, mine)).toBe(expected);
  });

  it('is the one that accepts, where it has no more than what has just ended there', () => {
    expect(leastLoaded([12, 0], 0, 13)).toBe(0);
    expect(leastLoaded([13, 0], 0, 13)).toBe(1);
  });

  it('leaves no worker of two with more than 60 % of ten or more, whoever accepts', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1), { minLength: 10, maxLength: 400 }), (accepting) => {
        const loads = [0, 0];
        for (const mine of accepting) {
          const to = leastLoaded(loads, mine);
          loads[to] = (loads[to] ?? 0) + 1;
        }
        expect(Math.max(...loads)).toBeLessThanOrEqual(0.6 * accepting.length);
      }),
    );
  });
});

describe('handing over', () => {
  it('spreads what comes to one worker evenly before any other has had its turn', () => {
    const { all, turn, joined } = workers(3);
    joined();
    for (let fd = 1; fd <= 60; fd += 1) all[0]?.accept(fd);
    for (const number of [1, 2]) turn(number);
    const loads = all.map(({ load }) => load);
    expect(loads.reduce((sum, load) => sum + load)).toBe(60);
    expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(2);
    expect(all[0]?.handover.handedOver).toBe(60 - (all[0]?.load ?? 0));
  });

  it('counts what was handed to a worker before it has had its turn, also there', () => {
    const { all, turn, joined } = workers(2);
    joined();
    for (let fd = 1; fd <= 16; fd += 1) all[0]?.accept(fd);
    // They had waited for it in the kernel's queue meanwhile.
    for (let fd = 17; fd <= 32; fd += 1) all[1]?.accept(fd);
    for (const number of [0, 1]) turn(number);
    expect(Math.max(...all.map(({ load }) => load))).toBeLessThanOrEqual(17);
  });

  it('ends where descriptors end: what is on its way counts, and what is past that stays with who accepts', () => {
    const { all, turn, joined } = workers(2, 20);
    joined();
    for (let fd = 1; fd <= 60; fd += 1) all[0]?.accept(fd);
    expect(all[0]?.handover.underWay).toBe(9);
    expect(all[0]?.load).toBe(51);
    turn(1);
    expect(all[0]?.handover.underWay).toBe(0);
    expect(all[1]?.load).toBe(9);
  });

  it('is rare where connections come and go all the time, and is done again when they stay', () => {
    const { all, joined } = workers(2);
    joined();
    const [busy] = all;
    if (!busy) throw new Error('unreachable');
    let fd = 0;
    const round = (): void => {
      for (let count = 0; count < 16; count += 1) busy.accept(++fd);
      while (busy.load > 0) busy.end();
      busy.now += 3;
    };
    round();
    const first = busy.handover.handedOver;
    for (let count = 0; count < 100; count += 1) round();
    expect(busy.handover.handedOver).toBe(first);
    busy.now += 2 * WINDOW_MS;
    for (let count = 0; count < 16; count += 1) busy.accept(++fd);
    expect(busy.handover.handedOver).toBeGreaterThan(first);
  });

  it('gives each connection to one worker, which alone owns it, in whatever order they accept and have their turn', () => {
    const step = fc.record({ worker: fc.nat(2), what: fc.constantFrom('accept', 'turn', 'leave', 'join') });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const { all, turn, joined } = workers(3);
        joined();
        let fd = 0;
        for (const { worker, what } of steps) {
          const one = all[worker];
          if (what === 'turn') turn(worker);
          else if (what === 'join') one?.handover.join(GROUP, one);
          else if (what === 'leave') one?.handover.leave(GROUP);
          else one?.accept(++fd);
        }
        for (const number of [0, 1, 2]) turn(number);
        const ends = all.flatMap(({ taken, aborted }) => [...taken, ...aborted]);
        expect(ends.toSorted((a, b) => a - b)).toEqual(Array.from({ length: fd }, (_, index) => index + 1));
        for (const { taken, aborted, owned } of all) expect(owned).toEqual(new Set([...taken, ...aborted]));
      }),
    );
  });

  it('hands nothing to a worker that does not listen yet, or no more', () => {
    const { all, joined } = workers(2);
    const [busy, other] = all;
    if (!busy || !other) throw new Error('unreachable');
    busy.handover.join(GROUP, busy);
    other.handover.join(GROUP - 1, other);
    for (let fd = 1; fd <= 10; fd += 1) busy.accept(fd);
    expect(busy.load).toBe(10);
    joined();
    busy.accept(11);
    expect(busy.load).toBe(10);
    other.handover.leave(GROUP);
    expect([other.taken, other.aborted]).toEqual([[11], []]);
    other.handover.leave(GROUP - 1);
    busy.accept(12);
    expect(busy.load).toBe(11);
  });

  it('resets what comes for a listener that is gone', () => {
    const { all, turn } = workers(2);
    const [busy, other] = all;
    if (!busy || !other) throw new Error('unreachable');
    // A newer one keeps it open.
    for (const group of [GROUP, GROUP + 1]) other.handover.join(group, other);
    other.handover.leave(GROUP);
    for (let fd = 1; fd <= 3; fd += 1) busy.accept(fd);
    turn(1);
    expect([other.taken, other.aborted]).toEqual([[], [3]]);
  });

  it('keeps a connection where the inbox is full', () => {
    const { all, joined } = workers(2);
    joined();
    const most = 3 * LANE_ENTRIES;
    for (let fd = 1; fd <= most; fd += 1) all[0]?.accept(fd);
    expect(all[0]?.load).toBe(most - LANE_ENTRIES);
  });

  it('takes what is there when it ends, and nothing afterwards', () => {
    const { all, joined } = workers(2);
    joined();
    for (let fd = 1; fd <= 3; fd += 1) all[0]?.accept(fd);
    all[1]?.handover.close();
    expect(all[1]?.taken).toEqual([3]);
    for (let fd = 4; fd <= 20; fd += 1) all[0]?.accept(fd);
    expect(all[0]?.load).toBe(19);
    expect(all[1]?.handler).toBeUndefined();
  });
});
