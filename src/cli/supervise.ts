/** The life of a proxy in the foreground: started, told of signals and of changes to its file, drained, and gone. */
import { startProxy } from '../app.js';
import { describeChanges } from '../config/changes.js';
import type { Loaded } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { systemClock } from '../core/clock.js';
import { MeshproxyError } from '../core/errors.js';
import { formatDuration } from '../core/units.js';
import { watchFile } from '../core/watch-file.js';
import type { RunningProxy } from '../running-proxy.js';
import { createLogger, type Log } from '../telemetry/logger.js';
import { announce, inWords } from './announce.js';
import { exitNow } from './exit.js';
import { latest } from './latest.js';
import { EXIT } from './report.js';
import { judgeSignal, type StopSignal } from './signals.js';

export interface Supervised {
  /** Reads the configuration: at the start, and for each reload. */
  load(): Promise<Loaded>;
  /** Where it is read from, if from a file: reloaded when that changes, and on SIGHUP. */
  readonly file: string | undefined;
  started?(proxy: RunningProxy): void;
  /** Called once, when it begins to drain because of a signal. */
  stopping?(): void;
}

/** Resolves with the exit code when the proxy has ended. Rejects where it cannot be started. */
export async function supervise(supervised: Supervised): Promise<number> {
  let running: Supervisor | undefined;
  let missed: string | undefined;
  const reload = latest(async (reason: string) => {
    if (running === undefined) missed = reason;
    else await running.reload(reason);
  });
  const { file } = supervised;
  // Both before the file is read, so that no change of it falls in between.
  const onHangUp = (): void => (file === undefined ? running?.hangUp() : reload('SIGHUP'));
  process.on('SIGHUP', onHangUp);
  const watch = file === undefined ? undefined : await watchFile(file, () => reload(`${file} has changed`));
  try {
    running = await Supervisor.start(supervised);
    if (missed !== undefined) reload(missed);
    return await running.ended();
  } finally {
    watch?.close();
    process.off('SIGHUP', onHangUp);
  }
}

/** Resetting what is open takes a moment; an exit that somebody forces must not wait for more. */
const FORCED_EXIT_MS = 1000;

class Supervisor {
  readonly #supervised: Supervised;
  readonly #log: Log;
  readonly #proxy: RunningProxy;
  #config: Config;
  #first: StopSignal | undefined;
  /** Told twice to stop: what had not finished was reset. */
  #forced = false;
  /** The last reload was. */
  #refused = false;

  private constructor(supervised: Supervised, proxy: RunningProxy, config: Config, log: Log) {
    this.#supervised = supervised;
    this.#proxy = proxy;
    this.#config = config;
    this.#log = log;
  }

  static async start(supervised: Supervised): Promise<Supervisor> {
    const { config, written } = await supervised.load();
    const log = createLogger(config.log);
    try {
      const proxy = await startProxy(config, { log, adminExplicit: written.has('admin') });
      announce(proxy, config, log);
      supervised.started?.(proxy);
      return new Supervisor(supervised, proxy, config, log);
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  /** Waits for the end, whichever way it comes: by a signal, or by `POST /drain`. */
  async ended(): Promise<number> {
    const onSignal = (signal: NodeJS.Signals): void => this.#onSignal({ signal, at: systemClock.now() });
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
    try {
      await this.#proxy.closed;
      const cut = await this.#proxy.drain();
      if (this.#forced) return EXIT.failed;
      const { logger } = this.#log;
      if (cut === 0) logger.info('stopped: all connections had finished');
      else logger.warn({ cut }, `stopped at the drain timeout: reset ${inWords(cut, 'connection')}`);
      return EXIT.ok;
    } finally {
      await this.#log.close();
      process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
    }
  }

  /** Puts the configuration as it reads now in force; where it is refused, says why and keeps the old. Never rejects. */
  async reload(reason: string): Promise<void> {
    const { logger } = this.#log;
    if (this.#first !== undefined) return;
    try {
      const { config } = await this.#load();
      const changes = describeChanges(this.#config, config);
      // After a refusal the proxy is told even of what it has: for its admin, the refusal is over.
      if (changes.length === 0 && !this.#refused) return logger.info(`${reason}: nothing in it differs`);
      await this.#proxy.reload(config);
      this.#refused = false;
      if (config.log.format !== this.#config.log.format) logger.warn('log.format holds from the next start on');
      this.#config = config;
      const { version } = this.#proxy;
      logger.info({ version }, `${reason}: version ${version} is in force: ${changesInWords(changes)}`);
    } catch (error) {
      this.#refuse(reason, error);
    }
  }

  async #load(): Promise<Loaded> {
    try {
      return await this.#supervised.load();
    } catch (error) {
      this.#proxy.refuse(error);
      throw error;
    }
  }

  #refuse(reason: string, error: unknown): void {
    const { logger } = this.#log;
    this.#refused = true;
    const isOurs = error instanceof MeshproxyError;
    logger.error(
      isOurs ? { code: error.code } : { err: error },
      `${reason}: refused, and version ${this.#proxy.version} stays in force`,
    );
    if (isOurs) for (const line of error.message.split('\n')) logger.error(line);
  }

  /** SIGHUP without a file: the terminal was closed, or somebody expects a reload that has nothing to read. */
  hangUp(): void {
    if (process.stdin.isTTY) this.#onSignal({ signal: 'SIGHUP', at: systemClock.now() });
    else this.#log.logger.warn('SIGHUP: there is no file to reload, for the configuration came as flags');
  }

  #onSignal(signal: StopSignal): void {
    const underNpm = process.env['npm_lifecycle_event'] !== undefined;
    const verdict = judgeSignal(this.#first, signal, underNpm);
    this.#first ??= signal;
    if (verdict === 'drain') this.#drain(signal);
    if (verdict === 'force') this.#force(signal);
  }

  #drain({ signal }: StopSignal): void {
    const { open } = this.#proxy;
    const { drainTimeout } = this.#config;
    const wait =
      open === 0 ? '' : `; ${inWords(open, 'connection')} may take ${formatDuration(drainTimeout)} to finish`;
    this.#log.logger.info({ open }, `${signal}: accepting no more${wait} (once more ends at once)`);
    this.#supervised.stopping?.();
    void this.#proxy.drain();
  }

  #force({ signal }: StopSignal): void {
    const { open } = this.#proxy;
    this.#log.logger.warn(
      { cut: open },
      `${signal} once more: ending at once, resetting ${inWords(open, 'connection')}`,
    );
    this.#forced = true;
    setTimeout(() => exitNow(EXIT.failed), FORCED_EXIT_MS);
    void this.#proxy.close();
  }
}

/** A log line with more is one that nobody reads. */
const MAX_CHANGES = 20;

function changesInWords(changes: readonly string[]): string {
  if (changes.length === 0) return 'as it was before the refusal';
  const more = changes.length - MAX_CHANGES;
  return [...changes.slice(0, MAX_CHANGES), ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}
