/** Where endpoints come from. Each upstream of a service has one source; the service's endpoints are all of theirs. */
import type { SocketAddress } from '../core/address.js';
import type { MeshproxyError } from '../core/errors.js';

/** One instance as a source found it. The balancer's `Endpoint` has the same shape; neither layer imports the other. */
export interface DiscoveredEndpoint {
  readonly id: string;
  readonly addresses: readonly SocketAddress[];
  /** 1 to 1000, and 1 where it is absent; 0 for an endpoint that takes no new connection. */
  readonly weight?: number;
  readonly zone?: string;
  /** 0, the default, is preferred. */
  readonly priority?: number;
  /** Shown, never interpreted. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** What a source knows at a moment. */
export type DiscoverySnapshot =
  /** Its endpoints, in place of all that it told before. */
  | {
      readonly kind: 'endpoints';
      readonly endpoints: readonly DiscoveredEndpoint[];
      /** Where there are none, in words: `the name has no address`. */
      readonly why?: string;
      /** Of a source that asks in several places: what one of them could not tell, where the last good answer stands in. */
      readonly incomplete?: MeshproxyError;
    }
  /** It has looked, and what it told last holds. */
  | { readonly kind: 'unchanged' }
  /** It could not tell. The last good answer stays in force. */
  | { readonly kind: 'failed'; readonly error: MeshproxyError };

export interface DiscoverySource {
  /** What was configured, as it was written: `example.org:80`. */
  readonly upstream: string;
  /** Yields a first snapshot as soon as there is one, then what each further look comes to, until `signal` is aborted; never throws. */
  watch(signal: AbortSignal): AsyncIterable<DiscoverySnapshot>;
}
