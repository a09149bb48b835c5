/** The record of a run: what was measured, on what, with what settings, and every figure of every round. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { histogramOf, percentileCurve } from '../measure/latency.js';
import type { Bench, CellResult } from '../run.js';
import type { Machine } from '../system/machine.js';
import type { Verdict } from '../targets.js';
import { drawPercentiles, type Panel } from './plot.js';
import { renderPng } from './png.js';
import type { Section } from './summary.js';

/** What a run was, apart from what it measured. */
export interface RunFacts {
  readonly date: Date;
  readonly machine: Machine;
  /** `git describe` of the source, or `undefined` outside a clone. */
  readonly commit: string | undefined;
  /** By peer. */
  readonly versions: Readonly<Record<string, string>>;
  /** What was left out, and how it could take part. */
  readonly missing: readonly string[];
  readonly bench: Bench;
  readonly rounds: number;
}

export interface RunFigures {
  readonly results: readonly CellResult[];
  readonly sections: readonly Section[];
  readonly verdicts: readonly Verdict[];
}

/** The record as it is written, in JSON: stable names, plain values. */
export function recordOf(facts: RunFacts, figures: RunFigures): object {
  const { bench } = facts;
  return {
    date: facts.date.toISOString(),
    commit: facts.commit ?? null,
    machine: facts.machine,
    versions: facts.versions,
    missing: facts.missing,
    settings: { rounds: facts.rounds, ...bench.intensity, load: bench.load.kind, cores: bench.pinning(1) },
    targets: figures.verdicts.map(({ target, value, outcome }) => ({ ...target, value: value ?? null, outcome })),
    summary: figures.sections.map(({ workload, title, rows }) => ({
      workload,
      title,
      rows: rows.map(({ latencies, ...row }) => ({ ...row, percentiles: percentileCurve(histogramOf(latencies)) })),
    })),
    rounds: figures.results.map(({ cell, outcome }) => ({
      round: cell.round,
      workload: cell.workload.name,
      peer: cell.peer.name,
      ...(outcome.kind === 'failed'
        ? { failed: outcome.reason }
        : { values: outcome.sample.values, errors: outcome.sample.errors }),
    })),
  };
}

/** The run in one line: for under a title. */
export function describeRun(facts: RunFacts): string {
  const { machine, bench, rounds, date } = facts;
  const { proxy, load } = bench.pinning(1);
  return [
    `${machine.cpu}, ${machine.cores} cores`,
    proxy === undefined ? 'nothing pinned' : `proxy on core ${proxy}, load on ${load}`,
    `${machine.kernel}, Node ${machine.node}`,
    `${rounds} round${rounds === 1 ? '' : 's'} of ${bench.intensity.seconds} s, load in ${bench.load.kind === 'native' ? 'C' : 'TypeScript'}`,
    `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`,
  ].join(' · ');
}

export function panelsOf(sections: readonly Section[]): Panel[] {
  return sections
    .filter((section) => section.rows.some((row) => row.latencies.length > 0))
    .map((section) => ({
      title: `${section.workload}: ${section.title}`,
      curves: section.rows
        .filter((row) => row.latencies.length > 0)
        .map((row) => ({ peer: row.peer, points: percentileCurve(histogramOf(row.latencies)) })),
    }));
}

/** Writes record and plot, named after the time of the run; gives the paths. */
export async function writeResults(folder: string, record: object, facts: RunFacts, panels: readonly Panel[]) {
  const base = join(folder, facts.date.toISOString().slice(0, 19).replaceAll(':', '-'));
  await mkdir(folder, { recursive: true });
  await writeFile(`${base}.json`, `${JSON.stringify(record, undefined, 2)}\n`);
  if (panels.length === 0) return [`${base}.json`];
  const svg = drawPercentiles(panels, describeRun(facts));
  await writeFile(`${base}.svg`, svg);
  await writeFile(`${base}.png`, renderPng(svg));
  return [`${base}.json`, `${base}.svg`, `${base}.png`];
}
