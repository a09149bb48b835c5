import { describe, expect, it } from 'vitest';
import { allPeers } from '../../bench/peers/index.js';
import { summarize } from '../../bench/report/summary.js';
import { formatNumber, markdownTable, sectionMarkdown, targetsMarkdown } from '../../bench/report/table.js';
import { type CellResult, type Outcome, planOf } from '../../bench/run.js';
import { judge, judgeAll, type Target } from '../../bench/targets.js';
import { workloads } from '../../bench/workloads/index.js';

const peers = allPeers([]);

function find<Named extends { name: string }>(all: readonly Named[], name: string): Named {
  const found = all.find((item) => item.name === name);
  if (!found) throw new Error(`no ${name}`);
  return found;
}

function result(round: number, peer: string, outcome: Outcome): CellResult {
  return { cell: { round, workload: find(workloads, 'rr32'), peer: find(peers, peer) }, outcome };
}

function measured(round: number, peer: string, values: Record<string, number>, errors = 0): CellResult {
  return result(round, peer, { kind: 'measured', sample: { values, latencies: [], errors } });
}

const three = [
  measured(0, 'pipe', { rate: 1000, cpu: 20 }),
  measured(0, 'meshproxy', { rate: 900, cpu: 21 }),
  measured(1, 'pipe', { rate: 500, cpu: 40 }),
  measured(1, 'meshproxy', { rate: 450, cpu: 42 }),
  measured(2, 'pipe', { rate: 1100, cpu: 20 }),
  measured(2, 'meshproxy', { rate: 990, cpu: 21 }, 3),
];

describe('the plan', () => {
  it('goes round by round, each workload through all peers in turn, and begins each round with another peer', () => {
    const plan = planOf(
      2,
      [find(workloads, 'rr1'), find(workloads, 'bulk')],
      [find(peers, 'pipe'), find(peers, 'floor')],
    );
    expect(plan.map(({ round, workload, peer }) => `${round} ${workload.name} ${peer.name}`)).toEqual([
      '0 rr1 pipe',
      '0 rr1 floor',
      '0 bulk pipe',
      '0 bulk floor',
      '1 rr1 floor',
      '1 rr1 pipe',
      '1 bulk floor',
      '1 bulk pipe',
    ]);
  });

  it('does not measure what a proxy keeps where there is none', () => {
    expect(planOf(1, [find(workloads, 'idle')], [find(peers, 'direct'), find(peers, 'pipe')])).toHaveLength(1);
  });
});

describe('the summary of rounds', () => {
  it('has medians, spreads and ratios by round', () => {
    const [section] = summarize(three, [find(workloads, 'rr32')], ['pipe', 'meshproxy']);
    const figure = section?.rows[1]?.figures['cpu'];
    expect(figure?.median).toBe(21);
    expect(figure?.spread).toBeCloseTo(0.5);
    expect(figure?.ratios).toEqual({ pipe: 1.05 });
    expect(section?.rows[1]?.errors).toBe(3);
  });

  it('keeps a round that failed apart from those that did not', () => {
    const results = [...three, result(3, 'meshproxy', { kind: 'failed', reason: 'it ended with exit code 1' })];
    const [section] = summarize(results, [find(workloads, 'rr32')], ['meshproxy']);
    expect(section?.rows[0]?.figures['rate']?.median).toBe(900);
    expect(section?.rows[0]?.failures).toEqual(['it ended with exit code 1']);
  });
});

describe('the table', () => {
  it('shows median, spread and ratios, and says what went wrong', () => {
    const results = [...three, result(3, 'pipe', { kind: 'failed', reason: 'no port' })];
    const [section] = summarize(results, [find(workloads, 'rr32')], ['pipe', 'meshproxy']);
    const text = section ? sectionMarkdown(section) : '';
    const row = text.split('\n').find((line) => line.startsWith('| meshproxy'));
    expect(row?.split('|').map((cell) => cell.trim())).toEqual([
      '',
      'meshproxy',
      '900 ±30 %',
      '0.90',
      '–',
      '–',
      '21 ±50 %',
      '1.05',
      '–',
      '',
    ]);
    expect(text).toContain('meshproxy: 3 went wrong.');
    expect(text).toContain('pipe: not measured: no port');
  });

  it('aligns its columns', () => {
    expect(
      markdownTable([
        ['', 'n'],
        ['a', '1 000'],
        ['bcde', '2'],
      ]),
    ).toBe('|      |     n |\n| ---- | ----: |\n| a    | 1 000 |\n| bcde |     2 |');
  });

  it('writes numbers with three digits that count', () => {
    expect([0, 0.123456, 1.5, 99.95, 123.4, 1234, 51_549, 1e6].map(formatNumber)).toEqual([
      '0',
      '0.123',
      '1.5',
      '100',
      '123',
      '1 230',
      '51 500',
      '1 000 000',
    ]);
  });
});

describe('a target', () => {
  const target: Target = { title: 'a title', workload: 'rr32', metric: 'cpu', against: 'pipe', bound: { atMost: 1.1 } };

  it('is met up to its bound and missed past it, in either direction', () => {
    expect(judge(target, 1.1).outcome).toBe('met');
    expect(judge(target, 1.11).outcome).toBe('missed');
    expect(judge({ ...target, bound: { atLeast: 1.7 } }, 1.7).outcome).toBe('met');
    expect(judge({ ...target, bound: { atLeast: 1.7 } }, 1.69).outcome).toBe('missed');
  });

  it('that was not measured is neither', () => {
    expect(judge(target, undefined).outcome).toBe('not measured');
    const withoutPipe = three.filter(({ cell }) => cell.peer.name !== 'pipe');
    expect(judgeAll(withoutPipe).map(({ outcome }) => outcome)).toEqual(['not measured']);
  });

  it('of a workload that was not run is not mentioned', () => {
    expect(judgeAll(three).map(({ target }) => target.workload)).toEqual(['rr32']);
    expect(targetsMarkdown(judgeAll([]))).toEqual([]);
  });

  it('is judged by the same ratio as the table shows, and printed with it', () => {
    const verdict = judgeAll(three).find(({ target: { workload } }) => workload === 'rr32');
    expect(verdict).toMatchObject({ ratio: 1.05, outcome: 'met' });
    expect(targetsMarkdown(verdict ? [verdict] : []).join()).toContain(
      '**met**: 1.05 (rr32: CPU per request at most 1.1 × pipe)',
    );
  });
});
