/** The plan of a run, and its cells: one workload through one peer in one round each. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { LoadEngine } from './load/engine.js';
import { parseLoadResult } from './load/result.js';
import { type Usage, usageOf } from './measure/proc.js';
import type { Profiler } from './measure/profile.js';
import { direct } from './peers/direct.js';
import type { Peer } from './peers/peer.js';
import { type Child, type Command, pinned, run, start } from './system/children.js';
import type { Pinning } from './system/machine.js';
import { freePort, listening } from './system/ports.js';
import type { Cell, Intensity, Sample, Workload } from './workloads/workload.js';

/** A workload and those it compares. */
export interface Contest {
  readonly workload: Workload;
  readonly peers: readonly Peer[];
}

export interface PlannedCell {
  /** From 0. */
  readonly round: number;
  readonly workload: Workload;
  readonly peer: Peer;
}

export type Outcome =
  | { readonly kind: 'measured'; readonly sample: Sample }
  | { readonly kind: 'failed'; readonly reason: string };

export interface CellResult {
  readonly cell: PlannedCell;
  readonly outcome: Outcome;
}

/** What all cells of a run have in common. */
export interface Bench {
  readonly load: LoadEngine;
  /** For a proxy of so many threads. */
  pinning(threads: number): Pinning;
  readonly intensity: Intensity;
  readonly descriptors: number;
  /** A folder for what peers have to write. */
  readonly scratch: string;
  /** Watches the proxies in a run for a profile, the figures of which count for nothing. */
  readonly profiler?: Profiler;
}

/** Past the time a client was given: connecting, the answers still due, and a machine that is busy with something else. */
const CLIENT_GRACE_MS = 20_000;

/** Starting upstream, proxy and clients and ending them takes about this much of a cell; so does, for idle connections, all that there is. */
const CELL_OVERHEAD_SECONDS = 1.5;

/**
 * Rounds one after the other, and within a round the peers one after the other for each workload: what is compared was
 * measured at nearly the same time. Each round starts with another peer, so that none always comes first.
 */
export function planOf(rounds: number, contests: readonly Contest[]): PlannedCell[] {
  const plan: PlannedCell[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const { workload, peers } of contests) {
      const first = peers.length === 0 ? 0 : round % peers.length;
      for (const peer of [...peers.slice(first), ...peers.slice(0, first)]) {
        if (!(workload.proxiesOnly && peer === direct)) plan.push({ round, workload, peer });
      }
    }
  }
  return plan;
}

/** About how long a plan takes. */
export function secondsOf(plan: readonly PlannedCell[], { seconds, warmupSeconds }: Intensity): number {
  return plan.length * (seconds + warmupSeconds + CELL_OVERHEAD_SECONDS);
}

/** What of a cell is running. */
interface Running {
  readonly port: number;
  readonly adminPort: number;
  /** None, one, or both ends of a hop. */
  readonly proxies: readonly Child[];
  /** The cores of the load. */
  readonly cores: string | undefined;
  /** What is to be ended with the cell. */
  readonly started: Child[];
}

function cellFor(bench: Bench, { port, adminPort, proxies, cores, started }: Running): Cell {
  const client = (command: Command, seconds: number) => run(pinned(command, cores), seconds * 1000 + CLIENT_GRACE_MS);
  return {
    intensity: bench.intensity,
    port,
    adminPort,
    client,
    async load(program, options) {
      const command = bench.load.command(program, { port, ...options });
      return parseLoadResult(await client(command, options.seconds ?? 0));
    },
    async hold(program, options) {
      const child = await start(pinned(bench.load.command(program, { port, ...options }), cores));
      started.push(child);
      return child;
    },
    usage: () => totalOf(proxies),
    watched: (work) => watchedBy(bench.profiler, proxies, work),
  };
}

function totalOf(proxies: readonly Child[]): Usage | undefined {
  let total: Usage | undefined;
  for (const { pid } of proxies) {
    const usage = usageOf(pid);
    if (usage === undefined) return undefined;
    const { cpuSeconds, residentBytes } = total ?? { cpuSeconds: 0, residentBytes: 0 };
    total = { cpuSeconds: cpuSeconds + usage.cpuSeconds, residentBytes: residentBytes + usage.residentBytes };
  }
  return total;
}

/** Each proxy by a watcher of its own. */
function watchedBy<Result>(
  profiler: Profiler | undefined,
  [first, ...others]: readonly Child[],
  work: () => Promise<Result>,
): Promise<Result> {
  if (profiler === undefined || first === undefined) return work();
  return profiler.watch(first.pid, () => watchedBy(profiler, others, work));
}

/** Starts upstream and proxy afresh, runs the workload, and ends what it started. */
async function measureCell(bench: Bench, { workload, peer }: PlannedCell): Promise<Sample> {
  const started: Child[] = [];
  const directory = await mkdtemp(join(bench.scratch, 'cell-'));
  const cores = bench.pinning(workload.threads ?? 1);
  const serve = async (command: Command, on: string | undefined, port: number) => {
    const child = await start(pinned(command, on));
    started.push(child);
    await listening(port, child.ended);
    return child;
  };
  try {
    const upstreamPort = await freePort();
    const upstream = await workload.upstream({ load: bench.load, port: upstreamPort, directory });
    await serve(upstream, cores.load, upstreamPort);
    const proxies: Child[] = [];
    let port = upstreamPort;
    const adminPort = await freePort();
    for (const end of [peer.far, peer.command]) {
      const listenPort = await freePort();
      const { scratch, descriptors } = bench;
      const command = await end?.({ listenPort, upstreamPort: port, adminPort, directory, scratch, descriptors });
      if (command === undefined) continue;
      proxies.push(await serve(bench.profiler?.prepared(command) ?? command, cores.proxy, listenPort));
      port = listenPort;
    }
    return await workload.run(cellFor(bench, { port, adminPort, proxies, cores: cores.load, started }));
  } finally {
    // The client first: a proxy that is ended under load has things to say that concern nobody.
    for (const child of started.reverse()) await child.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Why, in one line. */
function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').trim();
}

/** Runs the plan, telling `before` and `after` about each cell. A cell that fails is a result like any other. */
export async function runPlan(
  bench: Bench,
  plan: readonly PlannedCell[],
  before: (cell: PlannedCell, index: number) => void,
  after: (result: CellResult, index: number) => void,
): Promise<CellResult[]> {
  const results: CellResult[] = [];
  for (const [index, cell] of plan.entries()) {
    before(cell, index);
    const outcome = await measureCell(bench, cell).then(
      (sample): Outcome => ({ kind: 'measured', sample }),
      (error: unknown): Outcome => ({ kind: 'failed', reason: reasonOf(error) }),
    );
    const result = { cell, outcome };
    results.push(result);
    after(result, index);
  }
  return results;
}
