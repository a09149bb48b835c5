/**
 * One TCP socket as Linux has it (`net/ipv4/tcp.c`: `tcp_recvmsg`, `tcp_splice_read`, `tcp_sendmsg`, `tcp_poll`,
 * `tcp_reset`, `tcp_disconnect`), with buffers of a few bytes, and its peer at the other end of no network at all.
 */
import { EAGAIN, ECONNRESET, EPIPE, ERR, HUP, IN, OUT, PRI, RDHUP } from '../../../src/l4/native/kernel.js';

/** Small enough that a few bytes fill everything. */
const RECEIVE_BUFFER = 96;
const SEND_BUFFER = 40;

/** Never part of what is relayed: it is taken out of the stream by the receiver's kernel. */
const URGENT = -1;

export class FakeSocket {
  /** Tells epoll; 0 is any event, as a change of state is. */
  wake: (events: number) => void = () => {};
  /** Taken by, and from, who owns the descriptor. */
  taken = 0;
  accepted = 0;
  /** How the owner closed it. */
  closed: 'no' | 'closed' | 'aborted' = 'no';
  /** `splice` answers EINVAL. */
  spliceable = true;
  /** Whether a write that took less than it was given has the room that comes told: TCP does, other sockets need not. */
  readonly #tellsAfterShort: boolean;
  #connected: boolean;
  readonly #received: number[] = [];
  readonly #unsent: number[] = [];
  #error = 0;
  /** The peer's end has come. */
  #fin = false;
  /** The peer's reset has come. */
  #dead = false;
  #shut = false;
  /** Our reset is behind what the peer has not read. */
  #cut = false;
  #wantsRoom = false;
  #peerSees: 'open' | 'end' | 'reset' = 'open';

  constructor({ connected = true, tellsAfterShort = true } = {}) {
    this.#connected = connected;
    this.#tellsAfterShort = tellsAfterShort;
  }

  // The peer's side.

  /** How the stream ended that the peer reads, as far as it has read. */
  get peerSees(): 'open' | 'end' | 'reset' {
    return this.#peerSees;
  }

  get peerEnded(): boolean {
    return this.#fin;
  }

  get peerReset(): boolean {
    return this.#dead;
  }

  /** Both ends were exchanged: no reset of ours reaches the peer any more. */
  get bothEnded(): boolean {
    return this.#fin && this.#shut;
  }

  get #peerMaySend(): boolean {
    return this.#connected && !this.#fin && !this.#dead && this.closed === 'no';
  }

  establish(): void {
    this.#connected = true;
    this.wake(OUT);
  }

  refuse(errno: number): void {
    this.#dead = true;
    this.#error = errno;
    this.wake(0);
  }

  /** How many of `bytes` the peer could send. */
  peerWrite(bytes: readonly number[]): number {
    if (!this.#peerMaySend) return 0;
    const took = Math.min(bytes.length, RECEIVE_BUFFER - this.#received.length);
    if (took > 0) this.#received.push(...bytes.slice(0, took));
    if (took > 0) this.wake(IN | PRI);
    return took;
  }

  /** One at a time: a second would make plain data of the first. */
  peerUrgent(): void {
    if (!this.#peerMaySend || this.#received.includes(URGENT) || this.#received.length === RECEIVE_BUFFER) return;
    this.#received.push(URGENT);
    this.wake(IN | PRI);
  }

  peerEnd(): boolean {
    if (!this.#peerMaySend) return false;
    this.#fin = true;
    this.wake(0);
    return true;
  }

  peerResets(): boolean {
    if (!this.#connected || this.#dead || this.closed !== 'no' || this.bothEnded) return false;
    this.#error = this.#fin ? EPIPE : ECONNRESET;
    this.#dead = true;
    this.#unsent.length = 0;
    this.#peerSees = 'reset';
    this.wake(0);
    return true;
  }

  peerRead(count: number): number[] {
    if (this.#peerSees !== 'open') return [];
    const bytes = this.#unsent.splice(0, count);
    if (this.#unsent.length === 0 && (this.#cut || this.#shut)) this.#peerSees = this.#cut ? 'reset' : 'end';
    if (bytes.length > 0 && this.#wantsRoom && this.#hasRoom) {
      this.#wantsRoom = false;
      this.wake(OUT);
    }
    return bytes;
  }

  // The owner's side.

  get unacknowledged(): number {
    return this.#unsent.length;
  }

  get mask(): number {
    if (!this.#connected && !this.#dead) return 0;
    const over = this.#dead || this.bothEnded;
    let mask = this.#error === 0 ? 0 : ERR;
    if (over) mask |= HUP;
    if (this.#fin || this.#dead) mask |= IN | RDHUP;
    if (this.#received.length > (this.#received[0] === URGENT ? 1 : 0)) mask |= IN;
    if (this.#received.includes(URGENT)) mask |= PRI;
    if (over || this.#shut || this.#hasRoom) mask |= OUT;
    return mask;
  }

  /** `recv`: reads past an urgent byte only where that comes first. */
  receive(most: number): number[] | number {
    if (this.#received[0] === URGENT) this.#received.shift();
    const bytes = this.#upToUrgent(most);
    return bytes.length > 0 ? bytes : this.#nothing();
  }

  /** `splice`: never reads past an urgent byte, and takes it for the end where the end has come behind it. */
  splice(most: number): number[] | number {
    const bytes = this.#upToUrgent(most);
    return bytes.length > 0 ? bytes : this.#nothing();
  }

  send(bytes: ArrayLike<number>): number {
    if (this.#dead) return -(this.#takeError() || EPIPE);
    if (this.#shut) return -EPIPE;
    const took = Math.min(bytes.length, SEND_BUFFER - this.#unsent.length);
    this.#unsent.push(...Array.from(bytes).slice(0, took));
    this.accepted += took;
    if (took === 0 || (took < bytes.length && this.#tellsAfterShort)) this.#wantsRoom = true;
    return took === 0 && bytes.length > 0 ? -EAGAIN : took;
  }

  shutdown(): void {
    this.#shut = true;
    this.wake(0);
  }

  pendingError(): number {
    return this.#takeError();
  }

  /** With anything unread it is a reset, as RFC 2525 section 2.17 wants it. */
  close(): void {
    if (this.#received.some((byte) => byte !== URGENT)) return void this.abort();
    this.closed = 'closed';
    this.#shut = true;
  }

  /** What was sent has arrived at the peer, which reads it before it sees the reset. */
  abort(): void {
    this.closed = 'aborted';
    if (this.bothEnded || this.#dead) return;
    this.#cut = true;
    if (this.#unsent.length === 0) this.#peerSees = 'reset';
  }

  /** As much room as is taken, as `sk_stream_is_writeable` has it. */
  get #hasRoom(): boolean {
    return SEND_BUFFER - this.#unsent.length >= this.#unsent.length / 2;
  }

  #upToUrgent(most: number): number[] {
    const urgent = this.#received.indexOf(URGENT);
    const bytes = this.#received.splice(0, Math.min(most, urgent === -1 ? most : urgent));
    this.taken += bytes.length;
    return bytes;
  }

  #nothing(): number {
    if (this.#fin) return 0;
    const error = this.#takeError();
    if (error !== 0) return -error;
    // The error has been fetched by somebody: Linux shows the end of a stream then.
    return this.#dead ? 0 : -EAGAIN;
  }

  #takeError(): number {
    const error = this.#error;
    this.#error = 0;
    return error;
  }
}
