import { describe, expect, it } from 'vitest';
import { largestShare, parseWorkerCounts } from '../../bench/measure/worker-counts.js';

const PAGE = `# HELP meshproxy_worker_accepted_total Connections accepted, by worker.
# TYPE meshproxy_worker_accepted_total counter
meshproxy_worker_accepted_total{worker="0"} 120
meshproxy_worker_accepted_total{worker="1"} 1e3
meshproxy_worker_accepted_total_other{worker="1"} 7
meshproxy_connections_accepted_total{listener="default"} 1120
`;

describe('the counts of the workers', () => {
  it('are read out of a page of metrics, one for each', () => {
    expect([...parseWorkerCounts(PAGE)]).toEqual([
      ['0', 120],
      ['1', 1000],
    ]);
  });

  it('add up where a worker has several, for each of its listeners', () => {
    const page = ['a', 'b']
      .map((name) => `meshproxy_worker_accepted_total{listener="${name}",worker="0"} 5`)
      .join('\n');
    expect([...parseWorkerCounts(page)]).toEqual([['0', 10]]);
  });

  it('are missed where the page says nothing of them', () => {
    expect(() => parseWorkerCounts('meshproxy_up 1\n')).toThrow('no meshproxy_worker_accepted_total');
  });
});

describe('the largest share', () => {
  const counts = (...each: number[]) => new Map(each.map((count, worker) => [String(worker), count]));

  it('is of what came between two readings, a worker that is new included', () => {
    expect(largestShare(counts(1000, 10), counts(1008, 34), 32)).toBe(0.75);
    expect(largestShare(counts(10), counts(10, 32), 32)).toBe(1);
    expect(largestShare(counts(0, 0), counts(16, 16), 32)).toBe(0.5);
  });

  it('is not known where the counts do not add up to what was opened', () => {
    expect(() => largestShare(counts(0, 0), counts(10, 12), 32)).toThrow('the workers accepted 22 connections of 32');
  });
});
