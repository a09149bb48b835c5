/**
 * The processes that a benchmark starts. Each leads a group of its own, so that Ctrl-C reaches the benchmark alone and
 * ending a proxy ends its workers too; and none outlives the benchmark, however that ends.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A program and its arguments. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
}

export interface Child {
  readonly pid: number;
  /** The first line of its standard output that is `line`; rejects where it ends, or `timeoutMs` pass, before that. */
  said(line: string, timeoutMs: number): Promise<void>;
  /** How it ended, in words, or `undefined` while it runs. */
  ended(): string | undefined;
  /** Ends it and its group: SIGTERM, then SIGKILL. Resolves when it is gone; may be called twice. */
  stop(): Promise<void>;
}

/** How long a process may take to end by itself once asked to. */
const STOP_MS = 2_000;
/** Of what a process said on standard error, as much as explains why it failed. */
const STDERR_TAIL = 2_000;

const live = new Set<number>();

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // Gone already.
  }
}

/** Ends every process that is still there, at once. For `process.on('exit')`: it waits for nothing. */
export function killAll(): void {
  for (const pid of live) signalGroup(pid, 'SIGKILL');
  live.clear();
}

/** `command`, kept on `cores` (as `taskset` takes them: `0,2,3`), or as it is where there are none. */
export function pinned(command: Command, cores: string | undefined): Command {
  if (cores === undefined) return command;
  return { file: 'taskset', args: ['-c', cores, command.file, ...command.args] };
}

async function launch(command: Command, stdin: 'ignore' | 'pipe'): Promise<{ child: ChildProcess; pid: number }> {
  const child = spawn(command.file, command.args, { detached: true, stdio: [stdin, 'pipe', 'pipe'] });
  await once(child, 'spawn');
  const pid = child.pid;
  if (pid === undefined) throw new Error(`cannot start ${command.file}`);
  live.add(pid);
  child.once('exit', () => live.delete(pid));
  return { child, pid };
}

function describeExit(child: ChildProcess, command: Command, stderr: string): string | undefined {
  if (child.exitCode === null && child.signalCode === null) return undefined;
  const how = child.signalCode === null ? `exit code ${child.exitCode}` : child.signalCode;
  return `${shown(command)} ended with ${how}${stderr === '' ? '' : `: ${stderr.trim()}`}`;
}

function shown(command: Command): string {
  return [command.file, ...command.args].join(' ');
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const said = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said.stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said.stderr = (said.stderr + text).slice(-STDERR_TAIL);
  });
  return said;
}

/** Starts a process that runs until it is stopped. Its standard input stays open as long as it is not. */
export async function start(command: Command): Promise<Child> {
  const { child, pid } = await launch(command, 'pipe');
  const said = collect(child);
  const exited = once(child, 'exit');
  // A process that has ended cannot be written to; that is no news.
  child.stdin?.on('error', () => {});
  const ended = () => describeExit(child, command, said.stderr);
  return {
    pid,
    ended,
    async said(line, timeoutMs) {
      const lines = () => said.stdout.split('\n').slice(0, -1);
      const wait = new AbortController();
      const limit = setTimeout(() => wait.abort(), timeoutMs);
      try {
        while (!lines().includes(line)) {
          const reason = ended();
          if (reason !== undefined) throw new Error(reason);
          if (wait.signal.aborted) throw new Error(`${shown(command)} did not say "${line}" within ${timeoutMs} ms`);
          const news = child.stdout === null ? [] : [once(child.stdout, 'data', { signal: wait.signal })];
          await Promise.race([...news, exited]).catch(() => {});
        }
      } finally {
        clearTimeout(limit);
        wait.abort();
      }
    },
    async stop() {
      if (ended() !== undefined) return;
      child.stdin?.end();
      signalGroup(pid, 'SIGTERM');
      const limit = setTimeout(() => signalGroup(pid, 'SIGKILL'), STOP_MS);
      await exited;
      clearTimeout(limit);
      // Its workers had the same time; what is left of the group goes too.
      signalGroup(pid, 'SIGKILL');
    },
  };
}

/** Runs a process to its end and gives what it wrote to standard output; rejects where it fails or takes too long. */
export async function run(command: Command, timeoutMs: number): Promise<string> {
  const { child, pid } = await launch(command, 'ignore');
  const said = collect(child);
  let late = false;
  const limit = setTimeout(() => {
    late = true;
    signalGroup(pid, 'SIGKILL');
  }, timeoutMs);
  await once(child, 'close');
  clearTimeout(limit);
  if (late) throw new Error(`${shown(command)} did not end within ${timeoutMs} ms`);
  if (child.exitCode !== 0) throw new Error(describeExit(child, command, said.stderr));
  return said.stdout;
}

/** What a short command prints, both streams together, or `undefined` where it is not there or fails. */
export function ask(file: string, ...args: string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(file, args, { timeout: 5_000 }, (error, stdout, stderr) => {
      resolve(error ? undefined : `${stdout}${stderr}`.trim());
    });
  });
}
