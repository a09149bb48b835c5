import { measure, requestMetrics, requestSample, type Workload } from './workload.js';

/** The one that a quick run has: enough connections to keep a proxy busy, not so many that it is their number that is measured. */
const TYPICAL = 32;

/** 64 bytes there and back, over and over, on connections that are kept: what each message costs. */
export function requestResponse(connections: number): Workload {
  return {
    name: `rr${connections}`,
    title: `64 B request/response over ${connections} kept connection${connections === 1 ? '' : 's'}`,
    ...(connections === TYPICAL ? {} : { fullRunOnly: true }),
    metrics: requestMetrics('request'),
    upstream: async ({ load, port }) => load.command('server', { mode: 'echo', port }),
    run: async (cell) =>
      requestSample(await measure(cell, (seconds) => cell.load('rr', { connections, size: 64, seconds }))),
  };
}
