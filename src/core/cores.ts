/** How many threads can run at the same time here: the processors that this process may use, and how much of them. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

const CGROUPS = '/sys/fs/cgroup';

/** At least 1. A quota of 1.5 processors is 2 threads: they share what there is better than one could use it. */
export function availableCores(read: (path: string) => string = readText): number {
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(cpuQuota(read))));
}

/**
 * Processors that the control groups of this process allow, the tightest of all around it; Infinity where none says.
 * Version 2 of control groups: `cpu.max` is `QUOTA PERIOD` or `max PERIOD` (the kernel's cgroup-v2.rst).
 */
export function cpuQuota(read: (path: string) => string): number {
  const own = /^0::(\/.*)$/m.exec(tryRead(read, '/proc/self/cgroup'))?.[1] ?? '/';
  let least = Number.POSITIVE_INFINITY;
  for (let group = own; ; group = group.slice(0, group.lastIndexOf('/'))) {
    const [quota, period] = tryRead(read, `${CGROUPS}${group === '/' ? '' : group}/cpu.max`)
      .split(' ')
      .map(Number);
    if (quota && period) least = Math.min(least, quota / period);
    if (group === '' || group === '/') return least;
  }
}

function readText(path: string): string {
  return readFileSync(path, 'utf8');
}

function tryRead(read: (path: string) => string, path: string): string {
  try {
    return read(path);
  } catch {
    return '';
  }
}
