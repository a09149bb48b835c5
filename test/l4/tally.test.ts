import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { clearCell, sharedCells, Tally } from '../../src/l4/tally.js';

/** Enters and leaves as fast as it can, and tells how often it saw more inside than the limit lets in. */
const BUSY = `
const { parentPort, workerData } = require('node:worker_threads');
import(workerData.module).then(({ Tally }) => {
  const { cells, inside, limit, thread } = workerData;
  const tally = new Tally(cells, thread);
  let entered = 0;
  let tooMany = 0;
  for (let i = 0; i < 200_000; i += 1) {
    if (!tally.enter(limit)) continue;
    entered += 1;
    if (Atomics.add(inside, 0, 1) >= limit) tooMany += 1;
    Atomics.sub(inside, 0, 1);
    tally.leave();
  }
  parentPort.postMessage({ entered, tooMany });
});
`;

describe('a count over threads', () => {
  it('lets exactly as many in as the limit says', () => {
    const cells = sharedCells(2);
    const [a, b] = [new Tally(cells, 0), new Tally(cells, 1)];
    expect([a.enter(3), b.enter(3), a.enter(3), b.enter(3)]).toEqual([true, true, true, false]);
    expect([a.total, b.total]).toEqual([3, 3]);
    a.leave();
    expect(b.enter(3)).toBe(true);
  });

  it('takes back what a dead thread had counted, and nothing else', () => {
    const cells = sharedCells(2);
    const [a, b] = [new Tally(cells, 0), new Tally(cells, 1)];
    for (let i = 0; i < 5; i += 1) a.enter(100);
    b.enter(100);
    expect(clearCell(cells, 0)).toBe(5);
    expect(b.total).toBe(1);
  });

  it('lets never more in than the limit says where threads compete', async () => {
    const cells = sharedCells(3);
    const inside = new Int32Array(new SharedArrayBuffer(4));
    const module = new URL('../../build/l4/tally.js', import.meta.url).href;
    const results = await Promise.all(
      [0, 1, 2].map(async (thread) => {
        const workerData = { cells, inside, limit: 2, thread, module };
        const [result] = await once(new Worker(BUSY, { eval: true, workerData }), 'message');
        return result as { entered: number; tooMany: number };
      }),
    );
    expect(results.map(({ tooMany }) => tooMany)).toEqual([0, 0, 0]);
    for (const { entered } of results) expect(entered).toBeGreaterThan(0);
    expect(new Tally(cells, 0).total).toBe(0);
  });
});
