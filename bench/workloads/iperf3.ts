import { z } from 'zod';
import type { LoadResult } from '../load/result.js';
import { ask } from '../system/children.js';
import { bulkMetrics, bulkSample, measure, type Workload } from './workload.js';

const report = z.object({ end: z.object({ sum_received: z.object({ bytes: z.number(), seconds: z.number() }) }) });

/** Reads what `iperf3 --json` prints; throws where it is no result. */
export function parseIperf3(output: string): LoadResult {
  const { bytes, seconds } = report.parse(JSON.parse(output)).end.sum_received;
  return { units: bytes, seconds, errors: 0, latencies: [] };
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
  run: async (cell) =>
    bulkSample(
      await measure(cell, async (seconds) => {
        // It takes whole seconds only.
        const whole = Math.max(1, Math.ceil(seconds));
        const args = ['--client', '127.0.0.1', '--port', String(cell.port), '--time', String(whole), '--json'];
        return parseIperf3(await cell.client({ file: 'iperf3', args }, whole));
      }),
    ),
};
