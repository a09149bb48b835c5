/** What the figures were measured on, for the record; and which of its cores do what. */
import { cpus, release, totalmem, type } from 'node:os';
import { ask } from './children.js';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  /** TCP's congestion control, which has its share in the cost of every byte; `undefined` where /proc does not say. */
  readonly congestionControl: string | undefined;
  /** The most descriptors that one process may have. */
  readonly descriptors: number;
}

/** Which cores the proxies run on and which the load, as `taskset` takes them; `undefined` where nothing is pinned. */
export interface Pinning {
  readonly proxy: string | undefined;
  readonly load: string | undefined;
}

/** Where `ulimit` does not say: what a process can count on everywhere. */
const FEWEST_DESCRIPTORS = 256;

export async function describeMachine(): Promise<Machine> {
  // Node raises its own limit to the hard one when it starts, and what it starts inherits that.
  const limit = await ask('/bin/sh', '-c', 'ulimit -n');
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memoryBytes: totalmem(),
    kernel: `${type()} ${release()}`,
    node: process.version,
    congestionControl: await ask('cat', '/proc/sys/net/ipv4/tcp_congestion_control'),
    descriptors: limit === 'unlimited' ? 1_048_576 : Number(limit ?? FEWEST_DESCRIPTORS) || FEWEST_DESCRIPTORS,
  };
}

/**
 * The proxy on as many cores as it has `threads`, from core 1 on, as far as there are that many and one is left; the
 * load on all others: neither takes time from the other.
 */
export function pinningFor(cores: number, hasTaskset: boolean, threads: number): Pinning {
  if (!hasTaskset || cores < 2) return { proxy: undefined, load: undefined };
  const all = Array.from({ length: cores }, (_, core) => core);
  const isProxys = (core: number) => core >= 1 && core <= threads;
  return {
    proxy: all.filter(isProxys).join(','),
    load: all.filter((core) => !isProxys(core)).join(','),
  };
}
