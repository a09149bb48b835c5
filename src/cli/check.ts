/** `meshproxy check FILE`: whether a configuration file is valid, and what it comes to. */
import type { Command } from 'commander';
import { loadConfigFile } from '../config/load.js';
import { redact } from '../config/redact.js';
import type { Config } from '../config/schema.js';
import { formatAddress } from '../core/address.js';
import { MeshproxyError } from '../core/errors.js';
import { formatUpstream } from '../core/upstream.js';
import { fewOf, inWords } from './announce.js';
import { exitCodeOf } from './report.js';
import { type Column, formatTable, type Output, standardOutput } from './table.js';

interface CheckOptions {
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command('check')
    .summary('validate a configuration file')
    .description(
      'Validates a configuration file and prints what it comes to. Exits with 2 where it is not valid; all problems are listed, each with its line.',
    )
    .argument('<file>', 'the YAML or JSON file')
    .option(
      '--json',
      'print {"valid": true, "config": ...}, with every default filled in, or {"valid": false, "problems": [...]}',
    )
    .action(async (file: string, { json }: CheckOptions) => {
      if (json === true) await printJson(file);
      else standardOutput().write(summary(file, await loadConfigFile(file), standardOutput()));
    });
}

async function printJson(file: string): Promise<void> {
  const print = (value: unknown): void => standardOutput().write(`${JSON.stringify(value, undefined, 2)}\n`);
  try {
    print({ valid: true, config: redact(await loadConfigFile(file)) });
  } catch (error) {
    if (!(error instanceof MeshproxyError)) throw error;
    print({ valid: false, problems: error.message.split('\n') });
    process.exitCode = exitCodeOf(error);
  }
}

const LISTENERS: readonly Column[] = [
  { name: 'listener', shrinks: true },
  { name: 'address', shrinks: true },
  { name: 'service', shrinks: true },
];
const SERVICES: readonly Column[] = [
  { name: 'service', shrinks: true },
  { name: 'upstreams', shrinks: true },
];

function summary(file: string, config: Config, output: Output): string {
  const listeners = Object.entries(config.listeners);
  const services = Object.entries(config.services);
  const used = new Set(listeners.map(([, { service }]) => service));
  const idle = services.map(([name]) => name).filter((name) => !used.has(name));
  const parts = [
    `${file} is valid: ${inWords(listeners.length, 'listener')}, ${inWords(services.length, 'service')}\n`,
    ...(listeners.length === 0 ? ['\nIt has no listener: it needs --listen and --upstream beside it to run.\n'] : []),
    ...table(
      LISTENERS,
      listeners.map(([name, { address, service }]) => [name, formatAddress(address), service]),
      output,
    ),
    ...table(
      SERVICES,
      services.map(([name, { upstreams }]) => [name, fewOf(upstreams.map(formatUpstream))]),
      output,
    ),
    ...(idle.length === 0 || listeners.length === 0 ? [] : [`\nNo listener uses ${fewOf(idle)}.\n`]),
    `\nadmin: ${config.admin === 'off' ? 'off' : formatAddress(config.admin)}\n`,
  ];
  return parts.join('');
}

function table(columns: readonly Column[], rows: readonly (readonly string[])[], output: Output): string[] {
  return rows.length === 0 ? [] : ['\n', formatTable(columns, rows, output)];
}
