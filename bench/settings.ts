/** What the command line asks for. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { PROFILERS, type ProfilerName } from './measure/profile.js';
import { paths } from './paths.js';
import { fieldOf, hopTargets, nativeTargets } from './targets.js';

export interface Settings {
  readonly quick: boolean;
  /** Names or groups (`rr` for all that start so); `undefined` for all. */
  readonly only: readonly string[] | undefined;
  readonly peers: readonly string[] | undefined;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmupSeconds: number;
  readonly rate: number;
  readonly idleConnections: number;
  readonly load: 'auto' | 'native' | 'node';
  readonly pin: boolean;
  readonly meshproxyArguments: readonly string[];
  /** Watch the proxies with this, in a round of its own after the others. */
  readonly profile: ProfilerName | undefined;
  readonly json: boolean;
  readonly out: string;
}

/** A quick run shows where things stand; a full one is what a figure is quoted from. */
const FULL = { rounds: 5, seconds: 3, warmupSeconds: 1, idleConnections: 10_000 };
const QUICK = { rounds: 1, seconds: 1, warmupSeconds: 0.5, idleConnections: 2_000 };
/** A tenth to a fifth of what any peer reaches: latency at this rate is not that of a queue. */
const RATE = 5_000;

export function list(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

export function within(least: number, most: number, whole: boolean): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
    throw new InvalidArgumentError(`A ${whole ? 'whole ' : ''}number from ${least} to ${most} is needed.`);
  };
}

const EXAMPLES = `
Examples:
  npm run bench                                        everything, about 35 minutes
  npm run bench -- --quick                             a look, about 2 minutes
  npm run bench -- --targets                           what the targets of the native engine need, about 7 minutes
  npm run bench -- --only rr,bulk                      these workloads (rr: rr1, rr32 and rr256)
  npm run bench -- --peers pipe,meshproxy --rounds 9   these peers, more rounds
  npm run bench -- --meshproxy-args "--workers 2"      meshproxy with other options
  npm run bench -- --only rr32 --peers meshproxy --profile perf   where its time goes
  npm run bench -- --only idle --json > idle.json      the record on standard output`;

/** Reads the arguments; commander prints help and what is wrong with them, and ends the process then. */
export function parseSettings(
  args: readonly string[],
  workloads: readonly string[],
  peers: readonly string[],
): Settings {
  const program = new Command('npm run bench --')
    .description('Measures meshproxy side by side with its peers, on loopback, round by round.')
    .option('--quick', 'one short round without rr1, rr256 and the cross-checks: a look, not a measurement')
    .option('--targets', 'the workloads and peers that the targets of the native engine are about')
    .option('--only <workloads>', `of: ${workloads.join(', ')}`, list)
    .option('--peers <peers>', `of: ${peers.join(', ')}`, list)
    .option(
      '--rounds <n>',
      `rounds of which the median is shown (${FULL.rounds}, quick ${QUICK.rounds})`,
      within(1, 1_000, true),
    )
    .option('--seconds <s>', `of load in each cell (${FULL.seconds}, quick ${QUICK.seconds})`, within(0.1, 600, false))
    .option(
      '--warmup <s>',
      `of load before that, not measured (${FULL.warmupSeconds}, quick ${QUICK.warmupSeconds})`,
      within(0.1, 600, false),
    )
    .option('--rate <n>', 'messages per second of the constant rate', within(1, 1_000_000, false), RATE)
    .option(
      '--idle <n>',
      `idle connections (${FULL.idleConnections}, quick ${QUICK.idleConnections}; fewer where the descriptors do not suffice)`,
      within(1, 1_000_000, true),
    )
    .addOption(
      new Option('--load <engine>', 'load generators: in C or in TypeScript')
        .choices(['auto', 'native', 'node'])
        .default('auto'),
    )
    .option('--no-pin', 'do not keep proxy and load on cores of their own')
    .option('--meshproxy-args <args>', 'further arguments for meshproxy, separated by spaces', '')
    .addOption(
      new Option(
        '--profile <tool>',
        'watch the proxies in one more round, and print where their time went: in which system calls, in which functions',
      ).choices(PROFILERS),
    )
    .option('--json', 'print the record as JSON in place of the tables')
    .option('--out <folder>', 'where record and plot go', paths.results)
    .addHelpText('after', EXAMPLES)
    .parse(args, { from: 'user' });
  const options = program.opts();
  const base = options['quick'] === true ? QUICK : FULL;
  const needed = options['targets'] === true ? fieldOf([...nativeTargets, ...hopTargets]) : undefined;
  return {
    quick: options['quick'] === true,
    only: options['only'] ?? needed?.workloads,
    // Some of what the targets need is brought by the workload itself.
    peers: options['peers'] ?? (needed && peers.filter((peer) => needed.peers.includes(peer))),
    rounds: options['rounds'] ?? base.rounds,
    seconds: options['seconds'] ?? base.seconds,
    warmupSeconds: options['warmup'] ?? base.warmupSeconds,
    rate: options['rate'],
    idleConnections: options['idle'] ?? base.idleConnections,
    load: options['load'],
    pin: options['pin'],
    meshproxyArguments: options['meshproxyArgs'].split(/\s+/).filter((part: string) => part !== ''),
    profile: options['profile'],
    json: options['json'] === true,
    out: options['out'],
  };
}

/** Those of `all` that `wanted` names, in the order of `all`; `rr` names `rr1` and `rr32`, `mtls` all that begin with `mtls-`. Throws at a name that is none. */
export function select<Named extends { readonly name: string }>(
  all: readonly Named[],
  wanted: readonly string[] | undefined,
  what: string,
): readonly Named[] {
  if (wanted === undefined) return all;
  const matches = (name: string, item: string) => [name, name.replace(/\d+$/, ''), name.split('-')[0]].includes(item);
  const unknown = wanted.find((item) => !all.some(({ name }) => matches(name, item)));
  if (unknown !== undefined) {
    throw new Error(`no ${what} is called "${unknown}"; there are: ${all.map(({ name }) => name).join(', ')}`);
  }
  return all.filter(({ name }) => wanted.some((item) => matches(name, item)));
}
