/**
 * `npm run bench:overload`: what is left of a service, and of a proxy, that gets three times what it can do, with and
 * without what protects them.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { nodeEngine } from './load/engine.js';
import { boundedServer, measure, type RunResult, type Scene } from './overload/scene.js';
import { formatNumber, markdownTable } from './report/table.js';
import { list, select, within } from './settings.js';
import { ask, killAll } from './system/children.js';
import { describeMachine, pinningFor } from './system/machine.js';

/** Of what can be done: unloaded, near to it, and past it. */
const LOADS = [0.3, 0.8, 1, 1.5, 3];
/** So many that come again and again keep it busy, and wait for little. */
const CAPACITY_CLIENTS = 12;

/** How the last load is judged. */
const GOODPUT = 0.9;
const TIMES_UNLOADED = 2;

/** An upstream that works on so many at a time, so long on each. */
const SLOTS = 8;
const DELAY_MS = 20;

function serviceScene(): Scene {
  return {
    name: 'service',
    title: `a service whose upstream works on ${SLOTS} messages at a time and takes ${DELAY_MS} ms for each`,
    targetMs: 50,
    clients: 'plain',
    upstream: (port) => boundedServer(port, SLOTS, DELAY_MS),
    args: [],
    protection: ['--max-connections-per-service', String(SLOTS), '--queue-target', '50ms'],
    unprotected: [],
  };
}

/** The dearest handshake there is, for the one who serves: what a client does for it is little. */
function proxyScene(folder: string): Scene {
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const made = ['req', '-x509', '-newkey', 'rsa:4096', '-nodes', '-subj', '/CN=localhost', '-days', '2'];
  const { status, error } = spawnSync('openssl', [...made, '-keyout', key, '-out', certificate]);
  if (status !== 0) throw new Error(`openssl cannot make a certificate: ${error?.message ?? `exit code ${status}`}`);
  return {
    name: 'proxy',
    title: 'a proxy that accepts TLS with a key of RSA 4096, which takes all of its one thread',
    targetMs: 100,
    clients: 'tls',
    upstream: (port) => nodeEngine.command('server', { port, mode: 'echo' }),
    args: ['--tls-accept', 'terminate', '--tls-certificate', certificate, '--tls-key', key],
    protection: ['--shed-target', '100ms'],
    unprotected: ['--shed-target', 'off'],
  };
}

interface Cell {
  readonly load: number;
  readonly rate: number;
  readonly result: RunResult;
}

function percentile({ latenciesMs }: RunResult, share: number): number {
  const sorted = [...latenciesMs].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function goodput({ answered, seconds }: RunResult): number {
  return answered / seconds;
}

function table(cells: readonly Cell[]): string {
  const head = ['offered ÷ capacity', 'offered/s', 'answered/s', 'refused/s', 'gave up/s', 'p50 ms', 'p99 ms'];
  const rows = cells.map(({ load, rate, result }) => [
    load.toFixed(1),
    formatNumber(rate),
    formatNumber(goodput(result)),
    formatNumber(result.refused / result.seconds),
    formatNumber(result.gaveUp / result.seconds),
    formatNumber(percentile(result, 0.5)),
    formatNumber(percentile(result, 0.99)),
  ]);
  return markdownTable([head, ...rows]);
}

function verdicts({ targetMs }: Scene, cells: readonly Cell[]): string[] {
  const [unloaded, last] = [cells[0], cells.at(-1)];
  if (unloaded === undefined || last === undefined) return [];
  const share = goodput(last.result) / Math.max(...cells.map(({ result }) => goodput(result)));
  const bound = TIMES_UNLOADED * percentile(unloaded.result, 0.99) + targetMs;
  const p99 = percentile(last.result, 0.99);
  const judged = (met: boolean, words: string): string => `- **${met ? 'met' : 'missed'}**: ${words}`;
  return [
    judged(
      share >= GOODPUT,
      `answered at ${last.load} × capacity: ${share.toFixed(2)} of the most (at least ${GOODPUT})`,
    ),
    judged(
      p99 < bound,
      `p99 there: ${formatNumber(p99)} ms (under ${formatNumber(bound)}: twice the unloaded one and the target of ${targetMs} ms)`,
    ),
  ];
}

async function main(folder: string): Promise<void> {
  const program = new Command('npm run bench:overload --')
    .description('Sends a service, and a proxy, up to three times what they can do.')
    .option('--only <scenes>', 'of: service, proxy', list)
    .option('--seconds <s>', 'of load in each cell', within(1, 600, false), 6)
    .parse();
  const options = program.opts();
  const seconds: number = options['seconds'];
  const { cores } = await describeMachine();
  const pinning = pinningFor(cores, (await ask('taskset', '--version')) !== undefined, 1);
  for (const scene of select([serviceScene(), proxyScene(folder)], options['only'], 'scene')) {
    const most = await measure(scene, true, { 'at-once': CAPACITY_CLIENTS }, seconds, pinning);
    const capacity = goodput(most);
    console.log(`### ${scene.name}: ${scene.title}\n`);
    for (const isProtected of [true, false]) {
      const cells: Cell[] = [];
      for (const load of LOADS) {
        const rate = load * capacity;
        console.error(
          `${scene.name}, ${isProtected ? 'protected' : 'unprotected'}, ${load} × ${formatNumber(capacity)}/s`,
        );
        cells.push({ load, rate, result: await measure(scene, isProtected, { rate }, seconds, pinning) });
      }
      const how = isProtected ? scene.protection : scene.unprotected;
      console.log(`With ${how.length === 0 ? 'the defaults' : `\`${how.join(' ')}\``}:\n\n${table(cells)}\n`);
      if (isProtected) console.log(`${verdicts(scene, cells).join('\n')}\n`);
    }
  }
}

const scratch = mkdtempSync(join(tmpdir(), 'meshproxy-overload-'));
process.on('exit', () => {
  killAll();
  rmSync(scratch, { recursive: true, force: true });
});
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
main(scratch).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
});
