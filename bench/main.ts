/** `npm run bench`: meshproxy and its peers side by side. START HERE; README.md says how to read what it prints. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadEngine } from './load/engine.js';
import { profiler, profilerMissing } from './measure/profile.js';
import { paths } from './paths.js';
import { direct } from './peers/direct.js';
import { allPeers } from './peers/index.js';
import { mostConnections, type Peer } from './peers/peer.js';
import { formatDuration, progressOn } from './report/progress.js';
import { describeRun, panelsOf, type RunFacts, recordOf, writeResults } from './report/record.js';
import { summarize } from './report/summary.js';
import { sectionMarkdown, targetsMarkdown } from './report/table.js';
import { type Bench, type CellResult, type Contest, planOf, runPlan, secondsOf } from './run.js';
import { parseSettings, type Settings, select } from './settings.js';
import { ask, killAll } from './system/children.js';
import { describeMachine, type Machine, pinningFor } from './system/machine.js';
import { judgeAll } from './targets.js';
import { idle } from './workloads/idle.js';
import { workloads as allWorkloads } from './workloads/index.js';
import { twoWorkers } from './workloads/workers.js';

/** What will take part, and a line for each that will not. */
interface Field {
  readonly contests: readonly Contest[];
  readonly versions: Readonly<Record<string, string>>;
  readonly missing: readonly string[];
}

function warn(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}

async function fieldFor(settings: Settings): Promise<Field> {
  const contests: Contest[] = [];
  const versions: Record<string, string> = {};
  const missing: string[] = [];
  const present = async (peers: readonly Peer[]) => {
    const there: Peer[] = [];
    for (const peer of peers) {
      const detection = await peer.detect();
      if (detection.kind === 'missing') {
        missing.push(`${peer.name} left out: ${detection.why}`);
        continue;
      }
      there.push(peer);
      versions[peer.name] = detection.version;
    }
    return there;
  };
  const extra = settings.meshproxyArguments;
  const { peers: named } = settings;
  const all = allPeers(extra);
  // Those that workloads bring can be named as well.
  const known = [...all, ...allWorkloads.flatMap((workload) => workload.peers?.(extra) ?? [])];
  const wanted = named && new Set(select(known, named, 'peer').map(({ name }) => name));
  const among = (peers: readonly Peer[]) => peers.filter(({ name }) => wanted?.has(name) ?? true);
  const peers = await present(among(all));
  for (const workload of select(allWorkloads, settings.only, 'workload')) {
    const brought = workload.peers?.(extra);
    const own = brought && among(brought);
    // Unless named itself: one that brings its own peers is about none of those that were named.
    const isAside = (workload.fullRunOnly && settings.quick) || own?.length === 0;
    if (isAside && settings.only === undefined) continue;
    const why = await workload.missing?.();
    if (why !== undefined) missing.push(`${workload.name} left out: ${why}`);
    else contests.push({ workload, peers: brought ? await present(own?.length ? own : brought) : peers });
  }
  return { contests: contests.filter(({ peers }) => peers.length > 0), versions, missing };
}

/** As many idle connections as asked for, or as the descriptors of one process allow. */
function idleConnections(wanted: number, machine: Machine, field: Field): number {
  const possible = mostConnections(machine.descriptors);
  if (wanted > possible && field.contests.some(({ workload }) => workload === idle || workload === twoWorkers)) {
    warn(
      `${possible} idle connections instead of ${wanted}: a process may have ${machine.descriptors} descriptors here; ulimit -Hn raises that`,
    );
  }
  return Math.min(wanted, possible);
}

async function benchFor(settings: Settings, machine: Machine, field: Field): Promise<Bench> {
  const hasTaskset = settings.pin && (await ask('taskset', '--version')) !== undefined;
  return {
    load: await loadEngine(settings.load, warn),
    pinning: (threads) => pinningFor(machine.cores, hasTaskset, threads),
    descriptors: machine.descriptors,
    scratch,
    intensity: {
      seconds: settings.seconds,
      warmupSeconds: settings.warmupSeconds,
      rate: settings.rate,
      idleConnections: idleConnections(settings.idleConnections, machine, field),
    },
  };
}

/** One more round, watched: prints what the profiler found of each cell. */
async function profile(settings: Settings, bench: Bench, field: Field): Promise<void> {
  const tool = settings.profile;
  const why = tool && (await profilerMissing(tool));
  if (why !== undefined) warn(`profile left out: ${why}`);
  if (tool === undefined || why !== undefined) return;
  const found: string[] = [];
  const watching = profiler(tool, scratch, (text) => void found.push(text));
  const print = ({ cell, outcome }: CellResult) => {
    const texts = found.splice(0);
    const text = outcome.kind === 'failed' ? outcome.reason : texts.join('\n\n');
    (settings.json ? console.error : console.log)(
      `\n### ${cell.workload.name} through ${cell.peer.name}, by ${tool}\n\n${text}`,
    );
  };
  const plan = planOf(1, field.contests).filter(({ peer }) => peer !== direct);
  await runPlan({ ...bench, profiler: watching }, plan, () => {}, print);
}

async function main(): Promise<void> {
  const brought = allWorkloads.flatMap((workload) => workload.peers?.([]) ?? []);
  const peerNames = [...new Set([...allPeers([]), ...brought].map(({ name }) => name))];
  const settings = parseSettings(
    process.argv.slice(2),
    allWorkloads.map(({ name }) => name),
    peerNames,
  );
  const field = await fieldFor(settings);
  for (const line of field.missing) warn(line);
  const machine = await describeMachine();
  const bench = await benchFor(settings, machine, field);
  const facts: RunFacts = {
    date: new Date(),
    machine,
    commit: await ask('git', '-C', paths.root, 'describe', '--always', '--dirty'),
    versions: field.versions,
    missing: field.missing,
    bench,
    rounds: settings.rounds,
  };

  const plan = planOf(settings.rounds, field.contests);
  warn(`${plan.length} cells, about ${formatDuration(secondsOf(plan, bench.intensity) * 1000)}`);
  const progress = progressOn(process.stderr, plan.length);
  const results = await runPlan(bench, plan, progress.before, progress.after);
  progress.end();

  const sections = summarize(results, field.contests);
  const verdicts = judgeAll(results, machine.cores);
  const record = recordOf(facts, { results, sections, verdicts });
  if (settings.json) console.log(JSON.stringify(record, undefined, 2));
  else console.log([describeRun(facts), ...sections.map(sectionMarkdown), ...targetsMarkdown(verdicts)].join('\n\n'));
  for (const path of await writeResults(settings.out, record, facts, panelsOf(sections))) warn(`written: ${path}`);
  await profile(settings, bench, field);
  if (results.some(({ outcome }) => outcome.kind === 'failed')) process.exitCode = 1;
}

/** What peers write goes here, and with this program. */
const scratch = mkdtempSync(join(tmpdir(), 'meshproxy-bench-'));
process.on('exit', () => {
  killAll();
  rmSync(scratch, { recursive: true, force: true });
});
/** Exit code by signal: 128 and its number, as shells have it. */
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
for (const [signal, code] of Object.entries(SIGNALS)) process.on(signal, () => process.exit(code));

main().catch((error: unknown) => {
  warn(error instanceof Error ? error.message : String(error));
  process.exit(1);
});
