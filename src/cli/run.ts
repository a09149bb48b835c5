/** `meshproxy`, without the name of a command: runs the proxy. */
import type { Command } from 'commander';
import { FLAG_NAMES, type Flags } from '../config/flags.js';
import { type Loaded, loadFile, loadFlags } from '../config/load.js';
import { nearest } from '../config/nearest.js';
import { MeshproxyError } from '../core/errors.js';
import { exitNow } from './exit.js';
import { addFlags, readFlags } from './options.js';

const NAME = 'run';

export function register(program: Command): void {
  const command = program
    .command(NAME, { isDefault: true, hidden: true })
    .description('Runs the proxy: what meshproxy does where no command is named.')
    .usage('[options]')
    .allowExcessArguments();
  command.option(
    '--config <file>',
    'A YAML or JSON file with listeners, services and everything else. It is watched: a change takes effect at once, and so does SIGHUP.',
  );
  for (const option of command.options) option.helpGroup('Main options:');
  addFlags(command);
  command.action(async (options: { readonly config?: string }, { args }: Command) => {
    const [stray] = args;
    if (stray !== undefined) throw strayArgument(stray, program);
    await run(readFlags(command), options.config);
  });
}

/** Its options are those that the program's help lists as its own. */
export function commandOf(program: Command): Command | undefined {
  return program.commands.find((command) => command.name() === NAME);
}

async function run(flags: Flags, file: string | undefined): Promise<void> {
  if (file === undefined && flags['--listen'] === undefined && flags['--upstream'] === undefined) {
    throw new MeshproxyError('usage', 'there is nothing to listen on', {
      hint: 'give --listen and --upstream, or --config FILE; meshproxy --help shows examples',
    });
  }
  // Here and not above: every other command would wait for the whole proxy to load.
  const { supervise } = await import('./supervise.js');
  const load = async (): Promise<Loaded> =>
    withListener(await (file === undefined ? loadFlags(flags) : loadFile(file, flags)), file);
  exitNow(await supervise({ load, file }));
}

/** A file may do without, for flags can bring listeners; a proxy may not. */
function withListener(loaded: Loaded, file = 'command line'): Loaded {
  if (Object.keys(loaded.config.listeners).length > 0) return loaded;
  throw new MeshproxyError('bad-config', `${file}: there is no listener, so there is nothing to do`, {
    hint: 'add listeners: {NAME: {address: "127.0.0.1:8080"}}, or give --listen and --upstream',
  });
}

function strayArgument(word: string, program: Command): MeshproxyError {
  const commands = program.commands.map((command) => command.name()).filter((name) => name !== NAME);
  if (commands.includes(word)) return unexpected(word, `the name of a command comes first: meshproxy ${word} ...`);
  const near = nearest(word, commands);
  if (near !== undefined) return unexpected(word, `did you mean ${near}?`);
  const flag = FLAG_NAMES.find((name) => name === `--${word}`);
  if (flag !== undefined) return unexpected(word, `did you mean ${flag}?`);
  if (/\.(ya?ml|json)$/.test(word)) return unexpected(word, `did you mean --config ${word}?`);
  if (word.includes(':')) return unexpected(word, `did you mean --listen ${word} or --upstream ${word}?`);
  return unexpected(word, `commands are ${commands.join(', ')}; meshproxy --help shows them`);
}

function unexpected(word: string, hint: string): MeshproxyError {
  return new MeshproxyError('usage', `${JSON.stringify(word)} is not expected here`, { hint });
}
