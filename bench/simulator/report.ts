/** What was simulated, for people (Markdown and curves) and for programs. Nothing in it but what follows from the seed. */
import { percentileCurve } from '../measure/latency.js';
import { drawPercentiles } from '../report/plot.js';
import { formatNumber, markdownTable } from '../report/table.js';
import type { Scenario } from './scenarios.js';
import type { Balance, Outcome } from './simulation.js';

export interface Cell {
  readonly scenario: Scenario;
  readonly balance: Balance;
  readonly outcome: Outcome;
}

const PERCENTILES = [50, 90, 99, 99.9];

function scenariosOf(cells: readonly Cell[]): Scenario[] {
  return [...new Set(cells.map(({ scenario }) => scenario))];
}

function percentile({ outcome }: Cell, percent: number): number {
  return outcome.latencies.getValueAtPercentile(percent) / 1e6;
}

function failed({ outcome }: Cell): number {
  const { refused, reset, gaveUp } = outcome.failures;
  return refused + reset + gaveUp;
}

function section(scenario: Scenario, cells: readonly Cell[]): string {
  const ideal = cells.find(({ balance }) => balance === 'ideal');
  const head = [
    '',
    ...PERCENTILES.map((percent) => `p${percent} ms`),
    'p99 ÷ ideal',
    'failed',
    'retried',
    'most open ÷ mean',
  ];
  const rows = cells.map((cell) => [
    cell.balance,
    ...PERCENTILES.map((percent) => formatNumber(percentile(cell, percent))),
    ideal === undefined ? '–' : (percentile(cell, 99) / percentile(ideal, 99)).toFixed(2),
    formatNumber(failed(cell)),
    formatNumber(cell.outcome.retries),
    cell.outcome.imbalance.toFixed(2),
    ...scenario.spans.map(({ name }) => (cell.outcome.shares[name] ?? 0).toFixed(2)),
  ]);
  const asked = cells[0]?.outcome.asked ?? 0;
  const title = `### ${scenario.name}: ${scenario.title}\n\n${formatNumber(asked)} connections.`;
  const shares = scenario.spans.map(({ name }) => `share, ${name}`);
  return `${title}\n\n${markdownTable([[...head, ...shares], ...rows])}`;
}

export function report(cells: readonly Cell[], seed: number): string {
  const sections = scenariosOf(cells).map((scenario) =>
    section(
      scenario,
      cells.filter((cell) => cell.scenario === scenario),
    ),
  );
  return [`Simulated, seed ${seed}.`, ...sections].join('\n\n');
}

export function recordOf(cells: readonly Cell[], seed: number): string {
  const results = cells.map((cell) => ({
    scenario: cell.scenario.name,
    balance: cell.balance,
    asked: cell.outcome.asked,
    failures: cell.outcome.failures,
    retries: cell.outcome.retries,
    latencyMs: Object.fromEntries(PERCENTILES.map((percent) => [`p${percent}`, percentile(cell, percent)])),
    imbalance: cell.outcome.imbalance,
    shares: cell.outcome.shares,
  }));
  return JSON.stringify({ seed, results }, undefined, 2);
}

export function plotOf(cells: readonly Cell[], seed: number): string {
  const panels = scenariosOf(cells).map((scenario) => ({
    title: scenario.name,
    curves: cells
      .filter((cell) => cell.scenario === scenario)
      // The least that one client in tens of thousands waited would stretch the axis downwards.
      .map(({ balance, outcome }) => ({
        peer: balance,
        points: percentileCurve(outcome.latencies).filter(({ quantile }) => quantile > 0),
      })),
  }));
  return drawPercentiles(panels, `simulated, seed ${seed}: how long clients waited, from when something went wrong`);
}
