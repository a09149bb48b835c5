/** Drives the built program as a user does: by its arguments, its signals, and what it prints. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** The Node that runs the program; `npm run test:versions` sets another than the one that runs the tests. */
export const NODE = process.env['MESHPROXY_TEST_NODE'] ?? process.execPath;

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export class Program {
  readonly process: ChildProcess;
  readonly lines: string[] = [];
  /** All of stdout. */
  stdout = '';
  readonly #waiting = new Set<() => void>();
  readonly #exited: Promise<number | string>;

  /** Starts the program; it is ended with the test that started it. */
  constructor(args: readonly string[], options: { env?: NodeJS.ProcessEnv; prefix?: readonly string[] } = {}) {
    const [command = NODE, ...rest] = [...(options.prefix ?? []), NODE, MAIN, ...args];
    this.process = spawn(command, rest, { env: { ...process.env, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.process.stdout?.on('data', (chunk) => {
      this.stdout += chunk;
    });
    if (this.process.stderr) {
      createInterface({ input: this.process.stderr }).on('line', (line) => {
        this.lines.push(line);
        for (const look of this.#waiting) look();
      });
    }
    this.#exited = once(this.process, 'close').then(([code, signal]) => {
      for (const look of this.#waiting) look();
      return code ?? signal;
    });
    onTestFinished(async () => {
      this.process.kill('SIGKILL');
      await this.#exited;
    });
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

  /** The first line of stderr that `wanted` takes, now or later. Rejects when the program ends without. */
  line(wanted: (line: string) => boolean): Promise<string> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.lines.find(wanted);
        if (found !== undefined) {
          this.#waiting.delete(look);
          resolve(found);
        } else if (this.process.exitCode !== null || this.process.signalCode !== null) {
          this.#waiting.delete(look);
          reject(new Error(`the program ended (${this.process.exitCode}) without that line:\n${this.stderr}`));
        }
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** The log lines so far, where the log is JSON (as it is when stderr is no terminal). */
  get log(): LogLine[] {
    return this.lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  }

  /** The port that the listener `name` got. */
  async port(name = 'default'): Promise<number> {
    const line = await this.line((text) => text.includes('"listener"') && text.includes(`"${name}"`) && text.includes('listening'));
    return portOf(JSON.parse(line).address);
  }

  /** The base URL of the admin listener. */
  async admin(): Promise<string> {
    const line = await this.line((text) => text.includes('admin') && text.includes('http://'));
    return /http:\/\/[\w.:[\]]+/.exec(line)?.[0] ?? '';
  }

  /** Open descriptors, and resident bytes. Linux. */
  usage(): { descriptors: number; resident: number } {
    const kb = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1];
    return { descriptors: readdirSync(`/proc/${this.pid}/fd`).length, resident: Number(kb) * 1024 };
  }
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}
