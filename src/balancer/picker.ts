/**
 * The seam between choosing an endpoint and connecting to it. A picker is immutable: an update of the endpoints makes
 * a new one, and picks in flight keep theirs (the shape is grpc-js's `Picker` and tower's handle that takes the outcome).
 */
import type { SocketAddress } from '../core/address.js';
import type { KeySource } from './hash-key.js';

/** One instance of a service. What is absent has its default: there may be a hundred thousand of these. */
export interface Endpoint {
  /** Stable over updates: the same instance keeps its id, and with it its statistics. Shown in logs and metrics. */
  readonly id: string;
  /** Where it can be reached; several where one instance has an IPv6 and an IPv4 address, which are then raced. Never empty. */
  readonly addresses: readonly SocketAddress[];
  /** Its share beside others, 1 to 1000; 1 where absent, and 0 for one that takes no new connection. */
  readonly weight?: number;
  readonly zone?: string;
  /** 0, the default, is preferred; the next is for when there is too little of the one before. */
  readonly priority?: number;
  /** Shown, never interpreted. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface PickContext {
  /** Endpoints that this connection has already tried in vain. */
  readonly tried: ReadonlySet<Endpoint>;
  /** On the monotonic clock, ms. */
  readonly now: number;
  /** What is known of the connection; asked only where endpoints are chosen by it. */
  readonly source?: () => KeySource;
}

/** How an attempt failed: it was refused or cut off, it took too long, or TLS did not come about. */
export type Failure = 'connect' | 'timeout' | 'handshake';

/** How a connection to an endpoint ended: `reset` by the endpoint before it had sent anything, or in any other way. */
export type PickEnd = 'served' | 'reset';

/** An endpoint that was chosen, and the handle by which it is told what became of that: `failed`, or `connected` and then `ended`. */
export interface Pick {
  readonly endpoint: Endpoint;
  /** Why this one, in words, for `/connections` and the access line. */
  readonly why: string;
  connected(connectMs: number, now: number): void;
  failed(how: Failure, afterMs: number, now: number): void;
  /** The endpoint has begun to answer, so long after it was connected or was first asked. */
  answered(afterMs: number, now: number): void;
  /** It was asked so long ago, and has not begun to answer. */
  unanswered(sinceMs: number, now: number): void;
  ended(how: PickEnd, now: number): void;
  /** Given up for a reason that says nothing of the endpoint. */
  abandoned(): void;
}

export interface Picker {
  readonly endpoints: readonly Endpoint[];
  /** The next endpoint, or `undefined` where there is none that has not been tried. */
  pick(context: PickContext): Pick | undefined;
}
