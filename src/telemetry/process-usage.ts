/** What this process takes of its machine, read when asked: nothing here runs while nobody looks. */
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { descriptorLimit } from '../core/descriptors.js';

export interface ProcessUsage {
  readonly cpuSeconds: { readonly user: number; readonly system: number };
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  /** Buffers and what else is held outside of the JavaScript heap. */
  readonly externalBytes: number;
  /** Time that the main thread's event loop spent doing something, since the start. */
  readonly busySeconds: number;
  /** How long a callback that was due at once had to wait just now. */
  readonly lagSeconds: number;
  /** Linux only, as is the limit: the soft one, which is where EMFILE begins. */
  readonly openDescriptors?: number;
  readonly maxDescriptors?: number;
}

export async function readProcessUsage(): Promise<ProcessUsage> {
  const [lagSeconds, openDescriptors] = await Promise.all([eventLoopLag(), countDescriptors()]);
  const maxDescriptors = descriptorLimit();
  const cpu = process.cpuUsage();
  const memory = process.memoryUsage();
  return {
    cpuSeconds: { user: cpu.user / 1e6, system: cpu.system / 1e6 },
    residentBytes: memory.rss,
    heapUsedBytes: memory.heapUsed,
    externalBytes: memory.external,
    busySeconds: performance.eventLoopUtilization().active / 1000,
    lagSeconds,
    ...(openDescriptors !== undefined && { openDescriptors }),
    ...(maxDescriptors !== undefined && { maxDescriptors }),
  };
}

/** CPU time of the calling thread. Linux only; node has it from its version 23.9 on (`process.threadCpuUsage`). */
export function threadCpuSeconds(): number | undefined {
  try {
    // Nanoseconds on the processor, nanoseconds waiting for it, and turns (the kernel's sched-stats.rst).
    const [onCpu] = readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ');
    return Number(onCpu) / 1e9;
  } catch {
    return undefined;
  }
}

async function eventLoopLag(): Promise<number> {
  const due = performance.now();
  await new Promise(setImmediate);
  return (performance.now() - due) / 1000;
}

async function countDescriptors(): Promise<number | undefined> {
  const names = await readdir('/proc/self/fd').catch(() => undefined);
  // One of them is the directory that is being read.
  return names === undefined ? undefined : names.length - 1;
}
