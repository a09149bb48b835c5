import { hops, hopsByHandshake } from '../peers/hops.js';
import { bulk } from './bulk.js';
import { connectPerRequest } from './connect.js';
import { requestResponse } from './request-response.js';
import type { Workload } from './workload.js';

/** A workload over two proxies with mutual TLS between them; CPU is that of both. */
function overMtls(workload: Workload, peers: NonNullable<Workload['peers']>): Workload {
  return {
    ...workload,
    name: `mtls-${workload.name}`,
    title: `${workload.title}, over two proxies with mutual TLS between them`,
    fullRunOnly: true,
    peers,
  };
}

export const mtlsBulk = overMtls(bulk, hops);
export const mtlsRequestResponse = overMtls(requestResponse(32), hops);
/** Every connection is a handshake. */
export const mtlsConnect = overMtls(connectPerRequest, hopsByHandshake);
