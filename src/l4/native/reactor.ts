/**
 * One thread's event loop on epoll, beside libuv's and in step with it.
 *
 * It waits in `epoll_wait` for its own descriptors and, nested among them, for the one that libuv waits by: whatever
 * libuv would wake for (a message from another thread, a timer, a socket of Node's) ends the waiting. So the thread
 * sleeps when there is nothing to do, and promises, timers and messages work in it as everywhere.
 *
 * libuv gets its turn when it has something to do, and whenever code outside of the engine was called: what that did
 * with promises is only run once the stack is empty. While there is neither, bytes are relayed turn after turn.
 */
import { EINTR, type Polling } from './kernel.js';

/** A descriptor's owner. */
export interface Handler {
  /** `mask` has the bits of `kernel.ts`. */
  onEvents(mask: number): void;
  /** It threw, which is a bug and was reported: whatever it was about is to be ended, for nobody knows in what state it is. */
  fail?(): void;
}

/** Something that stopped for the sake of others, and goes on in the next round without waiting for an event. */
export interface Unfinished {
  goOn(): void;
  /** As `Handler.fail`. */
  fail?(): void;
}

/**
 * The longest wait, ms. Not needed for anything known; were there a way for libuv to have work that its descriptor
 * does not tell of, it would be done this much later. One empty turn a second is not measurable.
 */
const LONGEST_WAIT_MS = 1000;
/** The same while libuv's descriptor cannot be watched: messages and Node's own sockets come this late then. */
const UNHEARD_WAIT_MS = 10;
/** Rounds without a turn for libuv. What it has to do is seen in each; this is for what V8 may do between two tasks. */
const MAX_ROUNDS = 64;
/** Ids of events are 32 bits. */
const TAGS = 2 ** 31;
/** Keeps Node's loop, and so the process, alive; it never fires. */
const FOREVER_MS = 2 ** 31 - 1;

function nothing(): void {}

export class Reactor {
  readonly #kernel: Polling;
  readonly #onBug: (error: unknown) => void;
  /** By descriptor. */
  readonly #handlers: (Handler | undefined)[] = [];
  /** By descriptor: of the watch that is in force, so that an event of the one before it on the same number is known. */
  readonly #tags: number[] = [];
  #lastTag = 0;
  #watched = 0;
  #unfinished: Unfinished[] = [];
  /** Code outside of the engine was called in this turn. */
  #calledOut = false;
  #loopIsReady = false;
  #hearsLoop = false;
  #scheduled = false;
  #alive: NodeJS.Timeout | undefined;
  readonly #loopHandler: Handler = {
    onEvents: () => {
      this.#loopIsReady = true;
    },
  };

  /** @param onBug told what a handler threw; the others are served on */
  constructor(kernel: Polling, onBug: (error: unknown) => void) {
    this.#kernel = kernel;
    this.#onBug = onBug;
  }

  /** Calls `handler` with the edges of `fd`. A negative errno where the system does not watch any more. */
  watchEdges(fd: number, handler: Handler): number {
    return this.#watch(fd, handler, this.#kernel.watchEdges(fd, this.#newTag()));
  }

  /** Calls `handler` as long as `fd` is readable. */
  watchReadable(fd: number, handler: Handler): number {
    return this.#watch(fd, handler, this.#kernel.watchReadable(fd, this.#newTag()));
  }

  /** Of the watch on `fd` that is in force: another one, and none, have another. */
  tagOf(fd: number): number {
    return this.#handlers[fd] === undefined ? 0 : (this.#tags[fd] ?? 0);
  }

  /** Whether `fd` is told of what arrives; what is there when it is told again counts as having arrived. */
  hearArrivals(fd: number, heard: boolean): void {
    const tag = this.#tags[fd];
    if (this.#handlers[fd] !== undefined && tag !== undefined) this.#kernel.hearArrivals(fd, tag, heard);
  }

  /** Hands a watched descriptor to another owner. */
  handOver(fd: number, handler: Handler): void {
    this.#handlers[fd] = handler;
  }

  /** An event that was taken already is dropped. */
  unwatch(fd: number): void {
    if (this.#handlers[fd] === undefined) return;
    this.#kernel.unwatch(fd);
    this.closing(fd);
  }

  /** Before a descriptor is closed for good, which ends the kernel's watch by itself (epoll(7)): a system call less. */
  closing(fd: number): void {
    if (this.#handlers[fd] === undefined) return;
    this.#handlers[fd] = undefined;
    this.#watched -= 1;
    if (this.#watched === 0) this.#rest();
  }

  /** Lets others have their turn first. */
  later(unfinished: Unfinished): void {
    this.#unfinished.push(unfinished);
  }

  /** What code outside of the engine threw, where nothing should be. */
  reportBug(error: unknown): void {
    this.#onBug(error);
  }

  /** To be said before code outside of the engine is called, or a promise settled. */
  callingOut(): void {
    this.#calledOut = true;
  }

  #watch(fd: number, handler: Handler, result: number): number {
    if (result < 0) return result;
    this.#handlers[fd] = handler;
    this.#tags[fd] = this.#lastTag;
    this.#watched += 1;
    if (this.#alive === undefined) this.#start();
    return result;
  }

  #newTag(): number {
    this.#lastTag = (this.#lastTag + 1) % TAGS;
    return this.#lastTag;
  }

  #start(): void {
    this.#hearLoop();
    this.#handlers[this.#kernel.loopFd] = this.#loopHandler;
    this.#alive = setInterval(() => {}, FOREVER_MS);
    this.#schedule();
  }

  /** Where the system does not watch any more (`max_user_watches`), libuv is looked after by the longest wait alone. */
  #hearLoop(): void {
    this.#hearsLoop = this.#kernel.watchReadable(this.#kernel.loopFd, this.#newTag()) >= 0;
    this.#tags[this.#kernel.loopFd] = this.#lastTag;
  }

  /** Nothing is left to watch: the thread is libuv's alone again. */
  #rest(): void {
    clearInterval(this.#alive);
    this.#alive = undefined;
    this.#handlers[this.#kernel.loopFd] = undefined;
    this.#kernel.unwatch(this.#kernel.loopFd);
  }

  /** Once, also where the last descriptor goes and another comes before the next turn: of two turns neither would wait. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    if (this.#alive === undefined) return;
    if (!this.#hearsLoop) this.#hearLoop();
    this.#calledOut = false;
    this.#loopIsReady = false;
    const timeoutMs = this.#timeout();
    const waitsUntil = performance.now() + timeoutMs;
    let timeLeft = timeoutMs;
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const events = this.#kernel.wait(this.#unfinished.length > 0 ? 0 : timeLeft);
      for (let index = 0; index < events; index += 1) this.#dispatch(index);
      const finished = this.#unfinished.length === 0;
      if (!finished) this.#goOn();
      if (this.#calledOut || this.#loopIsReady || this.#alive === undefined) break;
      if (events <= 0 && finished && events !== -EINTR) break;
      timeLeft = Math.ceil(waitsUntil - performance.now());
      if (timeLeft <= 0) break;
    }
    if (this.#alive !== undefined) this.#schedule();
  };

  /** How long libuv would wait, were it its turn, ms. */
  #timeout(): number {
    // While an immediate runs, as this turn does, Node tells libuv not to wait; it looks whether there is another one to
    // run only when one is cleared.
    clearImmediate(setImmediate(nothing));
    const untilTimer = this.#kernel.loopTimeout();
    const longest = this.#hearsLoop ? LONGEST_WAIT_MS : UNHEARD_WAIT_MS;
    return untilTimer < 0 ? longest : Math.min(untilTimer, longest);
  }

  #dispatch(index: number): void {
    const fd = this.#kernel.eventFd(index);
    const handler = this.#handlers[fd];
    if (handler === undefined || this.#tags[fd] !== this.#kernel.eventTag(index)) return;
    try {
      handler.onEvents(this.#kernel.eventMask(index));
    } catch (error) {
      this.#endBroken(handler, error);
    }
  }

  #endBroken(broken: Handler | Unfinished, bug: unknown): void {
    this.#onBug(bug);
    try {
      broken.fail?.();
    } catch (error) {
      this.#onBug(error);
    }
  }

  #goOn(): void {
    const unfinished = this.#unfinished;
    this.#unfinished = [];
    for (const one of unfinished) {
      try {
        one.goOn();
      } catch (error) {
        this.#endBroken(one, error);
      }
    }
  }
}
