import type { Peer } from './peer.js';

/** No proxy at all: what the load generator and the kernel can do by themselves. */
export const direct: Peer = {
  name: 'direct',
  detect: async () => ({ kind: 'available', version: 'no proxy' }),
  command: async () => undefined,
};
