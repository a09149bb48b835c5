import { bulkMetrics, bulkSample, measure, type Workload } from './workload.js';

/** One connection, as much as it carries, ended by a half-close; the receiver's checksum comes back and must be the sender's. */
export const bulk: Workload = {
  name: 'bulk',
  title: 'bulk transfer over one connection, checksum verified',
  metrics: bulkMetrics,
  upstream: async ({ load, port }) => load.command('server', { mode: 'sink', port }),
  run: async (cell) => bulkSample(await measure(cell, (seconds) => cell.load('bulk', { seconds }))),
};
