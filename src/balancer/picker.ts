/**
 * The seam between choosing an endpoint and connecting to it. A picker is immutable: an update of the endpoints makes
 * a new one, and picks in flight keep theirs (the shape is grpc-js's `Picker` and tower's handle that takes the outcome).
 */
import type { SocketAddress } from '../core/address.js';

/** One instance of a service. */
export interface Endpoint {
  /** Stable over updates: the same instance keeps its id, and with it its statistics. Shown in logs and metrics. */
  readonly id: string;
  /** Where it can be reached; several where one instance has an IPv6 and an IPv4 address, which are then raced. Never empty. */
  readonly addresses: readonly SocketAddress[];
}

export interface PickContext {
  /** Endpoints that this connection has already tried in vain. */
  readonly tried: ReadonlySet<Endpoint>;
}

/** What became of a pick. */
export type Outcome =
  | { readonly kind: 'connected'; readonly connectMs: number }
  | { readonly kind: 'failed'; readonly afterMs: number };

export interface Pick {
  readonly endpoint: Endpoint;
  /** Why this one, in words, for `/connections` and the access line. */
  readonly why: string;
  /** Told once what became of it. */
  settle(outcome: Outcome): void;
}

export interface Picker {
  readonly endpoints: readonly Endpoint[];
  /** The next endpoint, or `undefined` where there is none that has not been tried. */
  pick(context: PickContext): Pick | undefined;
}
