import { measure, requestMetrics, requestSample, type Workload } from './workload.js';

const CONNECTIONS = 32;

/** Messages at a constant rate that no peer is brought to its limit by: what latency looks like to users who do not wait for each other. */
export const openLoop: Workload = {
  name: 'open',
  title: `constant rate over ${CONNECTIONS} connections`,
  metrics: requestMetrics('message'),
  upstream: async ({ load, port }) => load.command('server', { mode: 'echo', port }),
  run: async (cell) =>
    requestSample(
      await measure(cell, (seconds) =>
        cell.load('open-loop', { connections: CONNECTIONS, size: 64, seconds, rate: cell.intensity.rate }),
      ),
    ),
};
