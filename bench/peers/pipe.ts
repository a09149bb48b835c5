import { join } from 'node:path';
import { paths } from '../paths.js';
import type { Peer } from './peer.js';

/** `a.pipe(b)` in Node, see pipe-proxy.ts. */
export const pipe: Peer = {
  name: 'pipe',
  detect: async () => ({ kind: 'available', version: `node ${process.version}` }),
  command: async (task) => ({
    file: process.execPath,
    args: [join(paths.built, 'peers', 'pipe-proxy.js'), String(task.listenPort), String(task.upstreamPort)],
  }),
};
