import { largestShare, parseWorkerCounts } from '../measure/worker-counts.js';
import { meshproxy } from '../peers/meshproxy.js';
import type { Peer } from '../peers/peer.js';
import { type Cell, measure, requestMetrics, requestSample, type Sample, type Workload } from './workload.js';

const WORKERS = 2;
/** Enough that a worker finds some waiting each time it looks, whichever of them it got. */
const CONNECTIONS = 256;
/** How many connections are opened at a time to see who gets them; also as many as the idle workload has. */
const SHARED = [32, 256];
/** Opening takes a fraction of a millisecond each; this is for a machine under load. */
const OPEN_TIMEOUT_MS = 60_000;

function withWorkers(count: number, extra: readonly string[]): Peer {
  const name = count === 1 ? '1 worker' : `${count} workers`;
  return meshproxy({ name, args: [...extra, '--engine', 'native', '--workers', String(count)], admin: true });
}

/** Connections that each worker has accepted until now. */
async function accepted(cell: Cell): Promise<ReadonlyMap<string, number>> {
  const response = await fetch(`http://127.0.0.1:${cell.adminPort}/metrics`);
  return parseWorkerCounts(await response.text());
}

/** Opens `connections`, one after the other, and gives the share of the worker that got the most. */
async function shareOf(cell: Cell, connections: number): Promise<number> {
  const before = await accepted(cell);
  const client = await cell.hold('idle', { connections, size: 64 });
  await client.said('ready', OPEN_TIMEOUT_MS);
  const after = await accepted(cell);
  await client.stop();
  return largestShare(before, after, connections);
}

async function run(cell: Cell): Promise<Sample> {
  const drive = (seconds: number) => cell.load('rr', { connections: CONNECTIONS, size: 64, seconds });
  const sample = requestSample(await measure(cell, drive));
  const shares: Record<string, number> = {};
  for (const connections of SHARED) shares[`share${connections}`] = await shareOf(cell, connections);
  shares['shareIdle'] = await shareOf(cell, cell.intensity.idleConnections);
  return { ...sample, values: { ...sample.values, ...shares } };
}

/**
 * What a second worker brings, and how the connections spread. Where proxy and load have fewer cores than they could
 * use, the rate cannot grow as it would; then the CPU per request says what it would be, up to what cores cost each other.
 */
export const twoWorkers: Workload = {
  name: 'workers2',
  title: `64 B request/response over ${CONNECTIONS} kept connections, by one worker and by ${WORKERS}`,
  metrics: [
    ...requestMetrics('request'),
    ...SHARED.map((count) => ({ key: `share${count}`, heading: `largest share of ${count}`, compared: false })),
    { key: 'shareIdle', heading: 'of as many as idle has', compared: false },
  ],
  threads: WORKERS,
  peers: (extra) => [withWorkers(1, extra), withWorkers(WORKERS, extra)],
  upstream: async ({ load, port }) => load.command('server', { mode: 'echo', port }),
  run,
};
