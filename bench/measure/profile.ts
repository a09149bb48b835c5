/**
 * Where a proxy's time goes: another program that watches it while it works, for a run whose figures count for nothing.
 * `strace` shows the system calls, `perf` the functions.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ask, type Command, start } from '../system/children.js';

export const PROFILERS = ['strace', 'perf'] as const;
export type ProfilerName = (typeof PROFILERS)[number];

export interface Profiler {
  /** How to start a proxy that is to be watched. */
  prepared(proxy: Command): Command;
  /** Does `work`, and watches the process `pid` with all its threads for as long as it takes. */
  watch<Result>(pid: number, work: () => Promise<Result>): Promise<Result>;
}

/** What is rarer than this is of no interest. */
const LEAST_PERCENT = 0.5;

/** Why it cannot be had here, or `undefined`. */
export async function profilerMissing(name: ProfilerName): Promise<string | undefined> {
  const help = { strace: 'apt-get install strace', perf: 'apt-get install linux-perf' }[name];
  return (await ask(name, '--version')) === undefined ? `${name} is not installed: ${help}` : undefined;
}

/** Writes to `folder` and gives what it found to `found`. */
export function profiler(name: ProfilerName, folder: string, found: (text: string) => void): Profiler {
  return {
    prepared: (proxy) => (name === 'perf' ? withNamesForPerf(proxy) : proxy),
    async watch(pid, work) {
      const file = join(folder, `${name}.${pid}`);
      const watcher = await start(watching(name, pid, file));
      // Neither says when it has begun: what the work does in the meantime is missing from the profile, and no more.
      const result = await work().finally(() => watcher.stop());
      found((await reportOf(name, file)) ?? `${name} left nothing: ${watcher.ended() ?? ''}`);
      await rm(file, { force: true });
      await rm(`/tmp/perf-${pid}.map`, { force: true });
      return result;
    },
  };
}

/** Node then writes the names of its functions in JavaScript to /tmp/perf-PID.map, where perf looks for them. */
function withNamesForPerf({ file, args }: Command): Command {
  return { file: 'env', args: ['NODE_OPTIONS=--perf-basic-prof', file, ...args] };
}

function watching(name: ProfilerName, pid: number, file: string): Command {
  const args = {
    strace: ['-c', '-S', 'calls', '-f', '-q', '-o', file, '-p', String(pid)],
    perf: ['record', '--quiet', '--output', file, '--pid', String(pid)],
  };
  return { file: name, args: args[name] };
}

function reportOf(name: ProfilerName, file: string): Promise<string | undefined> {
  if (name === 'strace') return ask('cat', file);
  const options = ['--stdio', '--quiet', '--sort', 'comm,dso,symbol', '--percent-limit', String(LEAST_PERCENT)];
  return ask('perf', 'report', ...options, '--input', file);
}
