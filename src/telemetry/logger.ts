/** The program's log: pino to stderr, pretty on a terminal and JSON elsewhere, with plain words for levels and times. */
import { type DestinationStream, type LevelWithSilent, type Logger, type LoggerOptions, pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import { describeError, errnoOf, MeshproxyError } from '../core/errors.js';
import { LogSink } from './log-sink.js';

export type { Logger } from 'pino';

export interface LogOptions {
  readonly level: LevelWithSilent;
  /** `auto`: pretty where stderr is a terminal, JSON elsewhere. */
  readonly format: 'auto' | 'pretty' | 'json';
}

export interface Log {
  readonly logger: Logger;
  /** Takes over lines that other threads have made: JSON, each with its end. `dropped` of theirs were lost on the way. */
  forward(lines: readonly string[], dropped: number): void;
  /** Lines lost since the start because stderr was not read, or closed. */
  dropped(): number;
  /** Writes out what is still held back. The process's exit does so too. */
  flushSync(): void;
  /** Resolves when all is written, as far as its reader lets it within moments, and forgets about the process's exit. */
  close(): Promise<void>;
}

const STDERR = 2;

/**
 * A log on stderr, or on `destination` (which is written to line by line, unbuffered).
 *
 * Stderr is written behind the caller's back: a reader that stalls costs lines, counted by `dropped`, and nothing else.
 */
export function createLogger(options: LogOptions, destination?: DestinationStream): Log {
  // Asking for process.stderr also makes a pipe or socket there non-blocking, which the sink relies on.
  const terminal = process.stderr.isTTY === true;
  const pretty = options.format === 'pretty' || (options.format === 'auto' && terminal && destination === undefined);
  const as = (target: DestinationStream): DestinationStream => (pretty ? prettyTo(target, terminal) : target);
  if (destination !== undefined) return logTo(as(destination), options.level);
  const sink = new LogSink(STDERR);
  const log = logTo(as(sink), options.level);
  const flushSync = (): void => sink.flushSync();
  process.on('exit', flushSync);
  return {
    ...log,
    dropped: () => log.dropped() + sink.dropped,
    flushSync,
    async close() {
      await sink.close();
      process.off('exit', flushSync);
    },
  };
}

function logTo(target: DestinationStream, level: LevelWithSilent): Log {
  let lost = 0;
  return {
    logger: pino(settings(level), target),
    forward(lines, dropped) {
      lost += dropped;
      for (const line of lines) target.write(line);
    },
    dropped: () => lost,
    flushSync: () => {},
    close: async () => {},
  };
}

function settings(level: LevelWithSilent): LoggerOptions {
  return {
    level,
    // The process id and the host name are known to whoever collects the lines.
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: describe },
  };
}

/** An error of ours in its words; anything else is a bug or a library's, and brings its stack. */
function describe(error: unknown): unknown {
  if (error instanceof MeshproxyError) return { code: error.code, message: error.message, hint: error.hint };
  if (!(error instanceof Error)) return error;
  return { code: errnoOf(error), message: describeError(error), stack: error.stack };
}

/** Formats each line for people, in this thread: there is one person, and one line is some microseconds. */
function prettyTo(target: DestinationStream, colorize: boolean): DestinationStream {
  const format = prettyFactory({
    colorize: colorize && process.env['NO_COLOR'] === undefined,
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    // A name from outside (a path in a PROXY header) must not begin a line of its own, nor turn one around.
    messageFormat: (line, key) => String(line[key]).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\ufffd'),
    // The access line says in its message what this field has for programs.
    ignore: 'connection',
  });
  return { write: (line) => target.write(format(line)) };
}
