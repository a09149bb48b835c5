/** The commands and their help; `main.ts` runs them. */

import { styleText } from 'node:util';
import { Command, Help } from 'commander';
import { VERSION } from '../core/version.js';
import * as ca from './ca.js';
import * as check from './check.js';
import * as connections from './connections.js';
import * as demo from './demo.js';
import { AFTER, DESCRIPTION, USAGE } from './help.js';
import * as latency from './latency.js';
import * as run from './run.js';
import * as schema from './schema.js';

/** Longer lines are hard to read, however wide the terminal is. */
const MAX_WIDTH = 110;

export function createProgram(): Command {
  const program = new Command('meshproxy')
    .usage(USAGE)
    .description(DESCRIPTION)
    .addHelpText('after', AFTER)
    .exitOverride()
    .showHelpAfterError('  (meshproxy --help explains all options and commands)')
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'meshproxy: ').replace('\n(Did', '\n  (did')),
      getOutHelpWidth: () => Math.min(process.stdout.columns || MAX_WIDTH, MAX_WIDTH),
    })
    .optionsGroup('Other:')
    .version(VERSION, '-V, --version', 'Print the version.')
    .helpOption('-h, --help', 'Print this help.')
    .helpCommand('help [command]', 'print the help of a command');
  // What is set by now, the commands inherit.
  program.configureHelp(helpOf(program));
  for (const { register } of [run, check, demo, connections, latency, ca, schema]) register(program);
  return program;
}

/** The program's own help lists the options of `run`, which is what it does where no command is named. */
function helpOf(program: Command): Partial<Help> {
  const standard = new Help();
  return {
    // Beside the longest option on a terminal of 80 columns; else the standard one does not wrap at all.
    minWidthToWrap: 30,
    styleTitle: (text) => styleText('bold', text, { validateStream: false }),
    visibleOptions: (command) => {
      const options = command === program ? (run.commandOf(program)?.options ?? []) : [];
      return [...options, ...standard.visibleOptions(command)];
    },
    // In the order in which they are listed; the standard one puts the groups of the program's own options first.
    groupItems: (_, visible, groupOf) => standard.groupItems([...visible], visible, groupOf),
  };
}
