import { setTimeout as sleep } from 'node:timers/promises';
import type { Cell, Metric, Sample, Workload } from './workload.js';

/**
 * Connections that come and go beforehand, a few at a time: what a proxy sets up once (a heap grown for its rate of
 * allocation, compiled code) is not counted as a connection's then. Few, for a proxy that keeps the memory of closed
 * connections would otherwise have that of the next ones already. Not for long, for a heap fills with garbage, which
 * the next ones take the place of: after this long the growth of `pipe` is what it is with a collection forced before
 * and after it (7.9 to 8.2 kB a connection), after 5 s it is a quarter less.
 */
const WARM_UP = { connections: 16, size: 64, seconds: 1 };
/** Opening takes a fraction of a millisecond each; this is for a machine under load. */
const OPEN_TIMEOUT_MS = 60_000;
/** Memory counts as settled when it has not changed for this long, or after `SETTLE_LIMIT_MS` in any case. */
const SETTLED_MS = 500;
const SETTLE_LIMIT_MS = 5_000;

const metrics: readonly Metric[] = [
  { key: 'connections', heading: 'connections', compared: false },
  { key: 'bytes', heading: 'resident bytes/connection', compared: true },
  { key: 'cpu', heading: 'CPU µs/connection opened', compared: true },
];

/** Waits until the proxy's memory no longer moves. */
async function settle(cell: Cell): Promise<void> {
  const deadline = performance.now() + SETTLE_LIMIT_MS;
  let last = cell.usage()?.residentBytes;
  while (performance.now() < deadline) {
    await sleep(SETTLED_MS);
    const now = cell.usage()?.residentBytes;
    if (now === last) return;
    last = now;
  }
}

async function opened(cell: Cell, connections: number) {
  const client = await cell.hold('idle', { connections, size: 64 });
  await client.said('ready', OPEN_TIMEOUT_MS);
  return client;
}

async function run(cell: Cell): Promise<Sample> {
  const connections = cell.intensity.idleConnections;
  await cell.load('connect', WARM_UP);
  await settle(cell);
  const before = cell.usage();
  const client = await cell.watched(() => opened(cell, connections));
  const open = cell.usage();
  await settle(cell);
  const after = cell.usage();
  await client.stop();
  const measured = before && open && after;
  return {
    values: {
      connections,
      ...(measured
        ? {
            bytes: (after.residentBytes - before.residentBytes) / connections,
            cpu: ((open.cpuSeconds - before.cpuSeconds) / connections) * 1e6,
          }
        : {}),
    },
    latencies: [],
    errors: 0,
  };
}

/** Connections that exist and do nothing: the memory of the proxy process for each. What the kernel keeps for their sockets is not in it, and the same for all. */
export const idle: Workload = {
  name: 'idle',
  title: 'idle connections, each used once and then held',
  metrics,
  proxiesOnly: true,
  upstream: async ({ load, port }) => load.command('server', { mode: 'echo', port }),
  run,
};
