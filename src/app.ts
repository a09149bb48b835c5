/** The composition root: builds a running proxy from a `Config`, and owns the order of start, reload and drain. */
import { type AdminServer, startAdmin } from './admin/server.js';
import type { AdminSource, Readiness } from './admin/source.js';
import { redact } from './config/redact.js';
import type { Config } from './config/schema.js';
import { type Address, formatAddress } from './core/address.js';
import { type Clock, systemClock, type Timer } from './core/clock.js';
import { availableCores } from './core/cores.js';
import { describeError, errnoOf, MeshproxyError } from './core/errors.js';
import { VERSION } from './core/version.js';
import { nativeSupport } from './l4/native/support.js';
import type { Identity } from './pki/identity-files.js';
import { ProxyIdentity } from './proxy-identity.js';
import type { EngineState, ProxyOptions, RunningProxy } from './running-proxy.js';
import { type PreparedServices, Services } from './services.js';
import type { Log } from './telemetry/logger.js';
import type { ConnectionRecord } from './telemetry/record.js';
import type { ProxyStatus } from './telemetry/status.js';
import { Telemetry } from './telemetry/telemetry.js';
import { createPlane, limitsOf } from './workers/create.js';
import { chooseEngine, type Engine, fixedAtStart } from './workers/engine.js';
import type { Plane, PlaneSetup, ServiceSetup } from './workers/plane.js';

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
    this.#plane = createPlane(this.#engine, config, {
      ...options,
      clock,
      onLast: (report) => this.#telemetry.retire(report),
    });
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
