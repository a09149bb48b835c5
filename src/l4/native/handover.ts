/**
 * One worker's part in keeping the workers equally loaded. The kernel spreads connections over them by a hash: of 32
 * connections on 2 workers one has more than 60 % in about one run of five. So who accepts a connection while another has
 * clearly fewer hands it to that one, as Envoy's exact balance does.
 */
import { countOf, Tally } from '../tally.js';
import { Churn } from './churn.js';
import { type InboxCells, Inboxes } from './inboxes.js';
import type { Kernel } from './kernel.js';
import type { Handler, Reactor } from './reactor.js';

/**
 * A worker keeps what it accepts until it has this many more than the one that has least: of 10 connections 6 and 4 is the
 * worst then, and of 32 there is room for what two that decide at the same moment do not see of each other. Handing over
 * costs a few microseconds and another thread's waking.
 */
const LEAST_SLACK = 2;
/** In proportion where there are many: a tenth more is no load that anyone could measure. */
const SLACK_SHARE = 0.1;

/**
 * The worker that is to have the next connection: `mine`, unless another has so many fewer.
 * @param churn how many of `mine` have just ended. Who has that many more will soon not have them: where a connection is
 * made for each request, the one that has just accepted some is always ahead, and handing over would be for nothing.
 */
export function leastLoaded(loads: ArrayLike<number>, mine: number, churn = 0): number {
  let least = mine;
  for (let worker = 0; worker < loads.length; worker += 1) if (load(worker) < load(least)) least = worker;
  const slack = Math.max(LEAST_SLACK, SLACK_SHARE * load(least), churn);
  return load(mine) - load(least) < slack ? mine : least;

  function load(worker: number): number {
    return loads[worker] ?? Number.POSITIVE_INFINITY;
  }
}

/** What all workers are given to hand connections to each other. */
export interface SharedExchange {
  readonly inboxes: InboxCells;
  /** By worker: what wakes it. Main's to close. */
  readonly wakers: readonly number[];
  /** By worker: its open connections (`tally.ts`). */
  readonly connections: Int32Array<SharedArrayBuffer>;
  /** One word: how many connections the descriptors of this process allow. */
  readonly allowed: Int32Array<SharedArrayBuffer>;
}

/** Takes connections of its group that another worker has accepted. */
export interface Receiver {
  take(fd: number): void;
}

type HandoverKernel = Pick<Kernel, 'own' | 'disown' | 'abort' | 'wake' | 'awake'>;

export class Handover implements Handler {
  readonly #kernel: HandoverKernel;
  readonly #reactor: Pick<Reactor, 'watchReadable' | 'unwatch'>;
  readonly #exchange: SharedExchange;
  readonly #mine: number;
  readonly #now: () => number;
  readonly #waker: number;
  readonly #inboxes: Inboxes;
  readonly #connections: Tally;
  readonly #loads: Float64Array;
  /** By group. */
  readonly #receivers = new Map<number, Receiver>();
  readonly #churn = new Churn();
  /** Connections that became this worker's. */
  #arrived = 0;
  #handedOver = 0;

  constructor(
    kernel: HandoverKernel,
    reactor: Pick<Reactor, 'watchReadable' | 'unwatch'>,
    exchange: SharedExchange,
    mine: number,
    now: () => number = () => performance.now(),
  ) {
    this.#kernel = kernel;
    this.#reactor = reactor;
    this.#exchange = exchange;
    this.#mine = mine;
    this.#now = now;
    this.#waker = exchange.wakers[mine] ?? -1;
    this.#inboxes = new Inboxes(exchange.inboxes, exchange.wakers.length);
    this.#connections = new Tally(exchange.connections, mine);
    this.#loads = new Float64Array(exchange.wakers.length);
    reactor.watchReadable(this.#waker, this);
  }

  /** How many connections other workers were given by this one. */
  get handedOver(): number {
    return this.#handedOver;
  }

  /** How many are on their way between any two workers: they hold descriptors, and nobody counts them yet. */
  get underWay(): number {
    return this.#inboxes.underWay;
  }

  /** From now on takes what others have accepted in that group. */
  join(group: number, receiver: Receiver): void {
    this.#receivers.set(group, receiver);
    this.#publish();
  }

  /** What was handed over until now is still taken. */
  leave(group: number): void {
    this.#takeAll();
    this.#receivers.delete(group);
    this.#publish();
  }

  /** True where another worker serves that connection from now on. */
  offer(group: number, fd: number): boolean {
    const to = this.#choose(group);
    if (to === this.#mine || !this.#inboxes.hasRoom(this.#mine, to) || this.#isFull()) {
      this.#arrived += 1;
      return false;
    }
    // Before it is handed over: the other one may close it at once, and the number be used again.
    this.#kernel.disown(fd);
    this.#inboxes.put(this.#mine, to, group, fd);
    this.#kernel.wake(this.#exchange.wakers[to] ?? -1);
    this.#handedOver += 1;
    return true;
  }

  onEvents(): void {
    // First, or what comes after the last look would not be told of.
    this.#kernel.awake(this.#waker);
    this.#takeAll();
  }

  /** Nothing is taken from now on. */
  close(): void {
    this.#inboxes.open(this.#mine, 0);
    this.#takeAll();
    this.#reactor.unwatch(this.#waker);
  }

  #choose(group: number): number {
    const loads = this.#loads;
    const ended = this.#arrived - countOf(this.#exchange.connections, this.#mine);
    const churn = this.#churn.recent(ended, this.#now());
    for (let worker = 0; worker < loads.length; worker += 1) {
      const takes = worker === this.#mine || this.#inboxes.isOpen(worker, group);
      loads[worker] = takes ? countOf(this.#exchange.connections, worker) : Number.POSITIVE_INFINITY;
    }
    loads[this.#mine] = (loads[this.#mine] ?? 0) + this.#inboxes.waiting(this.#mine);
    // As a rule that is all: what is on its way to the others only makes their loads larger.
    if (leastLoaded(loads, this.#mine, churn) === this.#mine) return this.#mine;
    for (let worker = 0; worker < loads.length; worker += 1) {
      if (worker !== this.#mine) loads[worker] = (loads[worker] ?? 0) + this.#inboxes.waiting(worker);
    }
    return leastLoaded(loads, this.#mine, churn);
  }

  /** Then what is accepted stays with who accepts, which has to stop: nobody would, if each handed it to another. */
  #isFull(): boolean {
    return this.#connections.total + this.underWay >= Atomics.load(this.#exchange.allowed, 0);
  }

  #takeAll(): void {
    this.#inboxes.take(this.#mine, (group, fd) => {
      this.#kernel.own(fd);
      const receiver = this.#receivers.get(group);
      // Its listener has been closed meanwhile: whom the kernel had in its queue is reset then, too.
      if (receiver === undefined) return void this.#kernel.abort(fd);
      this.#arrived += 1;
      receiver.take(fd);
    });
  }

  /** Groups are numbered as they are bound, so one number says which of them are known here. */
  #publish(): void {
    this.#inboxes.open(this.#mine, Math.max(0, ...this.#receivers.keys()));
  }
}
