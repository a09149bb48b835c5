/**
 * What the native engine asks of the operating system, one method per system call. `libc.ts` implements it; a fake one
 * drives the relay through orders of events that a real kernel shows once in a year.
 *
 * Every call that can fail answers with a negative errno (`-EAGAIN`), as system calls themselves do: no object and no
 * exception on the way of the bytes.
 */
import type { SocketAddress } from '../../core/address.js';
import type { SocketOptions } from '../transport.js';

/** Linux's numbers, the same on x64 and arm64 (`asm-generic/errno-base.h`, `errno.h`). */
export const EINTR = 4;
export const EIO = 5;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const EPIPE = 32;
export const EPROTO = 71;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const EINPROGRESS = 115;

/** Short of descriptors or memory: none of a peer's doing. */
export function isShortage(result: number): boolean {
  return result === -EMFILE || result === -ENFILE || result === -ENOBUFS || result === -ENOMEM;
}

/** Bits of an event (`sys/epoll.h`). */
export const IN = 0x001;
export const PRI = 0x002;
export const OUT = 0x004;
export const ERR = 0x008;
export const HUP = 0x010;
export const RDHUP = 0x2000;

export type Family = 'ipv4' | 'ipv6' | 'unix';

/** A pipe of the kernel's: what is spliced from one socket to another passes through it, and no user memory. */
export interface Pipe {
  readonly readEnd: number;
  readonly writeEnd: number;
}

/** What moving bytes takes. */
export interface Relaying {
  /** Where `receive` puts what it reads, and what `sealed` held once it is opened; overwritten by the next call. */
  readonly received: Uint8Array;
  /** A read that brings so many is of a stream. */
  readonly copyBytes: number;
  /** Bytes read into `received`; 0 at the end of the stream. @param most `copyBytes` unless given */
  receive(fd: number, most?: number): number;
  /** Where `receiveSealed` puts what it reads: room for some records of TLS; overwritten by the next call. */
  readonly sealed: Uint8Array;
  /** Bytes read into `sealed`; 0 at the end of the stream. */
  receiveSealed(fd: number): number;
  /** Sends `received` up to `length`. */
  sendReceived(fd: number, length: number): number;
  send(fd: number, bytes: Uint8Array): number;
  /** Moves up to `length` bytes from a socket into a pipe; 0 at the end of the stream. */
  fill(fd: number, pipe: Pipe, length: number): number;
  /** Moves up to `length` bytes out of a pipe into a socket. */
  empty(pipe: Pipe, fd: number, length: number): number;
  openPipe(): Pipe | undefined;
  closePipe(pipe: Pipe): void;
  /** Sends the end of our stream; what was sent before it is delivered first. */
  shutdownWrite(fd: number): number;
  /** The error pending on a socket, as a positive errno; 0 for none. Reading it clears it. */
  pendingError(fd: number): number;
  /** Bytes that were handed to a socket and that its peer has not acknowledged. */
  unacknowledged(fd: number): number;
  close(fd: number): void;
  /** Closes with a TCP reset, dropping what is queued. A unix socket has none: it is closed. */
  abort(fd: number): void;
  /** Somebody else closes it from now on. */
  disown(fd: number): void;
  /** It is ours to close from now on. */
  own(fd: number): void;
}

/** What waiting takes. */
export interface Polling {
  /** Reports the edges of a socket from now on: readable, writable, hung up. `tag` comes back with each event. */
  watchEdges(fd: number, tag: number): number;
  /**
   * Of a watched socket: whether edges of what arrives are reported from now on; all others are in any case. What is
   * there already when it is switched on is reported as an edge.
   */
  hearArrivals(fd: number, tag: number, heard: boolean): void;
  /** Reports a descriptor for as long as it is readable. */
  watchReadable(fd: number, tag: number): number;
  unwatch(fd: number): void;
  /** Waits for events, up to `timeoutMs` (-1: without end); how many there are. */
  wait(timeoutMs: number): number;
  /** Of the event number `index` of the last `wait`. */
  eventFd(index: number): number;
  eventTag(index: number): number;
  eventMask(index: number): number;
  /** The descriptor by which libuv's loop of this thread waits for its own events. */
  readonly loopFd: number;
  /** How long libuv's loop could wait now, ms: until its next timer; 0 where something is to be done at once, -1 where there is nothing. */
  loopTimeout(): number;
  /** Ends the waiting for good. */
  closePolling(): void;
}

/** What making connections takes. */
export interface Connecting {
  /** A non-blocking socket, closed on exec. */
  socket(family: Family): number;
  /** Begins to connect: 0 where it is done at once, `-EINPROGRESS` where an event will tell. */
  connect(fd: number, address: SocketAddress): number;
  /** No message waits for another one (TCP_NODELAY). A listening socket hands this, and keepalive, on to what it accepts. */
  noDelay(fd: number): void;
  keepAlive(fd: number, options: SocketOptions): void;
  /** The next connection of a listening socket. */
  accept(fd: number): number;
  /** Who the last `accept` accepted; `undefined` for an unnamed unix socket. */
  acceptedFrom(): SocketAddress | undefined;
  localAddress(fd: number): SocketAddress | undefined;
  remoteAddress(fd: number): SocketAddress | undefined;
  /** Of a socket that was just accepted: how long it had waited for that, ms, to the nearest tick of the kernel (1 to 10); 0 for a unix socket. */
  backlogMs(fd: number): number;
}

/** What listening takes; not on the way of any byte. */
export interface Listening {
  bind(fd: number, address: SocketAddress): number;
  listen(fd: number, backlog: number): number;
  /** Several sockets may then be bound to one address, and the kernel spreads connections over them (`SO_REUSEPORT`). */
  sharePort(fd: number): number;
  reuseAddress(fd: number): number;
  /** Whether an IPv6 socket takes IPv4 too. */
  dualStack(fd: number, both: boolean): number;
}

/** What waking another thread takes. */
export interface Waking {
  /** A descriptor that is readable from `wake` to `awake`, whichever thread calls them (eventfd(2)). */
  openWaker(): number;
  wake(waker: number): void;
  awake(waker: number): void;
}

export interface Kernel extends Relaying, Polling, Connecting, Listening, Waking {}
