/** The composition root: builds a running proxy from a `Config`, and owns the order of start, reload and drain. */
import { type AdminServer, startAdmin } from './admin/server.js';
import type { AdminSource, Readiness } from './admin/source.js';
import { redact } from './config/redact.js';
import type { Config } from './config/schema.js';
import { type Address, formatAddress } from './core/address.js';
import { type Clock, systemClock, type Timer } from './core/clock.js';
import { availableCores } from './core/cores.js';
import { describeError, errnoOf, MeshproxyError } from './core/errors.js';
import { formatDuration } from './core/units.js';
import { VERSION } from './core/version.js';
import { LiveConnections } from './l4/live.js';
import { abortOwned, bindShared } from './l4/native/bind.js';
import { nativeSupport } from './l4/native/support.js';
import { defaultMaxMemory } from './l4/resources.js';
import { type Identity, NOBODY } from './pki/identity-files.js';
import { ProxyIdentity } from './proxy-identity.js';
import { type PreparedServices, Services } from './services.js';
import type { Log } from './telemetry/logger.js';
import { PauseLog } from './telemetry/pause-log.js';
import type { ConnectionRecord } from './telemetry/record.js';
import { Recorder } from './telemetry/recorder.js';
import type { ProxyStatus } from './telemetry/status.js';
import { Telemetry } from './telemetry/telemetry.js';
import { chooseEngine, type Engine, fixedAtStart } from './workers/engine.js';
import { LocalPlane } from './workers/local.js';
import type { Plane, PlaneSetup, ServiceSetup } from './workers/plane.js';
import { type WorkerDeath, WorkerPool } from './workers/pool.js';

export interface ProxyOptions {
  readonly log: Log;
  /** Another than the system's asks for the engine that runs in this thread, `streams`. */
  readonly clock?: Clock;
  /** What a worker runs, where it is not the one beside this module. */
  readonly workerEntry?: URL;
  /** The admin address was asked for, not merely the default: then a port in use is an error, else a warning. */
  readonly adminExplicit?: boolean;
}

export interface RunningProxy {
  /** As bound: with the real port where 0 was asked for. */
  readonly listeners: readonly { readonly name: string; readonly address: Address }[];
  readonly admin: Address | undefined;
  readonly engine: EngineState;
  /** How many connections are open now. */
  readonly open: number;
  /** Of the configuration in force; counts up from 1. */
  readonly version: number;
  /** Resolves when all is closed, by whichever way it came to that. */
  readonly closed: Promise<void>;
  /** The connections that are open now, oldest first. */
  connections(): Promise<readonly ConnectionRecord[]>;
  /** The metrics in Prometheus' text format. */
  metrics(): Promise<string>;
  /**
   * Puts another configuration in force: all of it, or, where a listener cannot be bound or a name not resolved, none
   * of it, rejecting with why. No live connection is touched. One at a time: a call waits for the one before it.
   */
  reload(config: Config): Promise<void>;
  /** A configuration was refused before it came to `reload`: it counts and is shown like one that was refused there. */
  refuse(error: unknown): void;
  /**
   * Stops accepting, lets connections finish until `timeoutMs` (default: as configured), resets what is left and closes.
   * Resolves with how many were reset. Idempotent: a second call awaits the first.
   */
  drain(timeoutMs?: number): Promise<number>;
  /** Resets all connections and closes at once; also during a drain. */
  close(): Promise<void>;
}

/** What carries the bytes. */
export interface EngineState extends Engine {
  /** Workers that have died since the start; each was replaced. */
  readonly deaths: number;
}

/** Connections that `connections()` lists at most; the admin listener has its own bound. */
const MOST_LISTED = 100_000;

/** Starts a proxy. Rejects, with nothing left open, where a listener cannot be bound or a name does not resolve. */
export async function startProxy(config: Config, options: ProxyOptions): Promise<RunningProxy> {
  const app = new App(config, options);
  await app.start();
  return app;
}

/** Data threads forget what is gone when they are asked what they have done, and nobody may be asking. */
const ASK_MS = 60_000;

class App implements RunningProxy {
  readonly closed: Promise<void>;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #engine: Engine;
  readonly #plane: Plane;
  readonly #telemetry: Telemetry;
  readonly #adminExplicit: boolean;
  #markClosed: () => void = () => {};
  #config: Config;
  #version = 0;
  #appliedAt = 0;
  readonly #reloads = { applied: 0, refused: 0 };
  #refused: { readonly at: number; readonly error: string } | undefined;
  readonly #services: Services;
  readonly #identity: ProxyIdentity;
  #admin: AdminServer | undefined;
  #readiness: Readiness = { kind: 'starting', reason: 'the listeners are not bound yet' };
  #reloading: Promise<void> = Promise.resolve();
  #draining: Promise<number> | undefined;
  #asking: Timer | undefined;

  constructor(config: Config, options: ProxyOptions) {
    const { log, clock = systemClock, adminExplicit = true } = options;
    this.#log = log;
    this.#clock = clock;
    this.#config = config;
    this.#adminExplicit = adminExplicit;
    this.#telemetry = new Telemetry({
      log,
      clock,
      version: VERSION,
      open: () => this.#plane.open,
      report: (wanted) => this.#plane.report(wanted),
      list: (query) => this.#plane.list(query),
      status: () => this.#status(),
    });
    this.#engine = engineOf(config, options);
    this.#plane = this.#createPlane(options);
    this.#services = new Services(this.#plane, log, clock);
    this.#identity = new ProxyIdentity({
      clock,
      onChange: (identity) => {
        this.#plane.identify(identity);
        this.#services.identify(identity);
      },
      say: (level, message) => log.logger[level](message),
    });
    this.closed = new Promise((resolve) => {
      this.#markClosed = resolve;
    });
  }

  async start(): Promise<void> {
    try {
      this.#tellEngine();
      this.#admin = await this.#openAdmin(this.#config);
      await this.#apply(this.#config);
    } catch (error) {
      await this.#shut();
      throw error;
    }
    if (!this.#draining) this.#readiness = { kind: 'ready' };
    this.#askNowAndThen();
  }

  get listeners() {
    return this.#plane.listeners().map(({ name, address }) => ({ name, address }));
  }

  get admin(): Address | undefined {
    return this.#admin?.address;
  }

  get version(): number {
    return this.#version;
  }

  get engine(): EngineState {
    return { ...this.#engine, deaths: this.#plane.deaths };
  }

  get open(): number {
    return this.#plane.open;
  }

  async connections(): Promise<readonly ConnectionRecord[]> {
    const { connections } = await this.#telemetry.connections({ limit: MOST_LISTED });
    return connections.toReversed();
  }

  async metrics(): Promise<string> {
    return (await this.#telemetry.metrics()).text;
  }

  reload(config: Config): Promise<void> {
    const turn = this.#reloading.then(() => this.#reload(config));
    this.#reloading = turn.catch(() => {});
    return turn;
  }

  refuse(error: unknown): void {
    this.#reloads.refused += 1;
    this.#refused = { at: this.#clock.wall(), error: describeError(error) };
  }

  drain(timeoutMs = this.#config.drainTimeout): Promise<number> {
    this.#readiness = { kind: 'draining', reason: 'it was told to stop, and lets its connections finish' };
    this.#draining ??= this.#plane.drain(timeoutMs).then(async (cut) => {
      await this.#shut();
      return cut;
    });
    return this.#draining;
  }

  async close(): Promise<void> {
    const drained = this.drain(0);
    this.#plane.cutAll();
    await drained;
  }

  async #reload(config: Config): Promise<void> {
    if (this.#draining) throw drainingError();
    try {
      const fixed = fixedAtStart(this.#config, config);
      if (fixed !== undefined) throw new MeshproxyError('bad-config', fixed);
      const admin = await this.#moveAdmin(config);
      await this.#apply(config).catch(async (error: unknown) => {
        if (admin !== this.#admin) await admin?.close();
        throw error;
      });
      const before = this.#admin;
      this.#admin = admin;
      if (admin !== before) await before?.close();
      this.#reloads.applied += 1;
      this.#refused = undefined;
    } catch (error) {
      this.refuse(error);
      throw error;
    }
  }

  /** First all that can fail: names resolved, listeners bound. Then, without a step that can fail, the swap. */
  async #apply(config: Config): Promise<void> {
    const askedDifferently = JSON.stringify(config.dns) !== JSON.stringify(this.#config.dns);
    const identity = await this.#identity.prepare(config.identity);
    let services: PreparedServices | undefined;
    try {
      services = await this.#services.prepare(config, askedDifferently);
      const plane = await this.#plane.prepare(setupOf(config, services.setups, identity.identity));
      if (this.#draining) {
        await plane.discard();
        throw drainingError();
      }
      const committed = plane.commit();
      this.#services.identify(identity.identity);
      services.commit();
      await Promise.all([committed, identity.commit()]);
    } catch (error) {
      services?.discard();
      identity.discard();
      throw error;
    }
    this.#config = config;
    this.#log.logger.level = config.log.level;
    this.#version += 1;
    this.#appliedAt = this.#clock.wall();
  }

  #createPlane({ workerEntry }: ProxyOptions): Plane {
    const [log, clock, config] = [this.#log, this.#clock, this.#config];
    const pauses = new PauseLog(log.logger, clock);
    const onPause = (paused: boolean, connections: number): void => pauses.changed(paused, connections);
    if (this.#engine.name === 'streams') {
      const onBug = (err: unknown): void =>
        log.logger.error({ err }, 'a bug in meshproxy ended a connection; please report it');
      const live = new LiveConnections(clock);
      const { accessLog } = config;
      return new LocalPlane({
        clock,
        live,
        recorder: new Recorder({ logger: log.logger, accessLog, clock, live: () => live }),
        limits: limitsOf(config),
        onPause,
        onBug,
      });
    }
    return new WorkerPool({
      clock,
      workers: this.#engine.workers,
      initial: {
        limits: limitsOf(config),
        identity: NOBODY,
        zone: config.zone,
        accessLog: config.accessLog,
        logLevel: config.log.level,
      },
      entry: workerEntry,
      bind: bindShared,
      abandon: (owned) => abortOwned(owned, 1),
      onPause,
      onLines: (lines, dropped) => log.forward(lines, dropped),
      onLast: (report) => this.#telemetry.retire(report),
      onDeath: (death) => this.#tellDeath(death),
    });
  }

  #askNowAndThen(): void {
    this.#asking = this.#clock.after(ASK_MS, () => {
      // Where a thread does not answer, its last report is taken: this does not fail.
      void this.#telemetry.totals().then(() => this.#draining === undefined && this.#askNowAndThen());
    });
  }

  #tellEngine(): void {
    const { why } = this.#engine;
    if (why === undefined) return;
    const { workers } = this.#config;
    const alone = workers === undefined || workers === 1 ? '' : `, in one thread and not in ${workers}`;
    this.#log.logger.warn(`the native engine cannot run here: ${why}; using streams${alone}`);
  }

  #tellDeath({ worker, reason, connections, restartMs }: WorkerDeath): void {
    const when = restartMs === 0 ? 'at once' : restartMs !== undefined && `in ${formatDuration(restartMs)}`;
    this.#log.logger.error(
      { worker, connections },
      `worker ${worker} died: ${reason}; ${connections} of its connections were reset${when ? `, and it is replaced ${when}` : ''}`,
    );
  }

  /** The admin server that `config` asks for: the one there is, another one, or none. */
  async #moveAdmin(config: Config): Promise<AdminServer | undefined> {
    return sameAdmin(config, this.#config) ? this.#admin : this.#openAdmin(config);
  }

  async #openAdmin({ admin }: Config): Promise<AdminServer | undefined> {
    if (admin === 'off') return undefined;
    const source: AdminSource = {
      telemetry: this.#telemetry,
      readiness: () => this.#readiness,
      config: () => redact(this.#config),
      drain: () => void this.drain(),
    };
    try {
      return await startAdmin(admin, source);
    } catch (error) {
      const inUse = error instanceof MeshproxyError && errnoOf(error.cause) === 'EADDRINUSE';
      if (this.#adminExplicit || !inUse) throw error;
      this.#log.logger.warn(
        `the admin address ${formatAddress(admin)} is already in use: running without an admin page (choose one with --admin)`,
      );
      return undefined;
    }
  }

  #status(): ProxyStatus {
    const identity = this.#identity.status;
    return {
      engine: this.engine,
      config: {
        version: this.#version,
        appliedAt: this.#appliedAt,
        reloads: { ...this.#reloads },
        ...(this.#refused === undefined ? {} : { refused: this.#refused }),
      },
      ...(identity === undefined ? {} : { identity }),
      listeners: this.#plane.listeners().map((state) => ({ ...state, address: formatAddress(state.address) })),
      services: this.#services.status,
    };
  }

  async #shut(): Promise<void> {
    await this.#plane.close();
    this.#services.stop();
    this.#identity.stop();
    this.#asking?.cancel();
    await this.#admin?.close();
    this.#markClosed();
  }
}

function drainingError(): MeshproxyError {
  return new MeshproxyError('aborted', 'the proxy is draining: it takes no new configuration');
}

function sameAdmin(a: Config, b: Config): boolean {
  if (a.admin === 'off' || b.admin === 'off') return a.admin === b.admin;
  return formatAddress(a.admin) === formatAddress(b.admin);
}

function limitsOf({ limits }: Config) {
  return {
    maxConnections: limits.maxConnections,
    maxMemory: limits.maxMemory ?? defaultMaxMemory(),
    shedTarget: limits.shedTarget,
    sockets: { keepaliveMs: limits.keepalive, bufferSize: limits.bufferSize },
  };
}

function engineOf(config: Config, { clock }: ProxyOptions): Engine {
  return clock === undefined
    ? chooseEngine(config, { nativeSupport, availableCores })
    : { name: 'streams', workers: 1 };
}

function setupOf(config: Config, services: readonly ServiceSetup[], identity: Identity): PlaneSetup {
  return {
    listeners: Object.entries(config.listeners).map(([name, settings]) => ({ name, settings })),
    services,
    limits: limitsOf(config),
    identity,
    zone: config.zone,
    accessLog: config.accessLog,
    logLevel: config.log.level,
  };
}
