import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { LoadResult } from '../load/result.js';
import { ask } from '../system/children.js';
import { bulkMetrics, bulkSample, type Cell, measure, type Workload } from './workload.js';

const report = z.union([
  z.object({ error: z.string() }),
  z.object({ end: z.object({ sum_received: z.object({ bytes: z.number(), seconds: z.number() }) }) }),
]);

/** Reads what `iperf3 --json` prints; throws where it is no result. */
export function parseIperf3(output: string): LoadResult {
  const read = report.parse(JSON.parse(output));
  if ('error' in read) throw new Error(`iperf3: ${read.error}`);
  const { bytes, seconds } = read.end.sum_received;
  return { units: bytes, seconds, errors: 0, latencies: [] };
}

/**
 * Its server closes the listening socket after every test and opens another: a client that comes in between is turned
 * away, and there is no asking, for that counts as a test. So it is tried again.
 */
const ATTEMPTS = 10;
const BETWEEN_ATTEMPTS_MS = 100;

async function transfer(cell: Cell, seconds: number): Promise<LoadResult> {
  // It takes whole seconds only.
  const whole = Math.max(1, Math.ceil(seconds));
  const args = ['--client', '127.0.0.1', '--port', String(cell.port), '--time', String(whole), '--json'];
  for (let attempt = 1; ; attempt++) {
    try {
      return parseIperf3(await cell.client({ file: 'iperf3', args }, whole));
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await sleep(BETWEEN_ATTEMPTS_MS);
    }
  }
}

/** The bulk workload as iperf3 sees it: it copies into the kernel where ours does not, and verifies nothing. */
export const iperf3: Workload = {
  name: 'iperf3',
  title: 'bulk transfer, measured by iperf3 (cross-check of bulk)',
  metrics: bulkMetrics,
  fullRunOnly: true,
  missing: async () =>
    (await ask('iperf3', '--version')) === undefined ? 'iperf3 is not installed: apt-get install iperf3' : undefined,
  upstream: async ({ port }) => ({
    file: 'iperf3',
    args: ['--server', '--bind', '127.0.0.1', '--port', String(port)],
  }),
  run: async (cell) => bulkSample(await measure(cell, (seconds) => transfer(cell, seconds))),
};
