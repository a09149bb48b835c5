/**
 * What runs in a worker: one data thread on its own transport. It obeys main, and waits for it never: with main stalled
 * it accepts, dials and carries bytes as before.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type Clock, systemClock, type Timer } from '../core/clock.js';
import { keyOf } from '../l4/data-plane.js';
import { LiveConnections } from '../l4/live.js';
import type { SharedExchange } from '../l4/native/handover.js';
import { Tally } from '../l4/tally.js';
import type { Accept, BoundSocket, Listener, SocketOptions, Transport } from '../l4/transport.js';
import { createLogger, type Log } from '../telemetry/logger.js';
import type { Observer } from '../telemetry/record.js';
import { Recorder } from '../telemetry/recorder.js';
import { DataThread } from './data-thread.js';
import { withDelta } from './endpoints-delta.js';
import { LineBatch } from './line-batch.js';
import type { FromWorker, ToWorker, WorkerData, WorkerListener, WorkerSetup } from './messages.js';
import type { ListenerSetup } from './plane.js';

export interface WorkerTransport extends Transport {
  /** Accepts on a socket that main has bound. Closing the listener leaves the socket open. */
  adopt(socket: BoundSocket, options: SocketOptions, accept: Accept, exhausted: () => void): Listener;
  /** How many connections it has handed to other workers. */
  readonly handedOver: number;
  readonly underWay: number;
  /** Closes what the transport itself holds. */
  close(): void;
}

export interface TransportNeeds {
  /** By descriptor number: to be kept at other than 0 while that is the transport's to close. */
  readonly owned: Uint8Array;
  /** How many threads share the descriptors of this process. */
  readonly threads: number;
  /** The number of this one among them, from 0. */
  readonly thread: number;
  /** By which they hand connections to each other, where there are several. */
  readonly exchange: SharedExchange | undefined;
  onBug(error: unknown): void;
}

/** Runs the calling thread, which main has started as a worker, until main tells it to end. */
export function runWorker(createTransport: (needs: TransportNeeds) => WorkerTransport): void {
  if (parentPort === null) throw new Error('this is a part of meshproxy, which starts it in a thread of its own');
  const worker = new DataWorker(parentPort, workerData as WorkerData, createTransport);
  worker.run();
}

/** A report unasked, this often at most, ms, and only after something has happened: what the death of a worker loses of its counts. */
const REPORT_MS = 2000;

class DataWorker {
  readonly #port: MessagePort;
  readonly #data: WorkerData;
  readonly #clock: Clock = systemClock;
  readonly #lines: LineBatch;
  readonly #log: Log;
  readonly #live = new LiveConnections(this.#clock);
  readonly #recorder: Recorder;
  readonly #transport: WorkerTransport;
  readonly #thread: DataThread;
  readonly #listeners = new Map<string, WorkerListener>();
  /** Orders that change what is listened on are carried out one after the other. */
  #turn: Promise<void> = Promise.resolve();
  #reporting: Timer | undefined;

  constructor(port: MessagePort, data: WorkerData, createTransport: (needs: TransportNeeds) => WorkerTransport) {
    this.#port = port;
    this.#data = data;
    this.#lines = new LineBatch(this.#clock, (lines, dropped) => this.#say({ kind: 'lines', lines, dropped }));
    const { logLevel, accessLog, limits } = data.setup;
    this.#log = createLogger({ level: logLevel, format: 'json' }, { write: (line) => this.#lines.add(line) });
    this.#recorder = new Recorder({
      logger: this.#log.logger,
      accessLog,
      clock: this.#clock,
      worker: data.index,
      handedOver: () => this.#transport.handedOver,
      live: () => this.#live,
    });
    const onBug = (err: unknown): void =>
      this.#log.logger.error({ err }, 'a bug in meshproxy ended a connection; please report it');
    const { owned, threads, index: thread, exchange } = data;
    this.#transport = createTransport({ owned, threads, thread, exchange, onBug });
    this.#thread = new DataThread({
      clock: this.#clock,
      transport: this.#transport,
      limits,
      live: this.#live,
      observer: this.#watched(),
      tally: new Tally(data.connections, data.index),
      allowed: () => Atomics.load(data.allowed, 0) - this.#transport.underWay,
      listen: async ({ name, settings }, ...how) => this.#adopt(keyOf({ name, settings }), ...how),
      tallyOf: (listener) => this.#tallyOf(listener),
      ratesOf: (listener) => this.#listeners.get(keyOf(listener))?.rates,
      thread: data.index,
      onPause: (paused) => this.#say({ kind: 'paused', paused }),
      onBug,
    });
  }

  run(): void {
    this.#port.on('message', (message: ToWorker) => this.#obey(message));
    this.#inTurn(async () => {
      await this.#apply(this.#data.setup);
      this.#say({ kind: 'ready' });
    });
  }

  #obey(order: ToWorker): void {
    switch (order.kind) {
      case 'setup':
        this.#inTurn(async () => {
          await this.#apply(order.setup);
          this.#say({ kind: 'applied', version: order.version });
        });
        break;
      case 'endpoints':
        this.#inTurn(async () => {
          const { service, delta, cells, tables } = order;
          const endpoints = withDelta(this.#thread.endpointsOf(service), delta);
          this.#thread.update(service, { endpoints, cells, tables });
        });
        break;
      case 'identity':
        this.#inTurn(async () => this.#thread.identify(order.identity));
        break;
      case 'ask':
        this.#say({ kind: 'report', id: order.id, report: this.#recorder.report(order.wanted) });
        break;
      case 'list':
        this.#say({ kind: 'listed', id: order.id, list: this.#recorder.list(order.query) });
        break;
      case 'taken':
        this.#lines.taken(order.lines);
        break;
      case 'drain':
        this.#inTurn(() => this.#drain(order.timeoutMs));
        break;
      case 'cut':
        this.#thread.cutAll();
        break;
      case 'close':
        this.#inTurn(() => this.#close());
    }
  }

  #inTurn(work: () => Promise<void>): void {
    // What is thrown here is a bug: it ends the thread, and main says so.
    this.#turn = this.#turn.then(work);
  }

  async #apply(setup: WorkerSetup): Promise<void> {
    this.#listeners.clear();
    for (const listener of setup.listeners) this.#listeners.set(keyOf(listener), listener);
    const prepared = await this.#thread.prepare(setup);
    await prepared.commit();
    this.#recorder.accessLog = setup.accessLog;
    this.#log.logger.level = setup.logLevel;
  }

  async #drain(timeoutMs: number): Promise<void> {
    await this.#thread.stopAccepting();
    this.#say({ kind: 'stopped' });
    // Not in turn: other orders must not wait for it.
    void this.#thread.drain(timeoutMs).then((cut) => this.#say({ kind: 'drained', cut }));
  }

  async #close(): Promise<void> {
    await this.#thread.drain(0);
    this.#reporting?.cancel();
    this.#lines.flush();
    this.#say({ kind: 'report', report: this.#recorder.report() });
    this.#transport.close();
    // Nothing else keeps the thread.
    this.#port.close();
  }

  #adopt(key: string, sockets: SocketOptions, accept: Accept, exhausted: () => void): Listener {
    const listener = this.#listeners.get(key);
    if (listener === undefined) throw new Error(`unreachable: there is no socket for ${key}`);
    return this.#transport.adopt(listener.socket, sockets, accept, exhausted);
  }

  #tallyOf(listener: ListenerSetup): Tally | undefined {
    const shared = this.#listeners.get(keyOf(listener));
    return shared && new Tally(shared.connections, this.#data.index);
  }

  /** The recorder, with a look at whether there is anything new to report. */
  #watched(): Observer {
    const recorder = this.#recorder;
    const news = (): void => {
      this.#reporting ??= this.#clock.after(REPORT_MS, () => {
        this.#reporting = undefined;
        this.#say({ kind: 'report', report: recorder.report() });
      });
    };
    return {
      opened(record) {
        news();
        recorder.opened(record);
      },
      attempted: (service, attempt) => recorder.attempted(service, attempt),
      refused(listener, reason) {
        news();
        recorder.refused(listener, reason);
      },
      ended(record) {
        news();
        recorder.ended(record);
      },
    };
  }

  #say(message: FromWorker): void {
    this.#port.postMessage(message);
  }
}
