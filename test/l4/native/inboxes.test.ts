import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Inboxes, LANE_ENTRIES, sharedInboxes } from '../../../src/l4/native/inboxes.js';

const WORKERS = 3;

/** What the worker number `of` is given at one look. */
function takenBy(inboxes: Inboxes, of: number): [group: number, fd: number][] {
  const taken: [number, number][] = [];
  inboxes.take(of, (group, fd) => taken.push([group, fd]));
  return taken;
}

describe('inboxes of workers', () => {
  it('give everything once, to whom it was sent, in the order of each sender, and refuse what does not fit', () => {
    const worker = fc.nat(WORKERS - 1);
    const step = fc.oneof(
      {
        weight: 9,
        arbitrary: fc.record({ from: worker, to: worker, count: fc.integer({ min: 1, max: LANE_ENTRIES }) }),
      },
      { weight: 1, arbitrary: fc.record({ taker: worker }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const inboxes = new Inboxes(sharedInboxes(WORKERS), WORKERS);
        const lanes = new Map<string, [number, number][]>();
        const lane = (from: number, to: number): [number, number][] => {
          const key = `${from} to ${to}`;
          const known = lanes.get(key) ?? [];
          lanes.set(key, known);
          return known;
        };
        const expected = (to: number): [number, number][] =>
          Array.from({ length: WORKERS }, (_, from) => lane(from, to).splice(0)).flat();
        let fd = 0;
        for (const one of steps) {
          if ('taker' in one) {
            expect(takenBy(inboxes, one.taker)).toEqual(expected(one.taker));
            continue;
          }
          const { from, to, count } = one;
          for (let sent = 0; sent < count; sent += 1) {
            expect(inboxes.hasRoom(from, to)).toBe(lane(from, to).length < LANE_ENTRIES);
            if (!inboxes.hasRoom(from, to)) break;
            fd += 1;
            inboxes.put(from, to, from + 1, fd);
            lane(from, to).push([from + 1, fd]);
          }
          const waiting = [0, 1, 2].reduce((sum, sender) => sum + lane(sender, to).length, 0);
          expect(inboxes.waiting(to)).toBe(waiting);
          expect(inboxes.underWay).toBe([...lanes.values()].flat().length);
        }
        for (let to = 0; to < WORKERS; to += 1) expect(takenBy(inboxes, to)).toEqual(expected(to));
      }),
    );
  });

  it('go on where their counts wrap around', () => {
    const cells = sharedInboxes(1);
    // Both counts of the only lane, which follows the line of all lanes and that of the only worker.
    cells[32] = 2 ** 31 - 2;
    cells[48] = 2 ** 31 - 2;
    const inboxes = new Inboxes(cells, 1);
    for (let fd = 1; fd <= 4; fd += 1) inboxes.put(0, 0, 7, fd);
    expect(inboxes.waiting(0)).toBe(4);
    expect(takenBy(inboxes, 0)).toEqual([1, 2, 3, 4].map((fd) => [7, fd]));
    expect(inboxes.waiting(0)).toBe(0);
  });

  it('may be sent to while they are emptied: what comes then is there at the next look', () => {
    const inboxes = new Inboxes(sharedInboxes(2), 2);
    inboxes.put(0, 1, 1, 10);
    const taken: number[] = [];
    inboxes.take(1, (_, fd) => {
      taken.push(fd);
      expect(inboxes.waiting(1)).toBe(0);
      inboxes.put(0, 1, 1, fd + 1);
    });
    expect(taken).toEqual([10]);
    expect(takenBy(inboxes, 1)).toEqual([[1, 11]]);
  });

  it('are closed until they are opened, and know no group that is newer than what they were opened for', () => {
    const inboxes = new Inboxes(sharedInboxes(2), 2);
    expect(inboxes.isOpen(1, 1)).toBe(false);
    inboxes.open(1, 3);
    expect([1, 3, 4].map((group) => inboxes.isOpen(1, group))).toEqual([true, true, false]);
    expect(inboxes.isOpen(0, 1)).toBe(false);
    inboxes.open(1, 0);
    expect(inboxes.isOpen(1, 1)).toBe(false);
  });

  it('lose nothing and mix nothing up between threads that send and take as fast as they can', async () => {
    const cells = sharedInboxes(WORKERS);
    const count = 100_000;
    const senders = [1, 2].map((from) => {
      const entry = new URL('inbox-sender.mjs', import.meta.url);
      return new Worker(entry, { workerData: { cells, workers: WORKERS, from, to: 0, count } });
    });
    onTestFinished(async () => void (await Promise.all(senders.map((sender) => sender.terminate()))));
    await Promise.all(senders.map((sender) => once(sender, 'online')));
    const inboxes = new Inboxes(cells, WORKERS);
    const last = [0, 0, 0];
    let wrong = 0;
    while ((last[1] ?? 0) < count || (last[2] ?? 0) < count) {
      inboxes.take(0, (from, fd) => {
        if (fd !== (last[from] ?? 0) + 1) wrong += 1;
        last[from] = fd;
      });
    }
    expect(wrong).toBe(0);
    expect(inboxes.waiting(0)).toBe(0);
  });
});
