/**
 * Bytes both ways between two sockets. A short message is one read and one write. Where a read fills the buffer the
 * direction streams: the kernel moves its bytes through a pipe (`splice(2)`), and they never come here, until it calms
 * down. Each direction ends by itself, after its last byte; a reset of either side resets the other at once.
 *
 * A direction is read only while all that it has read is handed on: a reader that does not read stops its sender, with
 * one buffer or one pipe in between.
 */
import { relayEndOf } from '../disconnect.js';
import type { RelayEnd, RelayEvents } from '../transport.js';
import type { NativeConnection } from './connection.js';
import type { Engine } from './engine.js';
import { errnoError } from './errno.js';
import { EAGAIN, ECONNRESET, EINTR, EINVAL, EPIPE, ERR, HUP, IN, OUT, PRI, RDHUP } from './kernel.js';
import type { Unfinished } from './reactor.js';

const EMPTY: Uint8Array = new Uint8Array(0);

/** Reads of one direction before the other connections of the thread have their turn: some megabytes of a stream. */
const READS_PER_TURN = 16;
/** As much as there is room for: the pipe's size bounds it. */
const ALL = 1 << 30;

export class Relay implements Unfinished {
  readonly #engine: Engine;
  readonly #near: NativeConnection;
  readonly #far: NativeConnection;
  readonly #events: RelayEvents;
  readonly #resolve: (end: RelayEnd) => void;
  #toldFirstByte = false;
  #toldPeerFirstByte = false;
  #over = false;
  /** Before this relay something was read or written that has not gone out: what the client has sent does not stand alone. */
  readonly #heldBefore: boolean;
  /** A direction has used up its reads of this turn. */
  #waitsForTurn = false;

  /** Takes ownership of both; `resolve` is called once, when both are closed. */
  constructor(
    engine: Engine,
    near: NativeConnection,
    far: NativeConnection,
    events: RelayEvents,
    resolve: (end: RelayEnd) => void,
  ) {
    this.#engine = engine;
    this.#near = near;
    this.#far = far;
    this.#events = events;
    this.#resolve = resolve;
    this.#heldBefore = near.unsent.length + far.unsent.length + far.held.length > 0;
  }

  start(): void {
    const near = this.#near;
    const far = this.#far;
    near.relaying = this;
    far.relaying = this;
    for (const side of [near, far]) {
      if (side.failure !== undefined) return void this.#broke(side, side.failure);
      if (side.closed) return void this.#finish({ kind: 'local' });
    }
    // What was written to a side before goes out before what was read of the other.
    near.held = joined(far.unsent, near.held);
    far.held = joined(near.unsent, far.held);
    near.unsent = EMPTY;
    far.unsent = EMPTY;
    this.#pump(near, far);
    if (!this.#over) this.#pump(far, near);
  }

  otherThan(side: NativeConnection): NativeConnection {
    return side === this.#near ? this.#far : this.#near;
  }

  onEvents(side: NativeConnection, mask: number): void {
    if ((mask & ERR) !== 0) {
      this.#broke(side, errnoError('read', this.#engine.kernel.pendingError(side.fd) || ECONNRESET));
      return;
    }
    const other = this.otherThan(side);
    if ((mask & OUT) !== 0 && side.blocked) {
      side.blocked = false;
      this.#pump(other, side);
      if (this.#over) return;
    }
    if ((mask & (IN | PRI | RDHUP | HUP)) !== 0) {
      side.noteReadable(mask);
      if (other.blocked || side.resting !== undefined) this.#holdBack(side);
      this.#pump(side, other);
    }
  }

  /**
   * What arrives cannot be handed on now, and each arrival would wake the thread for nothing: of a stream with a slow
   * reader, ten times for each time that the reader has taken something.
   */
  #holdBack(from: NativeConnection): void {
    if (from.deaf) return;
    from.deaf = true;
    this.#engine.reactor.hearArrivals(from.fd, false);
  }

  /** It has been read to the end of what there was: only another arrival brings more. */
  #hearAgain(from: NativeConnection): void {
    from.deaf = false;
    this.#engine.reactor.hearArrivals(from.fd, true);
  }

  goOn(): void {
    this.#waitsForTurn = false;
    if (!this.#over) this.#pump(this.#near, this.#far);
    if (!this.#over) this.#pump(this.#far, this.#near);
  }

  fail(): void {
    this.reset();
  }

  /** Our own doing. */
  reset(): void {
    if (!this.#over) this.#finish({ kind: 'local' });
  }

  /** Carries from one side to the other what there is, as far as the other takes it. */
  #pump(from: NativeConnection, to: NativeConnection): void {
    this.#carry(from, to);
    if (from.deaf && !from.readable && !this.#over) this.#hearAgain(from);
  }

  #carry(from: NativeConnection, to: NativeConnection): void {
    if (!this.#handOn(from, to)) return;
    for (let reads = 0; from.readable && !from.ended && from.resting === undefined; reads += 1) {
      if (reads === READS_PER_TURN) return void this.#takeTurns();
      const before = from.bytesRead;
      const going = from.streams ? this.#splice(from, to) : this.#copy(from, to);
      if (from.pace !== undefined && from.bytesRead > before)
        this.#keepPace(from, from.pace.took(from.bytesRead - before));
      if (!going) return;
      if (from.tls?.costly) return void this.#takeTurns();
    }
    if (from.ended) this.#passOnEnd(from, to);
  }

  #keepPace(from: NativeConnection, restMs: number): void {
    if (restMs <= 0 || this.#over) return;
    // The turn under way was to wait without knowing of this timer.
    this.#engine.reactor.callingOut();
    from.resting = setTimeout(() => this.#rested(from), restMs);
    // There are fewer of them than connections that may be held back.
    if (from.inPipe === 0) this.#releasePipe(from);
  }

  #rested(from: NativeConnection): void {
    from.resting = undefined;
    if (!this.#over) this.#pump(from, this.otherThan(from));
  }

  /** Hands on what was read before. False where the other side does not take all of it now. */
  #handOn(from: NativeConnection, to: NativeConnection): boolean {
    while (from.held.length > 0) {
      if (to.blocked) return false;
      const sent = to.send(from.held);
      if (sent > 0) from.held = sent === from.held.length ? EMPTY : from.held.subarray(sent);
      if (!this.#wasTaken(to, sent) || !this.#tellFirstByte(from)) return false;
    }
    while (from.inPipe > 0 && from.pipe !== undefined) {
      if (to.blocked) return false;
      const sent = this.#engine.kernel.empty(from.pipe, to.fd, from.inPipe);
      // Nothing, of a pipe that has something: never seen, and never to be waited for.
      if (sent === 0) return this.#broke(to, errnoError('splice', EPIPE));
      if (sent > 0) from.inPipe -= sent;
      if (!this.#wasTaken(to, sent) || !this.#tellFirstByte(from)) return false;
    }
    if (!from.streams) this.#releasePipe(from);
    return true;
  }

  /** False where it was not, and the direction has to wait, or is over. */
  #wasTaken(to: NativeConnection, sent: number): boolean {
    if (sent >= 0) {
      to.sent += sent;
      return true;
    }
    if (sent === -EINTR) return true;
    if (sent === -EAGAIN) to.blocked = true;
    else this.#broke(to, to.errorOf('write', -sent));
    return false;
  }

  /** One read and one write. False where the direction cannot go on now. */
  #copy(from: NativeConnection, to: NativeConnection): boolean {
    const { kernel } = this.#engine;
    // What is to be sealed cannot be spliced: as much of it as there is at once.
    const got = from.receive(to.tls && kernel.received.length);
    if (got <= 0) return this.#nothingRead(from, got);
    from.bytesRead += got;
    const full = got >= kernel.copyBytes;
    if (full) from.streams = from.tls === undefined && to.tls === undefined;
    // Less than there was room for: it was all there is. What comes later is told as another edge.
    else if (!from.readToEnd) from.readable = false;
    const sent = to.sendReceived(got);
    if (sent === got) {
      to.sent += sent;
      return this.#tellFirstByte(from);
    }
    const rest = kernel.received.subarray(Math.max(sent, 0), got);
    from.held = Uint8Array.from(rest);
    // A short write: that the kernel is full is only noted, and told, by the call that takes nothing.
    return this.#wasTaken(to, sent) && this.#tellFirstByte(from) && this.#handOn(from, to);
  }

  /** From socket to pipe to socket. False where the direction cannot go on now. */
  #splice(from: NativeConnection, to: NativeConnection): boolean {
    from.pipe ??= this.#engine.pipes.take();
    if (from.pipe === undefined) {
      from.streams = false;
      return this.#copy(from, to);
    }
    const got = this.#engine.kernel.fill(from.fd, from.pipe, from.pace?.mostAtOnce ?? ALL);
    if (got <= 0) {
      this.#releasePipe(from);
      // Not every socket can be spliced, and a splice takes urgent data for an end, or for nothing, and stops there: a read knows.
      if (got === 0 || got === -EINVAL || (got === -EAGAIN && from.readToEnd)) {
        from.streams = false;
        return this.#copy(from, to);
      }
      return this.#nothingRead(from, got);
    }
    from.bytesRead += got;
    from.inPipe += got;
    // It calms down: back to one read and one write.
    if (got < this.#engine.kernel.copyBytes) from.streams = false;
    return this.#handOn(from, to);
  }

  /** What a read that brought nothing means. False: the direction cannot go on now. */
  #nothingRead(from: NativeConnection, result: number): boolean {
    if (result === 0) {
      from.ended = true;
      return true;
    }
    if (result === -EINTR) return true;
    if (result === -EAGAIN) from.readable = false;
    else this.#broke(from, from.errorOf('read', -result));
    return false;
  }

  #passOnEnd(from: NativeConnection, to: NativeConnection): void {
    if (from.endPassed) return;
    this.#releasePipe(from);
    // Where TLS says its own end: it takes room, as bytes do. Closing a plain socket sends its end by itself.
    if ((!to.endPassed || to.tls !== undefined) && !to.endWrite()) return;
    from.endPassed = true;
    if (to.endPassed) {
      // Both ends are in: closing sends ours.
      this.#near.close();
      this.#far.close();
      return void this.#finish({ kind: 'completed' });
    }
    this.#tell('onHalfClose');
  }

  #broke(side: NativeConnection, cause: Error): false {
    if (this.#over) return false;
    if (!this.#handOnLast(side, this.otherThan(side))) return false;
    if (side === this.#far && this.#maySpare()) return this.#spare(side.tls?.complaint ?? cause);
    const by = side === this.#near ? 'this' : 'peer';
    // Behind an alert of TLS comes a reset, as a rule: the alert says why.
    const why = side.tls?.complaint ?? cause;
    this.#finish({ kind: relayEndOf(why), by, cause: why });
    return false;
  }

  /**
   * What a side sent before it broke, as far as the other takes it at once: a server that turns a request down half read
   * sends its answer and, right behind it, a reset. Of what fails here nothing comes any more. False where the relay is over by then.
   */
  #handOnLast(from: NativeConnection, to: NativeConnection): boolean {
    // What is held waits for the other to take it, and nothing overtakes it.
    if (from.closed || to.closed || to.blocked || from.held.length + from.inPipe > 0) return true;
    const before = to.sent;
    for (let reads = 0; reads < READS_PER_TURN; reads += 1) {
      const got = from.receive();
      if (got <= 0) break;
      from.bytesRead += got;
      const sent = to.sendReceived(got);
      if (sent > 0) to.sent += sent;
      if (sent !== got) break;
    }
    return to.sent === before || this.#tellFirstByte(from);
  }

  /** Whether the far side has broken, and all that the near one has sent is still here. */
  #maySpare(): boolean {
    if (this.#toldFirstByte || this.#toldPeerFirstByte || this.#heldBefore) return false;
    const near = this.#near;
    return !near.closed && near.inPipe === 0 && !this.#far.ended && this.#events.spares === true;
  }

  /** The near side is somebody else's to carry on. */
  #spare(cause: Error): false {
    const near = this.#near;
    this.#over = true;
    this.#far.abort();
    for (const side of [near, this.#far]) {
      this.#releasePipe(side);
      clearTimeout(side.resting);
    }
    near.resting = undefined;
    near.relaying = undefined;
    near.endPassed = false;
    if (near.deaf) this.#hearAgain(near);
    this.#engine.reactor.callingOut();
    this.#resolve({ kind: 'spared', cause });
    return false;
  }

  /** Resets what is not closed yet. */
  #finish(end: RelayEnd): void {
    this.#over = true;
    for (const side of [this.#near, this.#far]) {
      side.abort();
      this.#releasePipe(side);
      side.held = EMPTY;
      clearTimeout(side.resting);
    }
    this.#engine.reactor.callingOut();
    this.#resolve(end);
  }

  #releasePipe(from: NativeConnection): void {
    const { pipe } = from;
    if (pipe === undefined) return;
    from.pipe = undefined;
    this.#engine.pipes.giveBack(pipe, from.inPipe);
    from.inPipe = 0;
  }

  /** To be said once bytes of `from` are handed on, and none is in a buffer that others use too. False where the relay is over by then. */
  #tellFirstByte(from: NativeConnection): boolean {
    if (from === this.#near) {
      if (this.#toldFirstByte) return true;
      this.#toldFirstByte = true;
      return this.#tell('onFirstByte');
    }
    if (this.#toldPeerFirstByte) return true;
    this.#toldPeerFirstByte = true;
    return this.#tell('onPeerFirstByte');
  }

  /** Whoever is told may reset the relay; a bug there resets it. False where it is over by then. */
  #tell(event: 'onFirstByte' | 'onPeerFirstByte' | 'onHalfClose'): boolean {
    const { reactor } = this.#engine;
    reactor.callingOut();
    try {
      this.#events[event]();
    } catch (error) {
      reactor.reportBug(error);
      this.reset();
    }
    return !this.#over;
  }

  #takeTurns(): void {
    if (this.#waitsForTurn) return;
    this.#waitsForTurn = true;
    this.#engine.reactor.later(this);
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.length === 0) return second;
  return second.length === 0 ? first : Buffer.concat([first, second]);
}
