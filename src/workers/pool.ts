/**
 * The data plane in worker threads: each accepts, dials and carries bytes by itself, on the native engine. Main binds,
 * publishes what is configured, and looks after them: one that dies costs its own connections and is replaced.
 */
import type { Endpoint } from '../balancer/picker.js';
import type { Clock, Timer } from '../core/clock.js';
import { descriptorLimit } from '../core/descriptors.js';
import { describeError, MeshproxyError } from '../core/errors.js';
import type { ListenerState } from '../l4/data-plane.js';
import { Exchange } from '../l4/native/exchange.js';
import { pipesAllowed } from '../l4/native/pipes.js';
import { connectionsAllowed, descriptorsInUse } from '../l4/resources.js';
import { clearCell, sharedCells, Tally } from '../l4/tally.js';
import type { Identity } from '../pki/identity-files.js';
import type { ConnectionList, ConnectionsQuery } from '../telemetry/connection-list.js';
import type { ThreadReport } from '../telemetry/recorder.js';
import { staleReport } from '../telemetry/totals.js';
import type { Names } from '../telemetry/wanted.js';
import { deltaOf } from './endpoints-delta.js';
import type { FromWorker, SharedCells, WorkerData, WorkerSetup } from './messages.js';
import { PlacedServices } from './placed-services.js';
import type { PlacedOnMain, Plane, PlaneSetup, PreparedPlane } from './plane.js';
import { Restarts } from './restarts.js';
import {
  type Bind,
  bindListeners,
  closeOthers,
  countDescriptors,
  forgetWorker,
  listenersOf,
  type Sockets,
} from './sockets.js';
import { WorkerThread } from './worker-thread.js';

/** A reload waits so long for workers to let go of listeners that are gone, ms. One that is stalled does so later. */
const APPLY_MS = 500;
/** Past the drain timeout, ms, for resetting what is left; a worker that has not done it by then is ended by force. */
const DRAIN_GRACE_MS = 2000;

/** Memory for the array of open descriptors where the system names no limit of them, or one that no process reaches. */
const MOST_DESCRIPTORS = 2 ** 20;
const PER_PIPE = 2;
const UNLIMITED = 2 ** 31 - 1;
const NOTHING: Sockets = new Map();
/** What a thread runs. By its folder, for in the bundle this code is in another, beside it. */
const WORKER = new URL('../workers/worker.js', import.meta.url);

export interface WorkerDeath {
  readonly worker: number;
  readonly reason: string;
  /** Its connections, which were reset. */
  readonly connections: number;
  /** How long until it is replaced, ms; absent where it is not, for the pool is starting or draining. */
  readonly restartMs?: number;
}

export interface WorkerPoolOptions {
  readonly clock: Clock;
  readonly workers: number;
  /** In force until the first setup; its listeners and services are none. */
  readonly initial: Omit<PlaneSetup, 'listeners' | 'services'>;
  /** What a worker runs; by default `worker.ts`, as built. */
  readonly entry?: URL | undefined;
  readonly bind: Bind;
  /** Resets every descriptor that a dead worker has left open, by its array of them. */
  abandon(owned: Uint8Array): void;
  /** Told when accepting stops for want of descriptors, in whichever thread, and when it goes on in all of them. */
  onPause(paused: boolean, connections: number): void;
  /** Log lines, as JSON; `dropped` were lost on the way. */
  onLines(lines: readonly string[], dropped: number): void;
  /** The last that is known of what a worker has done, which has ended. */
  onLast(report: ThreadReport): void;
  onDeath(death: WorkerDeath): void;
}

/** One worker's place: what stays when the thread in it is replaced. */
interface Place {
  readonly index: number;
  readonly owned: Uint8Array<SharedArrayBuffer>;
  readonly restarts: Restarts;
  thread: WorkerThread | undefined;
  report: ThreadReport | undefined;
  paused: boolean;
  replacing: Timer | undefined;
}

export class WorkerPool implements Plane {
  readonly #options: WorkerPoolOptions;
  readonly #places: readonly Place[];
  readonly #connections: SharedCells;
  readonly #tally: Tally;
  readonly #allowed: SharedCells = sharedCells(1);
  #exchange: Exchange | undefined;
  #state: 'new' | 'starting' | 'running' | 'draining' | 'closed' = 'new';
  #setup: PlaneSetup;
  #sockets: Sockets = NOTHING;
  readonly #services: PlacedServices;
  #version = 0;
  #deaths = 0;
  /** Descriptors in use for neither connections nor listeners. */
  #beside: number | undefined;

  constructor(options: WorkerPoolOptions) {
    const { workers, initial } = options;
    this.#options = options;
    this.#services = new PlacedServices(workers, options.clock);
    this.#setup = { ...initial, listeners: [], services: [] };
    this.#connections = sharedCells(workers);
    this.#tally = new Tally(this.#connections);
    this.#allowed.fill(UNLIMITED);
    const descriptors = Math.min(descriptorLimit() ?? MOST_DESCRIPTORS, MOST_DESCRIPTORS);
    this.#places = Array.from({ length: workers }, (_, index) => ({
      index,
      owned: new Uint8Array(new SharedArrayBuffer(descriptors)),
      restarts: new Restarts(),
      thread: undefined,
      report: undefined,
      paused: false,
      replacing: undefined,
    }));
  }

  get deaths(): number {
    return this.#deaths;
  }

  get open(): number {
    return this.#tally.total;
  }

  listeners(): readonly ListenerState[] {
    const paused = this.#places.some((place) => place.paused);
    return [...this.#sockets.values()].map(({ listener, group }) => ({
      name: listener.name,
      address: group.address,
      service: listener.settings.service,
      paused,
    }));
  }

  async prepare(setup: PlaneSetup): Promise<PreparedPlane> {
    await this.#start();
    const { workers, bind } = this.#options;
    const sockets = await bindListeners(setup.listeners, this.#sockets, setup.limits.sockets, workers, bind);
    return {
      commit: () => this.#commit(setup, sockets),
      discard: async () => closeOthers(sockets, this.#sockets),
    };
  }

  update(name: string, found: readonly Endpoint[]): void {
    const before = this.#services.of(name)?.endpoints ?? [];
    const service = this.#services.update(name, found);
    if (service === undefined) return;
    const { endpoints, cells, tables } = service;
    const delta = deltaOf(before, endpoints);
    for (const thread of this.#threads()) thread.post({ kind: 'endpoints', service: name, delta, cells, tables });
  }

  placed(service: string): PlacedOnMain | undefined {
    return this.#services.of(service);
  }

  identify(identity: Identity): void {
    this.#setup = { ...this.#setup, identity };
    for (const thread of this.#threads()) thread.post({ kind: 'identity', identity });
  }

  async report(wanted: Names): Promise<readonly ThreadReport[]> {
    const reports = await Promise.all(
      this.#places.map(
        async (place) => (await place.thread?.ask(wanted)) ?? (place.report && staleReport(place.report)),
      ),
    );
    return reports.filter((report) => report !== undefined);
  }

  async list(query: ConnectionsQuery): Promise<readonly ConnectionList[]> {
    const lists = await Promise.all(this.#threads().map((thread) => thread.list(query)));
    return lists.filter((list) => list !== undefined);
  }

  async drain(timeoutMs: number): Promise<number> {
    this.#state = 'draining';
    const threads = this.#threads();
    for (const { replacing } of this.#places) replacing?.cancel();
    for (const thread of threads) thread.post({ kind: 'drain', timeoutMs });
    void Promise.all(threads.map(({ stopped }) => stopped)).then(() => closeOthers(this.#sockets, NOTHING));
    const force = this.#options.clock.after(timeoutMs + DRAIN_GRACE_MS, () => {
      for (const thread of threads) void thread.close();
    });
    const cuts = await Promise.all(threads.map(({ drained }) => drained));
    force.cancel();
    return cuts.reduce((sum, cut) => sum + cut, 0);
  }

  cutAll(): void {
    for (const thread of this.#threads()) thread.post({ kind: 'cut' });
  }

  async close(): Promise<void> {
    this.#state = 'closed';
    for (const { replacing } of this.#places) replacing?.cancel();
    await Promise.all(this.#threads().map((thread) => thread.close()));
    closeOthers(this.#sockets, NOTHING);
    this.#exchange?.close();
  }

  #threads(): WorkerThread[] {
    return this.#places.flatMap(({ thread }) => thread ?? []);
  }

  async #start(): Promise<void> {
    if (this.#state === 'running') return;
    if (this.#state === 'new') {
      const { workers } = this.#options;
      if (workers > 1) this.#exchange = new Exchange(workers, this.#connections, this.#allowed);
      this.#state = 'starting';
      await Promise.all(this.#places.map((place) => this.#spawn(place)));
    }
    if (this.#state !== 'starting')
      throw new MeshproxyError('aborted', 'the proxy is draining: it starts nothing more');
    this.#state = 'running';
    // Ready, and gone again before all of them were.
    for (const place of this.#places) if (place.thread === undefined) this.#replaceAfter(place, 0);
  }

  async #commit(setup: PlaneSetup, sockets: Sockets): Promise<void> {
    const before = this.#sockets;
    this.#sockets = sockets;
    this.#setup = setup;
    this.#services.prepare(setup.services, setup.zone).commit();
    this.#version += 1;
    const version = this.#version;
    const published = this.#places.map(({ index, thread }) =>
      thread?.apply({ kind: 'setup', version, setup: this.#setupOf(index) }),
    );
    // Not before: a number that is closed may be another socket's the next moment.
    const applied = Promise.all(published).then(() => closeOthers(before, sockets));
    await this.#within(APPLY_MS, applied);
    this.#countDescriptors();
  }

  #setupOf(worker: number): WorkerSetup {
    return { ...this.#setup, services: this.#services.all, listeners: listenersOf(this.#sockets, worker) };
  }

  /** Resolves when it serves; rejects where it dies first. `#gone` is told of its end in any case. */
  async #spawn(place: Place): Promise<void> {
    const { clock, workers, entry = WORKER } = this.#options;
    const { index, owned } = place;
    const data: WorkerData = {
      index,
      threads: workers,
      connections: this.#connections,
      allowed: this.#allowed,
      owned,
      exchange: this.#exchange?.shared,
      setup: this.#setupOf(index),
    };
    const gone = (reason: string | undefined): never => {
      this.#gone(place, reason);
      throw new MeshproxyError('exhausted', `worker ${index} cannot be started: ${reason ?? 'it was told to end'}`);
    };
    let thread: WorkerThread;
    try {
      thread = new WorkerThread(entry, data, clock, (message) => this.#told(place, thread, message));
    } catch (error) {
      // The system gives this process no more threads (EAGAIN).
      return gone(describeError(error));
    }
    place.thread = thread;
    await Promise.race([thread.ready, thread.gone.then(gone)]);
  }

  #replaceAfter(place: Place, delayMs: number): void {
    const { clock } = this.#options;
    place.replacing = clock.after(delayMs, () => {
      place.restarts.replaced(clock.now());
      // Where it dies again, `#gone` is told so too.
      this.#spawn(place).catch(() => {});
    });
  }

  #told(place: Place, thread: WorkerThread, message: FromWorker): void {
    if (message.kind === 'report') place.report = message.report;
    if (message.kind === 'paused') this.#setPaused(place, message.paused);
    if (message.kind === 'lines') {
      this.#options.onLines(message.lines, message.dropped);
      thread.post({ kind: 'taken', lines: message.lines.length });
    }
  }

  #gone(place: Place, reason: string | undefined): void {
    const { clock, abandon, onLast, onDeath } = this.#options;
    const { index, report, restarts } = place;
    place.thread = undefined;
    place.report = undefined;
    // Of the others too: who took it for alive may have handed it one more since.
    for (const one of this.#places) if (one.thread === undefined) this.#exchange?.abandon(one.index);
    abandon(place.owned);
    const connections = clearCell(this.#connections, index);
    forgetWorker(this.#sockets, index);
    this.#services.forgetThread(index);
    this.#setPaused(place, false);
    if (report) onLast(report);
    if (reason === undefined || this.#state === 'closed') return;
    this.#deaths += 1;
    const death = { worker: index, reason, connections };
    if (this.#state !== 'running') return void onDeath(death);
    const restartMs = restarts.died(clock.now());
    onDeath({ ...death, restartMs });
    this.#replaceAfter(place, restartMs);
  }

  #setPaused(place: Place, paused: boolean): void {
    const before = this.#places.some((one) => one.paused);
    place.paused = paused;
    const after = this.#places.some((one) => one.paused);
    if (before !== after) this.#options.onPause(after, this.open);
  }

  /** In full only once, when there are neither connections nor pipes that could be mistaken for something else. */
  #countDescriptors(): void {
    const listening = countDescriptors(this.#sockets);
    this.#beside ??= Math.max(0, descriptorsInUse() - listening);
    const limit = descriptorLimit();
    const { workers } = this.#options;
    const pipes = PER_PIPE * workers * pipesAllowed(limit, workers);
    const allowed = connectionsAllowed(limit, this.#beside + listening + pipes);
    Atomics.store(this.#allowed, 0, Math.min(allowed, UNLIMITED));
  }

  async #within(limitMs: number, work: Promise<unknown>): Promise<void> {
    let timer: Timer | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = this.#options.clock.after(limitMs, resolve);
    });
    await Promise.race([work, limit]);
    timer?.cancel();
  }
}
