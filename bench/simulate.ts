/** `npm run bench:simulate`: every way of balancing under every trouble, in virtual time: the same seed, the same figures. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { paths } from './paths.js';
import { list, select, within } from './settings.js';
import { loadBalancing } from './simulator/program.js';
import { type Cell, plotOf, recordOf, report } from './simulator/report.js';
import { scenarios } from './simulator/scenarios.js';
import { BALANCES, simulate } from './simulator/simulation.js';

const EXAMPLES = `
Examples:
  npm run bench:simulate                                              everything, about half a minute
  npm run bench:simulate -- --scenario slow,hanging --balance ewma    these only
  npm run bench:simulate -- --seed 7 --json > seed-7.json             another run, the record on standard output`;

const named = BALANCES.map((name) => ({ name }));

async function main(): Promise<void> {
  const program = new Command('npm run bench:simulate --')
    .description('Simulates the balancers: the real ones, with modelled endpoints, in virtual time.')
    .option('--scenario, --only <scenarios>', `of: ${scenarios.map(({ name }) => name).join(', ')}`, list)
    .option('--balance <names>', `of: ${BALANCES.join(', ')}`, list)
    .option('--seed <n>', 'what all chance follows from', within(0, 2 ** 31, true), 1)
    .option('--json', 'print the record as JSON in place of the tables')
    .option('--out <folder>', 'where record and plot go', paths.results)
    .addHelpText('after', EXAMPLES)
    .parse();
  const options = program.opts();
  const seed: number = options['seed'];
  const contests = select(scenarios, options['only'], 'scenario');
  const balances = select(named, options['balance'], 'way of balancing');
  const newBalancing = await loadBalancing();
  const cells: Cell[] = [];
  for (const scenario of contests) {
    console.error(`[${contests.indexOf(scenario) + 1}/${contests.length}] ${scenario.name}: ${scenario.title}`);
    for (const { name } of balances) {
      cells.push({ scenario, balance: name, outcome: simulate(scenario, name, seed, newBalancing) });
    }
  }
  const record = recordOf(cells, seed);
  console.log(options['json'] === true ? record : report(cells, seed));
  mkdirSync(options['out'], { recursive: true });
  for (const [name, text] of [
    [`simulated-${seed}.json`, record],
    [`simulated-${seed}.svg`, plotOf(cells, seed)],
  ] as const) {
    const path = join(options['out'], name);
    writeFileSync(path, text);
    console.error(`written: ${path}`);
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});
