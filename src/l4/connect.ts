/** From a service to a connection to one of its endpoints: pick, dial, and where that fails, the next. */
import type { KeySource } from '../balancer/hash-key.js';
import type { Endpoint, Failure, Pick, Picker } from '../balancer/picker.js';
import type { ServiceConfig } from '../config/schema.js';
import { formatAddress, type SocketAddress } from '../core/address.js';
import { backoffMs } from '../core/backoff.js';
import type { Canceller, CancelSignal } from '../core/cancel.js';
import { type Clock, sleep } from '../core/clock.js';
import { describeError, MeshproxyError } from '../core/errors.js';
import { formatDuration } from '../core/units.js';
import { enterAtOnce, waitForPlace } from './enter.js';
import type { LiveConnection } from './live.js';
import { open } from './opening.js';
import { encodeProxyHeader } from './proxy-header.js';
import { race } from './race.js';
import { RelayWatch } from './relay-watch.js';
import type { Service } from './service.js';
import type { ProxyHeader } from './sniff/proxy-format.js';
import { Stop, type Surroundings } from './surroundings.js';
import { credentialOf } from './tls-setups.js';
import type { Connection } from './transport.js';

/** A connection to an endpoint, the pick that is to hear how it fares, and what watches it. */
export interface Connected {
  readonly upstream: Connection;
  readonly pick: Pick;
  readonly watch: RelayWatch;
}

/** Finds a place in the service, picks an endpoint and dials it; where that fails, the next, within the service's bounds. No byte has been sent yet. */
export async function connect(
  live: LiveConnection,
  service: Service,
  header: ProxyHeader | undefined,
  around: Surroundings,
): Promise<Connected> {
  if (!enterAtOnce(live, service)) await waitForPlace(live, service, around.clock);
  const tries: Tries = { startedAt: around.clock.now(), endpoints: new Set(), isRetry: false };
  service.retryBudget.connection(tries.startedAt);
  try {
    return await tryEach(live, service, header, tries, around);
  } finally {
    if (tries.isRetry) service.breaker.retried();
  }
}

interface Tries {
  /** Moved on by the time that an endpoint was connected to and then broke off: only connecting has a deadline. */
  startedAt: number;
  readonly endpoints: Set<Endpoint>;
  /** It counts among the connections of the service that are being tried again. */
  isRetry: boolean;
}

async function tryEach(
  live: LiveConnection,
  service: Service,
  header: ProxyHeader | undefined,
  tries: Tries,
  around: Surroundings,
): Promise<Connected> {
  const { clock } = around;
  const { settings } = service;
  const tried = tries.endpoints;
  const leftMs = (): number => settings.connectDeadline - (clock.now() - tries.startedAt);
  const mayTry = (): boolean =>
    live.attempts.length < settings.connectAttempts && leftMs() > 0 && hasUntried(service, tried);
  let known: KeySource | undefined;
  const source = (): KeySource => {
    known ??= keySourceOf(live, header);
    return known;
  };
  live.phase = 'connecting';
  while (mayTry()) {
    if (tried.size > 1) await backOff(live, tried.size - 1, leftMs(), clock);
    const now = clock.now();
    if (leftMs() <= 0) break;
    if (tried.size > 0) requireRetry(service, tries, now);
    // The picker of this moment: what has been removed since the last attempt is not tried.
    const { picker } = service;
    const pick = picker.pick({ tried, now, source });
    if (!pick) break;
    tried.add(pick.endpoint);
    const upstream = await attempt(live, service, pick, header, Math.min(settings.connectTimeout, leftMs()), around);
    if (!upstream) continue;
    const connectMs = clock.now() - tries.startedAt;
    live.connectMs = connectMs;
    const connected = begin(live, service, picker, upstream, pick, around);
    // Where there is no other endpoint to go to, what happens to this one is the relay's to find.
    if (!mayTry() || !(await brokeOff(live, connected, settings))) return connected;
    tries.startedAt = clock.now() - connectMs;
  }
  if (service.picker.endpoints.length === 0) throw new Stop('no-endpoint', `service ${service.name} has no endpoint`);
  // The attempts themselves say why.
  throw new Stop('connect-failed');
}

/** What an endpoint may be chosen by. */
function keySourceOf({ downstream, serverName, clientIdentity }: LiveConnection, header?: ProxyHeader): KeySource {
  const told = header?.command === 'proxy' ? header : undefined;
  return {
    client: told?.source ?? downstream.remote,
    destination: told?.destination ?? downstream.local,
    serverName,
    identity: clientIdentity,
    tlvs: told?.tlvs,
  };
}

function begin(
  live: LiveConnection,
  service: Service,
  picker: Picker,
  upstream: Connection,
  pick: Pick,
  around: Surroundings,
): Connected {
  const { settings } = service;
  if (settings.onEndpointRemoved === 'reset' && picker !== service.picker && !isOf(service.picker, live.upstream)) {
    // Whoever resets what is open to a removed endpoint has missed the one that was only being connected to.
    upstream.reset();
    pick.abandoned();
    throw new Stop('endpoint-removed', live.upstream);
  }
  live.relaying(upstream);
  return { upstream, pick, watch: new RelayWatch(live, upstream, pick, settings, around) };
}

function isOf({ endpoints }: Picker, upstream: string | undefined): boolean {
  return endpoints.some(({ addresses }) => addresses.some((one) => formatAddress(one) === upstream));
}

/** Whether the endpoint broke while the client could still be sent to another: then it is as if it had never been connected to. */
async function brokeOff(live: LiveConnection, { upstream, watch }: Connected, { replay }: ServiceConfig) {
  const client = live.downstream;
  const step = (): Canceller => live.cancellable();
  const opened = await open({ client, upstream, replayBytes: replay, step, onFirstByte: () => watch.onFirstByte() });
  live.relaying(upstream);
  if (opened.kind === 'relay') return false;
  const { error } = opened;
  watch.stop({ kind: 'reset', by: 'peer', cause: error });
  upstream.reset();
  live.brokeOff(`${live.upstream}: broke off before it had answered: ${describeError(error.cause ?? error)}`);
  return true;
}

function requireRetry({ settings, bounds, breaker, retryBudget }: Service, tries: Tries, now: number): void {
  const { retryBudget: percent, retryMinRate: minPerSecond } = settings;
  if (percent !== 'off' && !retryBudget.retry({ share: percent / 100, minPerSecond }, now)) {
    const budget = `${percent}% of connections, at least ${minPerSecond} a second`;
    throw new Stop('connect-failed', `no other endpoint was tried: the retry budget (${budget}) is used up`);
  }
  tries.isRetry ||= breaker.tryRetry(bounds.maxRetries);
  if (tries.isRetry) return;
  const others = `${bounds.maxRetries} other connections are being tried again, and no more may be`;
  throw new Stop('connect-failed', `no other endpoint was tried: ${others}`);
}

/** Another endpoint is tried at once; where that fails too, the service itself may be in trouble. The times are Envoy's. */
const BACKOFF = { baseMs: 25, maxMs: 250 } as const;

/** @param failures in a row, of which the first is not waited for */
async function backOff(live: LiveConnection, failures: number, atMostMs: number, clock: Clock): Promise<void> {
  const waitMs = backoffMs(failures, BACKOFF, Math.random());
  await sleep(clock, Math.min(waitMs, atMostMs), live.cancellable());
  if (live.cutBy !== undefined) throw new Stop(live.cutBy);
}

function hasUntried({ picker }: Service, tried: ReadonlySet<Endpoint>): boolean {
  return picker.endpoints.some((endpoint) => !tried.has(endpoint));
}

/** One attempt at one endpoint, all of whose addresses are raced. `undefined` where the next may be tried. */
async function attempt(
  live: LiveConnection,
  service: Service,
  pick: Pick,
  header: ProxyHeader | undefined,
  timeoutMs: number,
  around: Surroundings,
): Promise<Connection | undefined> {
  const { clock, transport, sockets, observer } = around;
  const { endpoint, why } = pick;
  const { settings } = service;
  const startedAt = clock.now();
  const controller = live.cancellable();
  const timer = clock.after(timeoutMs, () => controller.abort());
  const settle = (address: string, failed?: { readonly how: Failure; readonly error: string }): void => {
    const now = clock.now();
    const durationMs = now - startedAt;
    const error = failed?.error;
    const entry = { endpoint: endpoint.id, why, address, durationMs, ...(error === undefined ? {} : { error }) };
    live.attempts.push(entry);
    observer.attempted(service.name, entry);
    if (failed === undefined) pick.connected(durationMs, now);
    else pick.failed(failed.how, durationMs, now);
  };
  try {
    const won = await race(
      endpoint.addresses,
      settings.raceDelay,
      clock,
      controller.signal,
      (address, signal) => transport.dial(address, sockets, signal),
      (late) => late.reset(),
    );
    const { value: upstream, address } = won;
    greet(live, upstream, settings, header);
    if (settings.tlsDial !== 'off') await secureUpstream(live, upstream, address, settings, around, controller.signal);
    live.endpoint = endpoint.id;
    live.upstream = formatAddress(address);
    settle(live.upstream);
    return upstream;
  } catch (error) {
    if (!(error instanceof MeshproxyError) || live.cutBy !== undefined || error.code === 'exhausted') pick.abandoned();
    if (!(error instanceof MeshproxyError)) throw error;
    if (live.cutBy !== undefined) throw new Stop(live.cutBy);
    const addresses = endpoint.addresses.map(formatAddress).join(' and ');
    const reason =
      error.code === 'aborted'
        ? `${addresses}: no answer within ${formatDuration(Math.round(timeoutMs))}`
        : inWords(error, addresses);
    settle(addresses, { how: failureOf(error), error: reason });
    if (error.code === 'exhausted') {
      around.exhausted();
      throw new Stop('exhausted', reason);
    }
    return undefined;
  } finally {
    timer.cancel();
  }
}

function failureOf({ code }: MeshproxyError): Failure {
  if (code === 'aborted') return 'timeout';
  return code === 'handshake' ? 'handshake' : 'connect';
}

/** What is said of a dial names the address already; what is said of TLS does not. */
function inWords(error: MeshproxyError, addresses: string): string {
  return error.code === 'connect' || error.code === 'exhausted' ? error.message : `${addresses}: ${error.message}`;
}

/** TLS with the upstream, which has to be who the service says it is. */
async function secureUpstream(
  live: LiveConnection,
  upstream: Connection,
  address: SocketAddress,
  settings: ServiceConfig,
  { tls, transport, isTrusted }: Surroundings,
  signal: CancelSignal,
): Promise<void> {
  const how = tls.dial(settings, address);
  if (how === undefined) return;
  live.serverCredential = credentialOf(await transport.secure(upstream, how.setup, how.call, signal));
  if (live.serverCredential?.id !== undefined) live.serverIdentity = live.serverCredential.id;
  if (!isTrusted(live)) throw new MeshproxyError('aborted', 'trusted no more');
}

/** Says to the upstream who the client is, where the service asks for it. */
function greet(live: LiveConnection, upstream: Connection, settings: ServiceConfig, header: ProxyHeader | undefined) {
  if (settings.sendProxyProtocol === 'off') return;
  const told = header?.command === 'proxy' && header.source !== undefined ? header : undefined;
  const source = told ? told.source : live.downstream.remote;
  const destination = told ? told.destination : live.downstream.local;
  upstream.write(encodeProxyHeader(settings.sendProxyProtocol, source, destination));
}
