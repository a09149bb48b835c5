/** How a command that failed says so: on stderr, in one line for each thing that is wrong, and by its exit code. */
import { inspect, styleText } from 'node:util';
import { describeError, type ErrorCode, MeshproxyError } from '../core/errors.js';

/** 0: done, or drained. 1: failed while running, or ended by a second signal. 2: what was asked for makes no sense. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** What was asked for makes no sense, so asking again will not help. */
const USAGE_CODES: ReadonlySet<ErrorCode> = new Set([
  'usage',
  'bad-address',
  'bad-config',
  'bad-identity',
  'bad-token',
]);

export function exitCodeOf(error: unknown): number {
  return error instanceof MeshproxyError && USAGE_CODES.has(error.code) ? EXIT.usage : EXIT.failed;
}

export interface ReportOptions {
  /** With the stack, and what caused it: for who looks into meshproxy rather than into a configuration. */
  readonly stack: boolean;
  readonly colour: boolean;
}

export function formatError(error: unknown, { stack, colour }: ReportOptions): string {
  const name = colour ? styleText('red', 'meshproxy:', { validateStream: false }) : 'meshproxy:';
  const [message, hint] = wordsOf(error);
  const lines = message.split('\n').map((line) => `${name} ${printable(line)}\n`);
  if (hint !== undefined) lines.push(`  (${printable(hint)})\n`);
  if (stack) lines.push(`${inspect(error)}\n`);
  return lines.join('');
}

function wordsOf(error: unknown): [message: string, hint: string | undefined] {
  if (error instanceof MeshproxyError) return [error.message, error.hint];
  return [
    `this is a bug in meshproxy, please report it: ${describeError(error)}`,
    '--log-level debug shows where it happened',
  ];
}

/** Of a file's or a stranger's text, what could move the cursor of the reader's terminal. */
function printable(line: string): string {
  return line.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Read from the arguments as they are: they may be what is wrong. */
export function wantsStack(args: readonly string[]): boolean {
  return args.some(
    (arg, index) =>
      /^(--log-level=)?(debug|trace)$/.test(arg) && (arg.startsWith('--') || args[index - 1] === '--log-level'),
  );
}

/** A terminal that shows colours and whose user has nothing against them (NO_COLOR). */
export function hasColours(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && stream.hasColors();
}
