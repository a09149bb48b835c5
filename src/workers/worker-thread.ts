/** Main's side of one worker: what is asked of it and awaited, for as long as that thread lives. */
import { Worker } from 'node:worker_threads';
import type { Clock } from '../core/clock.js';
import { describeError } from '../core/errors.js';
import type { ConnectionList, ConnectionsQuery } from '../telemetry/connection-list.js';
import type { ThreadReport } from '../telemetry/recorder.js';
import type { Names } from '../telemetry/wanted.js';
import type { FromWorker, ToWorker, WorkerData } from './messages.js';

/** A worker that is not stalled answers within a millisecond or two; who looks at metrics does not wait for longer than this. */
const ANSWER_MS = 500;
/**
 * What V8 may take for new objects, which it fills before it looks for garbage. By default 48, of which a burst of
 * connections makes use and nobody takes them back from an idle thread: 2.4 KB for each of 9 000 connections where this is 0.6.
 */
const YOUNG_GENERATION_MB = 8;
/** To end in order, and then by force. */
const CLOSE_MS = 1000;

export class WorkerThread {
  /** Resolves when it serves. Never, if it dies before: see `gone`. */
  readonly ready: Promise<void>;
  /** Resolves when it accepts nothing any more. */
  readonly stopped: Promise<void>;
  /** Resolves with how many of its connections were reset at the end of its drain. */
  readonly drained: Promise<number>;
  /** Resolves when the thread has ended; with why, where nobody told it to. Memory that it had shared is its own no more. */
  readonly gone: Promise<string | undefined>;
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #asked = new Map<number, (answer: FromWorker | undefined) => void>();
  readonly #applying = new Map<number, () => void>();
  #lastId = 0;
  #closing = false;

  constructor(entry: URL, data: WorkerData, clock: Clock, onMessage: (message: FromWorker) => void) {
    this.#clock = clock;
    this.#worker = new Worker(entry, {
      workerData: data,
      name: `meshproxy worker ${data.index}`,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    const ready = settler<void>();
    const stopped = settler<void>();
    const drained = settler<number>();
    this.ready = ready.promise;
    this.stopped = stopped.promise;
    this.drained = drained.promise;
    this.#worker.on('message', (message: FromWorker) => {
      if (message.kind === 'ready') ready.resolve();
      if (message.kind === 'stopped') stopped.resolve();
      if (message.kind === 'drained') drained.resolve(message.cut);
      if (message.kind === 'applied') this.#settle(message.version);
      onMessage(message);
      if ('id' in message && message.id !== undefined) this.#asked.get(message.id)?.(message);
    });
    this.gone = this.#whenGone();
    void this.gone.then(() => {
      stopped.resolve();
      drained.resolve(0);
      for (const version of this.#applying.keys()) this.#settle(version);
      for (const answer of this.#asked.values()) answer(undefined);
    });
  }

  post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  /** Resolves when the setup is in force there, or the thread is gone. */
  apply(message: ToWorker & { readonly kind: 'setup' }): Promise<void> {
    return new Promise((resolve) => {
      this.#applying.set(message.version, resolve);
      this.post(message);
    });
  }

  /** `undefined` where it does not answer in time. */
  async ask(wanted: Names): Promise<ThreadReport | undefined> {
    const answer = await this.#answer((id) => ({ kind: 'ask', id, wanted }));
    return answer?.kind === 'report' ? answer.report : undefined;
  }

  /** `undefined` where it does not answer in time. */
  async list(query: ConnectionsQuery): Promise<ConnectionList | undefined> {
    const answer = await this.#answer((id) => ({ kind: 'list', id, query }));
    return answer?.kind === 'listed' ? answer.list : undefined;
  }

  /** Ends it, in order or by force. */
  async close(): Promise<void> {
    this.#closing = true;
    this.post({ kind: 'close' });
    const force = this.#clock.after(CLOSE_MS, () => void this.#worker.terminate());
    await this.gone;
    force.cancel();
  }

  #answer(question: (id: number) => ToWorker): Promise<FromWorker | undefined> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      const answer = (message: FromWorker | undefined): void => {
        timer.cancel();
        this.#asked.delete(id);
        resolve(message);
      };
      const timer = this.#clock.after(ANSWER_MS, () => answer(undefined));
      this.#asked.set(id, answer);
      this.post(question(id));
    });
  }

  #settle(version: number): void {
    this.#applying.get(version)?.();
    this.#applying.delete(version);
  }

  #whenGone(): Promise<string | undefined> {
    return new Promise((resolve) => {
      let reason: string | undefined;
      this.#worker.once('error', (error) => {
        reason = describeError(error);
      });
      this.#worker.once('exit', (code) => {
        resolve(reason ?? (this.#closing ? undefined : `it ended by itself, with code ${code}`));
      });
    });
  }
}

function settler<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
