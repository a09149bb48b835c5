/** The authority as a running process: the service with its log, its figures, and what has to be looked after by itself. */

import { CaLog } from './ca-log.js';
import type { Address } from './core/address.js';
import type { Clock, Timer } from './core/clock.js';
import { authorityIdentity, formatSpiffeId } from './core/identity.js';
import { formatDuration } from './core/units.js';
import { Authority } from './pki/authority.js';
import { CaService, type ServiceOptions } from './pki/service.js';
import type { ServiceEvent } from './pki/service-events.js';
import type { CaStore } from './pki/store.js';
import { TokenStore } from './pki/token-store.js';
import { AuthorityMetrics } from './telemetry/authority-metrics.js';
import type { Log } from './telemetry/logger.js';

export interface CaServerOptions
  extends Pick<ServiceOptions, 'address' | 'lifetimeMs' | 'graceMs' | 'limits' | 'maxConnections' | 'clock'> {
  readonly store: CaStore;
  readonly log: Log;
}

export interface RunningCa {
  /** As bound: with the real port where 0 was asked for. */
  readonly address: Address;
  readonly trustDomain: string;
  /** Connections that are open. */
  readonly open: number;
  /** Accepts no more, answers what is under way, for as long as `timeoutMs`, and ends. */
  drain(timeoutMs: number): Promise<void>;
  /** Ends at once. */
  close(): Promise<void>;
}

/** Tokens that expired are swept away, and the issuer is looked at, this often, ms. */
const HOUSEKEEPING_MS = 10 * 60_000;
/** With so much of its life left, somebody should have replaced the issuer: time to plan for it, and the last time. */
const ISSUER_ALARM_MS = { warn: 30 * 86_400_000, error: 7 * 86_400_000 };

/** Rejects where the folder holds no authority that can issue, or the address cannot be listened on. */
export async function startCa(options: CaServerOptions): Promise<RunningCa> {
  const { store, clock, log } = options;
  const { logger } = log;
  const authority = await Authority.open({ store, clock, say: (level, message) => logger[level](message) });
  const tokens = new TokenStore(store.directory);
  const metrics = new AuthorityMetrics();
  const lines = new CaLog(logger, clock);
  const identity = formatSpiffeId(authorityIdentity(authority.trustDomain));
  let stopHousekeeping = (): void => {};
  try {
    const service: CaService = await CaService.start({
      ...options,
      authority,
      tokens,
      onEvent(event) {
        count(event, metrics);
        lines.tell(event);
      },
      async metrics() {
        const { issuerNotAfter } = authority;
        const view = { ...service.status, identity, issuerNotAfter, at: clock.wall() };
        return { contentType: metrics.contentType, text: await metrics.text(view) };
      },
    });
    stopHousekeeping = repeat(clock, HOUSEKEEPING_MS, () => keepHouse(authority, tokens, options));
    const end = async (how: Promise<void>): Promise<void> => {
      stopHousekeeping();
      await how;
      await authority.close();
    };
    return {
      address: service.address,
      trustDomain: authority.trustDomain,
      get open() {
        return service.status.connections;
      },
      drain: (timeoutMs) => end(service.drain(timeoutMs)),
      close: () => end(service.close()),
    };
  } catch (error) {
    await authority.close();
    throw error;
  }
}

function count(event: ServiceEvent, metrics: AuthorityMetrics): void {
  if (event.kind === 'issued') metrics.issued(event.by.startsWith('token') ? 'token' : 'certificate');
  if (event.kind === 'refused') metrics.refused(event.code);
  if (event.kind === 'turned-away') metrics.turnedAway();
  if (event.kind === 'failed') metrics.failed();
}

async function keepHouse(authority: Authority, tokens: TokenStore, { clock, log }: CaServerOptions): Promise<void> {
  const now = clock.wall();
  const left = authority.issuerNotAfter - now;
  if (left < ISSUER_ALARM_MS.warn) {
    const level = left < ISSUER_ALARM_MS.error ? 'error' : 'warn';
    const words = left > 0 ? `expires in ${formatDuration(Math.ceil(left / 60_000) * 60_000)}` : 'has expired';
    log.logger[level](`the issuing certificate ${words}: replace it: meshproxy ca rotate issuer`);
  }
  try {
    const swept = await tokens.sweep(now);
    if (swept > 0) log.logger.info({ swept }, 'join tokens that expired long ago are removed');
  } catch (err) {
    log.logger.error({ err }, 'join tokens that expired long ago could not be removed');
  }
}

/** Does it now, and again whenever that long has passed since it was done; until the function that it returns is called. */
function repeat(clock: Clock, everyMs: number, action: () => Promise<void>): () => void {
  let timer: Timer | undefined;
  let stopped = false;
  const next = async (): Promise<void> => {
    await action();
    if (!stopped) timer = clock.after(everyMs, () => void next());
  };
  void next();
  return () => {
    stopped = true;
    timer?.cancel();
  };
}
