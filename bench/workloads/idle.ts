import { setTimeout as sleep } from 'node:timers/promises';
import type { Cell, Metric, Sample, Workload } from './workload.js';

/** Opened and closed beforehand, so that what a proxy sets up once is not counted as a connection's. */
const WARM_UP_CONNECTIONS = 100;
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
  await (await opened(cell, WARM_UP_CONNECTIONS)).stop();
  await settle(cell);
  const before = cell.usage();
  const client = await opened(cell, connections);
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
