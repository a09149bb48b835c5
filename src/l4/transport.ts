/**
 * The seam between the life of a connection and the machinery that moves its bytes. Everything above it is written
 * once; below it are `streams/` (Node's net streams) and, on Linux, `native/` (epoll and splice).
 *
 * The contract, which `test/l4/transport.conformance.ts` holds every implementation to:
 * - Half-close is honoured: the end of one direction is passed on after its last byte, and the other goes on.
 * - A reset stays a reset: never is a truncated stream made to look like a complete one.
 * - Bytes in flight are bounded: a reader that does not read stops its sender.
 * - Whatever a peer does costs its own connection and no other.
 */

import type { Address, SocketAddress } from '../core/address.js';
import type { CancelSignal } from '../core/cancel.js';
import type { TlsCall, TlsPeer, TlsSetup } from './tls.js';

export interface SocketOptions {
  /** Ms of silence after which TCP keepalive probes the peer; 0 for never. TCP_NODELAY is always on. */
  readonly keepaliveMs: number;
  /** Bytes buffered per direction before the sender is held back. */
  readonly bufferSize: number;
  /** Of a listener: connections that are accepted before what is open has its turn. Default: as many as is cheapest. */
  readonly acceptsPerTurn?: number;
}

/** Called with every connection, which it then owns. */
export type Accept = (connection: Connection) => void;

/** A listening socket that somebody else has bound, and will close. */
export interface BoundSocket {
  /** As bound: with the real port. */
  readonly address: Address;
  readonly fd: number;
  /** The same for all sockets that share its address, and for no others ever; larger the later they were bound. */
  readonly group: number;
}

export interface Transport {
  readonly engine: 'streams' | 'native';
  /**
   * Rejects with a `MeshproxyError` `listen`, or `resolve` where the address is a name.
   * @param exhausted told, where the system says so, that there was no descriptor for a client; it waits
   */
  listen(address: Address, options: SocketOptions, accept: Accept, exhausted?: () => void): Promise<Listener>;
  /**
   * Connects. Rejects with `connect` (the endpoint cannot be reached), `exhausted` (this machine is short of
   * something) or `aborted` (the signal was); nothing is left open then.
   */
  dial(address: SocketAddress, options: SocketOptions, signal: CancelSignal): Promise<Connection>;
  /**
   * TLS on a connection of this transport that is not being relayed; what was peeked and not consumed belongs to it. From then on
   * the connection is what TLS carries: its end is close_notify, and an end of the socket without that is an error of the
   * relay (`tls`). Rejects with `handshake` (in words), `disconnected`, `aborted` or `bad-certificate`; the connection is closed then.
   */
  secure(connection: Connection, setup: TlsSetup, call: TlsCall, signal: CancelSignal): Promise<TlsPeer>;
}

export interface Listener {
  /** As bound: with the real port where 0 was asked for. */
  readonly address: Address;
  /** Stops accepting without closing: clients wait in the kernel's queue. False where the platform cannot; both are idempotent. */
  pause(): boolean;
  resume(): void;
  /** Other options for the connections that are accepted from now on; clients that wait in the kernel's queue notice nothing. */
  configure(options: SocketOptions): void;
  /** Stops accepting for good; connections already accepted live on. Idempotent. */
  close(): Promise<void>;
}

/**
 * How one relay ended. `lost` is a peer that stopped answering; `tls` one whose TLS broke, or ended without saying so; `local`
 * is our own `reset`. `spared`, only where `RelayEvents.spares`: the peer broke before a byte of this side had reached it, or one of its
 * own had come. It is closed; this side is as it was, with all that it has sent still to be relayed, and its caller's again.
 */
export type RelayEnd =
  | { readonly kind: 'completed' }
  | { readonly kind: 'reset' | 'lost' | 'tls'; readonly by: 'this' | 'peer'; readonly cause: Error }
  | { readonly kind: 'spared'; readonly cause: Error }
  | { readonly kind: 'local' };

export interface RelayEvents {
  /** Whether a peer that breaks before anything was exchanged with it is to cost only itself. Asked when it does. */
  readonly spares?: boolean;
  /** The first byte from the connection that is relayed. At most once. */
  onFirstByte(): void;
  /** The first byte from the connection that was relayed to. At most once. */
  onPeerFirstByte(): void;
  /** One direction has ended, and its end was passed on; the other goes on. At most once. */
  onHalfClose(): void;
}

/** Asked after each read of a connection, in a relay. Calls must be cheap and never throw. */
export interface Pace {
  /** So many bytes were read. For how long no more are to be read, ms; 0 or less where it may go on. */
  took(bytes: number): number;
  /** Bytes to read at a time, about. */
  readonly mostAtOnce: number;
}

/** One connected socket. Exactly one owner at a time; `relay` takes ownership of both sides. */
export interface Connection {
  /** How fast a relay may read it; as fast as it can where absent. To be set before `relay`. */
  pace: Pace | undefined;
  /** The far end as the kernel names it; `undefined` for an unnamed unix socket or where it has already gone. */
  readonly remote: SocketAddress | undefined;
  /** Our end. */
  readonly local: SocketAddress | undefined;
  /**
   * Of a connection that was just accepted: how long it had waited for that in the kernel's queue, ms, to the nearest tick of the
   * kernel (1 to 10). 0 where the system does not tell. Costs a system call.
   */
  readonly backlogMs: number;
  /** Bytes taken from the kernel, and handed to it, so far. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Of what was written, how much the peer has not taken yet, as far as the system tells. Costs a system call. */
  readonly bytesUnsent: number;
  /**
   * Resolves with everything received and not yet consumed once that is at least `atLeast` bytes; with less only
   * after the peer's end of stream. Rejects `disconnected` on a reset and `aborted` by the signal. What it returns is
   * valid until the next call and must not be kept.
   */
  peek(atLeast: number, signal: CancelSignal): Promise<Uint8Array>;
  /** Drops the first `count` bytes of what `peek` showed: they will not be relayed. */
  consume(count: number): void;
  /** Queues bytes to go out before anything relayed. For headers: not for bulk. */
  write(bytes: Uint8Array): void;
  /** Queues our end of the stream behind what was written. A relay does that by itself; to have done it before is no harm. Idempotent. */
  end(): void;
  /**
   * Carries bytes both ways until both directions have ended or either side broke, then resolves; both sockets are
   * closed by then, in the way the end asks for (but a `spared` one). Never rejects.
   */
  relay(peer: Connection, events: RelayEvents): Promise<RelayEnd>;
  /** Ends at once with a TCP reset (a plain close where the socket has none, as unix ones). Idempotent. */
  reset(): void;
}
