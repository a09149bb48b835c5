import { describe, expect, it } from 'vitest';
import { allPeers } from '../../bench/peers/index.js';
import { summarize } from '../../bench/report/summary.js';
import { formatNumber, markdownTable, sectionMarkdown } from '../../bench/report/table.js';
import { type CellResult, type Contest, type Outcome, planOf } from '../../bench/run.js';
import { workloads } from '../../bench/workloads/index.js';

const peers = allPeers([]);

function find<Named extends { name: string }>(all: readonly Named[], name: string): Named {
  const found = all.find((item) => item.name === name);
  if (!found) throw new Error(`no ${name}`);
  return found;
}

function contest(workload: string, ...names: string[]): Contest {
  return { workload: find(workloads, workload), peers: names.map((name) => find(peers, name)) };
}

function result(round: number, peer: string, outcome: Outcome): CellResult {
  return { cell: { round, workload: find(workloads, 'rr32'), peer: find(peers, peer) }, outcome };
}

function measured(round: number, peer: string, values: Record<string, number>, errors = 0): CellResult {
  return result(round, peer, { kind: 'measured', sample: { values, latencies: [], errors } });
}

const three = [
  measured(0, 'pipe', { rate: 1000, cpu: 20 }),
  measured(0, 'streams', { rate: 900, cpu: 21 }),
  measured(1, 'pipe', { rate: 500, cpu: 40 }),
  measured(1, 'streams', { rate: 450, cpu: 42 }),
  measured(2, 'pipe', { rate: 1100, cpu: 20 }),
  measured(2, 'streams', { rate: 990, cpu: 21 }, 3),
];

describe('the plan', () => {
  it('goes round by round, each workload through all peers in turn, and begins each round with another peer', () => {
    const plan = planOf(
      2,
      ['rr1', 'bulk'].map((name) => contest(name, 'pipe', 'floor')),
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
    expect(planOf(1, [contest('idle', 'direct', 'pipe')])).toHaveLength(1);
  });
});

describe('the summary of rounds', () => {
  it('has medians, spreads and ratios by round', () => {
    const [section] = summarize(three, [contest('rr32', 'pipe', 'streams')]);
    const figure = section?.rows[1]?.figures['cpu'];
    expect(figure?.median).toBe(21);
    expect(figure?.spread).toBeCloseTo(0.5);
    expect(figure?.ratios).toEqual({ pipe: 1.05 });
    expect(section?.rows[1]?.errors).toBe(3);
  });

  it('keeps a round that failed apart from those that did not', () => {
    const results = [...three, result(3, 'streams', { kind: 'failed', reason: 'it ended with exit code 1' })];
    const [section] = summarize(results, [contest('rr32', 'streams')]);
    expect(section?.rows[0]?.figures['rate']?.median).toBe(900);
    expect(section?.rows[0]?.failures).toEqual(['it ended with exit code 1']);
  });
});

describe('the table', () => {
  it('shows median, spread and ratios, and says what went wrong', () => {
    const results = [...three, result(3, 'pipe', { kind: 'failed', reason: 'no port' })];
    const [section] = summarize(results, [contest('rr32', 'pipe', 'streams')]);
    const text = section ? sectionMarkdown(section) : '';
    const row = text.split('\n').find((line) => line.startsWith('| streams'));
    expect(row?.split('|').map((cell) => cell.trim())).toEqual([
      '',
      'streams',
      '900 ±30 %',
      '0.90',
      '–',
      '–',
      '–',
      '21 ±50 %',
      '1.05',
      '–',
      '',
    ]);
    expect(text).toContain('streams: 3 went wrong.');
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
