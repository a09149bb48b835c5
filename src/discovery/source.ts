/** Where endpoints come from. Each upstream of a service has one source; the service's endpoints are all of theirs. */
import type { SocketAddress } from '../core/address.js';
import type { MeshproxyError } from '../core/errors.js';

/** One instance as a source found it. The balancer's `Endpoint` has the same shape; neither layer imports the other. */
export interface DiscoveredEndpoint {
  readonly id: string;
  readonly addresses: readonly SocketAddress[];
}

/** What a source knows at a moment: its endpoints, or why it could not tell. A failure leaves the last good answer in force. */
export type DiscoverySnapshot =
  | { readonly kind: 'endpoints'; readonly endpoints: readonly DiscoveredEndpoint[] }
  | { readonly kind: 'failed'; readonly error: MeshproxyError };

export interface DiscoverySource {
  /** What was configured, as it was written: `example.org:80`. */
  readonly upstream: string;
  /** Yields a first snapshot as soon as there is one, then each that differs, until `signal` is aborted; never throws. */
  watch(signal: AbortSignal): AsyncIterable<DiscoverySnapshot>;
}
