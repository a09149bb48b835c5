/**
 * Bytes both ways between two sockets. Each direction ends by itself, after its last byte; a reset of either side
 * resets the other at once. Nothing is allocated per chunk beyond what Node's streams do.
 */
import type { Socket } from 'node:net';
import { relayEndOf } from '../disconnect.js';
import type { RelayEnd, RelayEvents } from '../transport.js';
import type { StreamConnection } from './connection.js';
import { holdBack, letGo } from './paused.js';

const EMPTY = Buffer.alloc(0);

export class Relay {
  readonly #near: StreamConnection;
  readonly #far: StreamConnection;
  readonly #events: RelayEvents;
  #resolve: (end: RelayEnd) => void = () => {};
  /** Set by whatever broke the relay first; unset while all is well. */
  #end: RelayEnd | undefined;
  #endedDirections = 0;
  #closedSockets = 0;
  /** A byte has been handed on, one way or the other; or was before. */
  #exchanged: boolean;
  /** Takes from the near socket what it is listened to with, where it is spared. */
  readonly #letGoOfNear: (() => void)[] = [];

  constructor(near: StreamConnection, far: StreamConnection, events: RelayEvents) {
    this.#near = near;
    this.#far = far;
    this.#events = events;
    this.#exchanged = near.socket.writableLength + far.socket.writableLength + far.held.length > 0;
  }

  run(): Promise<RelayEnd> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#watch(this.#near, this.#far, 'this');
      this.#watch(this.#far, this.#near, 'peer');
      this.#carry(this.#near, this.#far, () => this.#events.onFirstByte());
      this.#carry(this.#far, this.#near, () => this.#events.onPeerFirstByte());
    });
  }

  /** Everything that `from` sends goes to `to`; `onFirst` hears of the first byte. */
  #carry(from: StreamConnection, to: StreamConnection, onFirst: () => void): void {
    const source = from.socket;
    const sink = to.socket;
    if (sink.destroyed || this.#end !== undefined) return;
    if (source.destroyed) return void this.#handOnLast(from, sink, onFirst);
    let tellFirst: (() => void) | undefined = onFirst;
    let isFull = false;
    const goOn = () => {
      if (!isFull && from.resting === undefined) letGo(source);
    };
    const forward = (chunk: Uint8Array) => {
      if (tellFirst !== undefined) {
        this.#exchanged = true;
        tellFirst();
        tellFirst = undefined;
      }
      if (!sink.write(chunk)) isFull = true;
      if (from.pace !== undefined) this.#keepPace(from, from.pace.took(chunk.length), goOn);
      if (isFull || from.resting !== undefined) holdBack(source, from.raw);
    };
    const drained = () => {
      isFull = false;
      goOn();
    };
    source.on('data', forward);
    sink.on('drain', drained);
    this.#letGoOfNear.push(() => this.#near.socket.off('data', forward).off('drain', drained));
    from.onEnd = () => this.#passOnEnd(sink);
    source.resume();
    if (from.held.length > 0) forward(from.held);
    from.consume(from.held.length);
    if (from.ended) this.#passOnEnd(sink);
  }

  /** It was done, both ways, before the relay began, and Node had closed it: what it said is still to be handed on. */
  #handOnLast({ held, ended, failure }: StreamConnection, sink: Socket, onFirst: () => void): void {
    if (!ended || failure !== undefined) return;
    if (held.length > 0) {
      onFirst();
      sink.write(held);
    }
    this.#passOnEnd(sink);
  }

  #keepPace(from: StreamConnection, restMs: number, goOn: () => void): void {
    if (restMs <= 0) return;
    // What Node had read already comes while it rests: the later end counts.
    clearTimeout(from.resting);
    from.resting = setTimeout(() => {
      from.resting = undefined;
      goOn();
    }, restMs);
  }

  #passOnEnd(sink: Socket): void {
    if (sink.destroyed) return;
    // Not `end()` at once: while a FIN waits behind queued bytes the socket could not be reset any more, only closed,
    // which would make a truncated stream look complete.
    if (sink.writableLength === 0) sink.end();
    else sink.write(EMPTY, () => !sink.destroyed && sink.end());
    this.#endedDirections += 1;
    if (this.#endedDirections === 1) this.#events.onHalfClose();
  }

  #watch(side: StreamConnection, other: StreamConnection, by: 'this' | 'peer'): void {
    const broke = (error: Error) => {
      if (side === this.#far && this.#maySpare()) return this.#spare(error);
      this.#end ??= { kind: relayEndOf(error), by, cause: error };
      other.reset();
    };
    const closed = () => {
      const { socket } = side;
      clearTimeout(side.resting);
      if (this.#end?.kind === 'spared') return;
      // Closed by nobody's error and before its time: by our own `reset`.
      if (!this.#end && !(socket.readableEnded && socket.writableFinished)) {
        this.#end = { kind: 'local' };
        other.reset();
      }
      this.#closedSockets += 1;
      if (this.#closedSockets === 2) this.#resolve(this.#end ?? { kind: 'completed' });
    };
    if (side.failure) broke(side.failure);
    side.socket.on('error', broke);
    if (side.socket.closed) closed();
    else side.socket.on('close', closed);
    this.#letGoOfNear.push(() => this.#near.socket.off('error', broke).off('close', closed));
  }

  /** Whether the far side has broken, and all that the near one has sent is still here. */
  #maySpare(): boolean {
    if (this.#end !== undefined || this.#exchanged) return false;
    return !this.#near.socket.destroyed && !this.#far.ended && this.#events.spares === true;
  }

  /** The near side is somebody else's to carry on. */
  #spare(cause: Error): void {
    const near = this.#near;
    this.#end = { kind: 'spared', cause };
    for (const letGoOfIt of this.#letGoOfNear) letGoOfIt();
    near.onEnd = undefined;
    clearTimeout(near.resting);
    near.resting = undefined;
    near.socket.pause();
    this.#far.reset();
    this.#resolve(this.#end);
  }
}
