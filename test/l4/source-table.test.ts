import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MOST_SOURCES, newSourceCells, SourceTable } from '../../src/l4/source-table.js';

const START = 1_000_000;

function table(cells = newSourceCells()): SourceTable {
  return new SourceTable(cells);
}

/** How full the first bucket of a source is, one more put in. */
function count(one: SourceTable, source: string, now = START): number | undefined {
  return one.find(source, now).buckets[0]?.add(1, 0, now);
}

describe('the table of sources', () => {
  it('keeps the sources apart, and is one for all threads', () => {
    const cells = newSourceCells();
    const [one, other] = [table(cells), table(cells)];
    expect([count(one, 'a'), count(other, 'a'), count(one, 'b'), count(other, 'b')]).toEqual([1, 2, 1, 2]);
  });

  it('keeps the buckets of a source apart', () => {
    const { buckets } = table().find('a', START);
    expect(buckets.map((bucket, index) => bucket.add(index + 1, 0, START))).toEqual([1, 2, 3]);
    expect(buckets.map((bucket) => bucket.add(0, 0, START))).toEqual([1, 2, 3]);
  });

  it('takes the same memory for any number of sources, and does not lose for them one that keeps coming', () => {
    const cells = newSourceCells();
    const one = table(cells);
    const noisy: (number | undefined)[] = [];
    for (let source = 0; source < 20 * MOST_SOURCES; source += 1) {
      const now = START + source;
      one.find(`10.0.0.${source}`, now).buckets[0]?.add(1, 0.001, now);
      if (source % 100 === 0) noisy.push(one.find('noisy', now).buckets[0]?.add(1, 0, now));
    }
    expect(noisy).toEqual(noisy.map((_, index) => index + 1));
    expect(cells.byteLength).toBeLessThan(256 * 1024);
  });

  it('gives a source that takes the place of another empty buckets, and tells the other that it has lost it', () => {
    const one = table();
    const first = one.find('first', START);
    for (const bucket of first.buckets) bucket.add(7, 0, START);
    let source = 0;
    while (one.isCurrent(first)) {
      source += 1;
      const place = one.find(String(source), START + source);
      expect(place.buckets.map((bucket) => bucket.add(1, 0, START + source))).toEqual([1, 1, 1]);
    }
    expect(count(one, 'first', START + source)).toBe(1);
  });

  it('has room for as many sources as its sets spread evenly', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 200 }), (sources) => {
        const one = table();
        const counts = new Map<string, number>();
        for (const source of sources) {
          counts.set(source, (counts.get(source) ?? 0) + 1);
          expect(count(one, source)).toBe(counts.get(source));
        }
      }),
      { numRuns: 50 },
    );
  });
});
