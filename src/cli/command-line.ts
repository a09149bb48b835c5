/** Runs a command, and turns whatever it throws into words and an exit code. `main.ts` imports it for its effect. */
import { CommanderError } from 'commander';
import { describeError, errnoOf, MeshproxyError } from '../core/errors.js';
import { exitNow } from './exit.js';
import { SHORT_HELP } from './help.js';
import { createProgram } from './program.js';
import { EXIT, exitCodeOf, formatError, hasColours, wantsStack } from './report.js';

/** Of Node's. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

async function main(args: readonly string[]): Promise<number> {
  if (args.length === 0) {
    process.stderr.write(SHORT_HELP);
    return EXIT.usage;
  }
  // Until the command is done: what it waits for may hang on a `Clock` alone, and the timers of that keep no process.
  const alive = setInterval(() => {}, LONGEST_TIMER_MS);
  try {
    await createProgram().parseAsync(args, { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    // Commander has printed what is wrong, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    report(error, args);
    return exitCodeOf(error);
  } finally {
    clearInterval(alive);
  }
}

function report(error: unknown, args: readonly string[]): void {
  process.stderr.write(formatError(error, { stack: wantsStack(args), colour: hasColours(process.stderr) }));
}

const args = process.argv.slice(2);

// `meshproxy connections | head`: the reader has what it wanted.
process.stdout.on('error', (cause) => {
  if (errnoOf(cause) === 'EPIPE') process.exit(EXIT.ok);
  throw new MeshproxyError('file', `cannot write to standard output: ${describeError(cause)}`, { cause });
});
// There is nobody left to tell; a proxy goes on.
process.stderr.on('error', () => {});

process.on('uncaughtException', (error) => {
  report(error, args);
  process.exit(EXIT.failed);
});

// Not awaited here: were nothing left to wait for, Node would call that an error of this module.
void main(args).then((code) => {
  // What a command has set by itself stays.
  process.exitCode ||= code;
  if (code === EXIT.failed) exitNow(code);
});
