import { measure, requestMetrics, requestSample, type Workload } from './workload.js';

/** Enough to keep a proxy busy while the others are being set up or torn down. */
const UNDER_WAY = 16;

/** A connection for every request: what accepting, connecting and closing cost. */
export const connectPerRequest: Workload = {
  name: 'connect',
  title: `new connection per request, ${UNDER_WAY} at a time`,
  metrics: requestMetrics('connection'),
  upstream: async ({ load, port }) => load.command('server', { mode: 'echo', port }),
  run: async (cell) =>
    requestSample(
      await measure(cell, (seconds) => cell.load('connect', { connections: UNDER_WAY, size: 64, seconds })),
    ),
};
