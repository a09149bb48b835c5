/** Drives the built program as a user does: by its arguments, its signals, what it prints, and its admin listener. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { type Address, formatAddress, type IpAddress, parseAddress } from '../../src/core/address.js';
import type { AccessFields } from '../../src/telemetry/access-log.js';
import { parseExposition } from '../fakes/prometheus.js';

export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** The Node that runs the program; `npm run test:versions` sets another than the one that runs the tests. */
export const NODE = process.env['MESHPROXY_TEST_NODE'] ?? process.execPath;

/** The engine that the program is told to run on, where a test does not say; else the program chooses. */
const ENGINE = process.env['MESHPROXY_TEST_ENGINE'];

/** No line takes so long; short of a test's own limit, so that what did come is shown. */
const LINE_MS = 45_000;

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

interface ProgramOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Commands that start the program, as `prlimit` does. */
  readonly prefix?: readonly string[];
}

export class Program {
  readonly process: ChildProcess;
  /** Of stderr, so far. */
  readonly lines: string[] = [];
  /** All of stdout. */
  stdout = '';
  readonly #waiting = new Set<() => void>();
  readonly #exited: Promise<number | string>;
  #gone = false;
  #unread = false;

  /** Starts the program; it is ended with the test that started it. */
  constructor(args: readonly string[], { env, cwd, prefix = [] }: ProgramOptions = {}) {
    const [command = NODE, ...rest] = [...prefix, NODE, MAIN, ...withEngine(args)];
    this.process = spawn(command, rest, {
      // Under npm the program hears a signal twice, and knows it; these tests do not send it twice.
      env: { ...process.env, npm_lifecycle_event: undefined, ...env },
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.process.stdout?.on('data', (chunk) => {
      this.stdout += chunk;
    });
    if (this.process.stderr) {
      createInterface({ input: this.process.stderr }).on('line', (line) => {
        this.lines.push(line);
        this.#lookAgain();
      });
    }
    const closed = once(this.process, 'close');
    this.#exited = once(this.process, 'exit').then(async ([code, signal]) => {
      // What it said last is still on its way, unless the test has stopped reading.
      if (!this.#unread) await closed;
      this.#gone = true;
      this.#lookAgain();
      return code ?? signal;
    });
    onTestFinished(async () => {
      this.process.kill('SIGKILL');
      await this.#exited;
    });
  }

  /** The proxy in front of `upstreams`, with its listener, unless told where, and its admin on free ports of loopback. */
  static inFrontOf(
    upstreams: readonly (Address | string)[],
    args: readonly string[] = [],
    { listen = '127.0.0.1:0', ...options }: ProgramOptions & { readonly listen?: string } = {},
  ): Program {
    const written = upstreams.map((upstream) => (typeof upstream === 'string' ? upstream : formatAddress(upstream)));
    const named = written.flatMap((upstream) => ['--upstream', upstream]);
    return new Program(['--listen', listen, '--admin', '127.0.0.1:0', ...named, ...args], options);
  }

  get pid(): number {
    return this.process.pid ?? -1;
  }

  get stderr(): string {
    return this.lines.join('\n');
  }

  /** The exit code, or the signal that ended it. */
  exit(): Promise<number | string> {
    return this.#exited;
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  /** From here on nobody reads what the program writes to stderr. */
  stopReading(): void {
    this.#unread = true;
    this.process.stderr?.pause();
  }

  /** The first line of stderr that `wanted` takes, now or later, from line number `from` on. Rejects where it does not come. */
  line(wanted: (line: string) => boolean, from = 0): Promise<string> {
    return new Promise((resolve, reject) => {
      let next = from;
      const settle = (done: () => void): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        done();
      };
      const fail = (why: string): void =>
        settle(() =>
          reject(new Error(`the line that was waited for did not come: ${why}; there came:\n${this.stderr}`)),
        );
      const look = (): void => {
        for (const line of this.lines.slice(next)) {
          next += 1;
          if (!wanted(line)) continue;
          settle(() => resolve(line));
          return;
        }
        if (this.#gone) fail(`the program ended (${this.process.exitCode ?? this.process.signalCode})`);
      };
      const timer = setTimeout(() => fail(`not within ${LINE_MS} ms`), LINE_MS);
      this.#waiting.add(look);
      look();
    });
  }

  /** The log lines so far, where the log is JSON (as it is when stderr is no terminal). */
  get log(): LogLine[] {
    return this.lines.flatMap((line) => asLogLine(line) ?? []);
  }

  /** The first log line that `wanted` takes, now or later, from line number `from` on. */
  async logged(wanted: (line: LogLine) => boolean, from = 0): Promise<LogLine> {
    const found = await this.line((text) => {
      const line = asLogLine(text);
      return line !== undefined && wanted(line);
    }, from);
    return JSON.parse(found);
  }

  /** The first log line whose message `pattern` finds, now or later, from line number `from` on. */
  said(pattern: RegExp, from = 0): Promise<LogLine> {
    return this.logged(({ msg }) => pattern.test(msg), from);
  }

  /** The first access line that `wanted` takes, now or later. */
  async accessLine(wanted: (connection: AccessFields) => boolean = () => true): Promise<AccessFields> {
    const isWanted = ({ connection }: LogLine): boolean =>
      connection !== undefined && wanted(connection as AccessFields);
    return (await this.logged(isWanted)).connection as AccessFields;
  }

  /** The access lines so far. */
  get accessLines(): AccessFields[] {
    return this.log.flatMap(({ connection }) => (connection === undefined ? [] : [connection as AccessFields]));
  }

  /** Where the listener `name` listens, by the last that the program said of it. */
  async address(name = 'default'): Promise<Address> {
    const { address } = await this.logged(({ listener, msg }) => listener === name && msg.startsWith('listening on'));
    return parseAddress(String(address));
  }

  /** The port that the listener `name` got. */
  async port(name = 'default'): Promise<number> {
    return portOf(await this.address(name));
  }

  /** The listener `name` from where IPv4 reaches it. */
  async loopback(name = 'default'): Promise<IpAddress> {
    return { kind: 'ip', host: '127.0.0.1', port: await this.port(name) };
  }

  /** The base URL of the admin listener, without a slash at its end. */
  async admin(): Promise<string> {
    const { msg } = await this.said(/^admin on http/);
    return /http:\/\/[\w.:[\]]+/.exec(msg)?.[0] ?? '';
  }

  /** Asks the admin listener, on a connection of its own. */
  async ask(path: string, method = 'GET'): Promise<Response> {
    return fetch(`${await this.admin()}${path}`, { method, headers: { connection: 'close' } });
  }

  /** The text or, parsed, the JSON that the admin listener answers `path` with. */
  async text(path: string): Promise<string> {
    return (await this.ask(path)).text();
  }

  async json<T = unknown>(path: string): Promise<T> {
    return (await (await this.ask(path)).json()) as T;
  }

  /** The sum of the series of that name which have these labels. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const { series } = parseExposition(await this.text('/metrics'));
    return series
      .filter((one) => one.name === name)
      .filter((one) => Object.entries(labels).every(([label, value]) => one.labels[label] === value))
      .reduce((sum, { value }) => sum + value, 0);
  }

  /**
   * Resolves when bytes have moved and no more do, as senders find whose readers do not read: several answers of the
   * admin listener, each from another turn of the event loop, say the same.
   */
  async still(): Promise<void> {
    const moved = async (): Promise<number> =>
      (await this.metric('meshproxy_received_bytes_total')) + (await this.metric('meshproxy_sent_bytes_total'));
    let last = 0;
    for (let still = 0; still < 10; ) {
      const now = await moved();
      still = now > 0 && now === last ? still + 1 : 0;
      last = now;
    }
  }

  /** Open descriptors, and resident bytes. Linux. */
  usage(): { descriptors: number; pipes: number; resident: number } {
    const kb = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1];
    const folder = `/proc/${this.pid}/fd`;
    const names = readdirSync(folder);
    const pipes = names.filter((name) => targetOf(join(folder, name)).startsWith('pipe:')).length;
    return { descriptors: names.length, pipes, resident: Number(kb) * 1024 };
  }

  #lookAgain(): void {
    for (const look of this.#waiting) look();
  }
}

/** What a descriptor is; nothing where it has been closed since. */
function targetOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function withEngine(args: readonly string[]): readonly string[] {
  const runs = args.includes('--listen') || args.includes('--config') || args[0] === 'demo';
  return ENGINE === undefined || !runs || args.includes('--engine') ? args : [...args, '--engine', ENGINE];
}

function asLogLine(line: string): LogLine | undefined {
  return line.startsWith('{') ? JSON.parse(line) : undefined;
}

function portOf(address: Address): number {
  if (address.kind === 'unix') throw new Error(`${formatAddress(address)} has no port`);
  return address.port;
}
