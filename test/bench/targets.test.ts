import { describe, expect, it } from 'vitest';
import { allPeers } from '../../bench/peers/index.js';
import { targetsMarkdown } from '../../bench/report/table.js';
import type { CellResult } from '../../bench/run.js';
import { fieldOf, judge, judgeAll, nativeTargets, type Target, targets } from '../../bench/targets.js';
import { workloads } from '../../bench/workloads/index.js';

const peers = [...allPeers([]), ...workloads.flatMap((workload) => workload.peers?.([]) ?? [])];

function cell(round: number, workloadName: string, peerName: string, values: Record<string, number>): CellResult {
  const workload = workloads.find(({ name }) => name === workloadName);
  const peer = peers.find(({ name }) => name === peerName);
  if (!workload || !peer) throw new Error(`no ${workloadName} or no ${peerName}`);
  return {
    cell: { round, workload, peer },
    outcome: { kind: 'measured', sample: { values, latencies: [], errors: 0 } },
  };
}

const ratio: Target = {
  title: 'a title',
  workload: 'rr32',
  metric: 'cpu',
  peer: 'streams',
  against: 'pipe',
  bound: { atMost: 1.1 },
};

describe('a target', () => {
  it('is met up to its bound and missed past it, in either direction', () => {
    expect(judge(ratio, 1.1, 2).outcome).toBe('met');
    expect(judge(ratio, 1.11, 2).outcome).toBe('missed');
    expect(judge({ ...ratio, bound: { atLeast: 1.7 } }, 1.7, 2).outcome).toBe('met');
    expect(judge({ ...ratio, bound: { atLeast: 1.7 } }, 1.69, 2).outcome).toBe('missed');
    expect(judge({ ...ratio, bound: { under: 4096 } }, 4095.9, 2).outcome).toBe('met');
    expect(judge({ ...ratio, bound: { under: 4096 } }, 4096, 2).outcome).toBe('missed');
  });

  it('that was not measured is neither', () => {
    expect(judge(ratio, undefined, 2).outcome).toBe('not measured');
    expect(judgeAll([cell(0, 'rr32', 'streams', { cpu: 20 })], 2)).toMatchObject([
      { value: undefined, outcome: 'not measured' },
    ]);
  });

  it('that takes more cores than there are is not missed for the want of them', () => {
    const scaling: Target = { ...ratio, bound: { atLeast: 1.7 }, cores: 4 };
    expect(judge(scaling, 1.1, 3).outcome).toBe('cores do not allow');
    expect(judge(scaling, 1.1, 4).outcome).toBe('missed');
    expect(judge(scaling, 1.8, 3).outcome).toBe('met');
  });

  it('is not mentioned where its workload or its peer was not run', () => {
    expect(judgeAll([cell(0, 'http', 'meshproxy', { cpu: 20 }), cell(0, 'rr32', 'pipe', { cpu: 20 })], 2)).toEqual([]);
    expect(targetsMarkdown([])).toEqual([]);
  });
});

describe('the targets', () => {
  it('judge a comparison by the median of the ratios of the rounds, not by the ratio of the medians', () => {
    const costs = [
      [20, 21],
      [40, 42],
      [20, 60],
    ];
    const results = costs.flatMap(([pipe = 0, streams = 0], round) => [
      cell(round, 'rr32', 'pipe', { cpu: pipe }),
      cell(round, 'rr32', 'streams', { cpu: streams }),
    ]);
    const verdicts = judgeAll(results, 2);
    expect(verdicts).toMatchObject([{ value: 1.05, outcome: 'met' }]);
    expect(targetsMarkdown(verdicts).join()).toContain(
      '**met**: 1.05 (rr32: CPU per request of streams at most 1.1 × pipe)',
    );
  });

  it('judge a figure by itself where there is nothing to compare it with', () => {
    const results = [4000, 4300, 4200].flatMap((bytes, round) => [
      cell(round, 'idle', 'haproxy', { bytes: 5000 }),
      cell(round, 'idle', 'meshproxy', { bytes }),
    ]);
    const text = targetsMarkdown(judgeAll(results, 2)).join();
    expect(text).toContain('**met**: 0.84 (idle: resident bytes per connection of meshproxy at most 1 × haproxy)');
    expect(text).toContain('**missed**: 4 200 (idle: resident bytes per connection of meshproxy under 4096)');
  });

  it('say what two workers cost where there are no cores to show what they bring', () => {
    const results = [
      cell(0, 'workers2', '1 worker', { rate: 50_000, cpu: 20 }),
      cell(0, 'workers2', '2 workers', { rate: 55_000, cpu: 21, share32: 0.53, share256: 0.61, shareIdle: 0.5 }),
    ];
    expect(judgeAll(results, 2).map(({ value, outcome }) => [value, outcome])).toEqual([
      [1.1, 'cores do not allow'],
      [1.05, 'met'],
      [0.53, 'met'],
      [0.61, 'missed'],
      [0.5, 'met'],
    ]);
  });

  it('are about workloads, metrics and peers that there are', () => {
    for (const { workload, metric, peer, against } of targets) {
      const found = workloads.find(({ name }) => name === workload);
      expect(found?.metrics.map(({ key }) => key)).toContain(metric);
      const names = (found?.peers?.([]) ?? allPeers([])).map(({ name }) => name);
      expect(names).toEqual(expect.arrayContaining(against === undefined ? [peer] : [peer, against]));
    }
  });

  it('know what it takes to judge them', () => {
    expect(fieldOf(nativeTargets)).toEqual({
      workloads: ['rr32', 'bulk', 'connect', 'idle', 'workers2'],
      peers: ['meshproxy', 'haproxy', 'floor', '2 workers', '1 worker'],
    });
  });
});
