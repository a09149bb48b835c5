/**
 * START HERE: the life of a connection, top to bottom.
 *
 *   accept -> admit -> identify -> route -> pick -> dial -> relay -> account
 *
 * `data-plane.ts` accepts and admits; `serve` tells the rest. Every step is a call into a module that can be read and
 * tested alone. A step that cannot go on throws a `Stop`, which says how the connection ended, in one place.
 */

import type { Endpoint, Failure, Pick } from '../balancer/picker.js';
import type { ListenerConfig, ServiceConfig } from '../config/schema.js';
import { formatAddress, type SocketAddress } from '../core/address.js';
import type { CancelSignal } from '../core/cancel.js';
import type { Clock, Timer } from '../core/clock.js';
import { describeError, MeshproxyError } from '../core/errors.js';
import { formatDuration } from '../core/units.js';
import type { Ending, Observer } from '../telemetry/record.js';
import { watchIdle } from './idle-watch.js';
import type { LiveConnection } from './live.js';
import { encodeProxyHeader } from './proxy-header.js';
import { race } from './race.js';
import type { Service } from './service.js';
import type { ProxyHeader } from './sniff/proxy-format.js';
import { parseProxyHeader } from './sniff/proxy-protocol.js';
import { credentialOf, type TlsSetups } from './tls-setups.js';
import type { Connection, RelayEnd, RelayEvents, SocketOptions, Transport } from './transport.js';

/** What a connection needs of its surroundings. */
export interface Surroundings {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly observer: Observer;
  readonly sockets: SocketOptions;
  /** Of the identity in force. */
  readonly tls: TlsSetups;
  /** Whether both sides are trusted still, by what holds now; a connection of which they are not is cut. */
  isTrusted(live: LiveConnection): boolean;
  /** It is over, and both its sockets are closed. */
  ended(live: LiveConnection): void;
  /** This process had no descriptor left for a dial: accept no more until a connection has ended. */
  exhausted(): void;
  /** Something was thrown that is not a `MeshproxyError`: a bug, to be logged with its stack. */
  bug(error: unknown): void;
}

/** Ends a connection's life early; `ending` says how, `detail` what exactly happened. */
class Stop extends Error {
  readonly ending: Ending;
  readonly detail: string | undefined;

  constructor(ending: Ending, detail?: string) {
    super(ending);
    this.ending = ending;
    this.detail = detail;
  }
}

/** Serves one admitted connection until both its sides are closed. Never rejects. */
export async function serve(live: LiveConnection, listener: ListenerConfig, service: Service, around: Surroundings) {
  around.observer.opened(live);
  let connected: Connected | undefined;
  try {
    // Not awaited where there is nothing to wait for: that would be a turn of promises for every connection.
    const header = listener.acceptProxyProtocol ? await identify(live, listener, around) : undefined;
    if (listener.tlsAccept !== 'off') await secureClient(live, listener, around);
    live.service = service.name;
    const { settings, picker } = service;
    connected = await connect(live, service, header, around);
    const { upstream } = connected;
    if (settings.onEndpointRemoved === 'reset' && picker !== service.picker) requireEndpoint(live, service);
    live.relaying(upstream);
    const watch = new RelayWatch(live, connected, settings, around.clock);
    const end = await live.downstream.relay(upstream, watch);
    watch.stop(end);
    account(live, around, endingOf(end, live), detailOf(end));
  } catch (error) {
    live.downstream.reset();
    connected?.upstream.reset();
    connected?.pick.abandoned();
    if (error instanceof Stop) return account(live, around, error.ending, error.detail);
    around.bug(error);
    account(live, around, 'internal-error', describeError(error));
  }
}

/** Learns who the client is from its PROXY protocol header. */
async function identify(live: LiveConnection, settings: ListenerConfig, { clock }: Surroundings): Promise<ProxyHeader> {
  const controller = live.cancellable();
  const timer = clock.after(settings.proxyProtocolTimeout, () => controller.abort());
  try {
    const header = await readProxyHeader(live, controller.signal);
    live.identifyMs = clock.now() - live.startedAt;
    // LOCAL: the sender speaks for itself, a health check for example. The socket's own addresses stand (section 2.2).
    if (header.command === 'proxy') {
      if (header.source) live.client = formatAddress(header.source);
      if (header.destination) live.destination = formatAddress(header.destination);
    }
    return header;
  } catch (error) {
    if (!(error instanceof MeshproxyError)) throw error;
    if (live.cutBy !== undefined) throw new Stop(live.cutBy);
    if (error.code === 'aborted') {
      throw new Stop(
        'proxy-header-timeout',
        `no complete header within ${formatDuration(settings.proxyProtocolTimeout)}`,
      );
    }
    throw new Stop('client-reset', 'before its PROXY protocol header was complete');
  } finally {
    timer.cancel();
  }
}

async function readProxyHeader(live: LiveConnection, signal: CancelSignal): Promise<ProxyHeader> {
  const client = live.downstream;
  for (let atLeast = 1; ; ) {
    const bytes = await client.peek(atLeast, signal);
    if (bytes.length < atLeast) throw new Stop('closed-before-header');
    const result = parseProxyHeader(bytes);
    switch (result.kind) {
      case 'match':
        client.consume(result.length);
        live.headerBytes = result.length;
        return result.value;
      case 'no-match':
        throw new Stop('bad-proxy-header', result.reason);
      case 'need-more':
        atLeast = result.atLeast;
    }
  }
}

/** TLS with the client, and who it is. */
async function secureClient(live: LiveConnection, settings: ListenerConfig, around: Surroundings): Promise<void> {
  const { clock, transport } = around;
  const how = around.tls.accept(settings);
  if (how === undefined) return;
  const controller = live.cancellable();
  const timer = clock.after(settings.tlsHandshakeTimeout, () => controller.abort());
  try {
    const peer = await transport.secure(live.downstream, how.setup, how.call, controller.signal);
    live.identifyMs = clock.now() - live.startedAt;
    live.clientCredential = credentialOf(peer);
    if (live.clientCredential?.id !== undefined) live.clientIdentity = live.clientCredential.id;
    // While hands were shaken, another identity may have come into force.
    if (!around.isTrusted(live)) throw new MeshproxyError('aborted', 'trusted no more');
  } catch (error) {
    if (!(error instanceof MeshproxyError)) throw error;
    if (live.cutBy !== undefined) throw new Stop(live.cutBy);
    const late = `the TLS handshake was not done within ${formatDuration(settings.tlsHandshakeTimeout)}`;
    throw new Stop('client-handshake', error.code === 'aborted' ? late : error.message);
  } finally {
    timer.cancel();
  }
}

/** A connection to an endpoint, and the pick that is to hear how it fares. */
interface Connected {
  readonly upstream: Connection;
  readonly pick: Pick;
}

/** Picks an endpoint and dials it; where that fails, the next, within the service's bounds. No byte has been sent yet. */
async function connect(
  live: LiveConnection,
  service: Service,
  header: ProxyHeader | undefined,
  around: Surroundings,
): Promise<Connected> {
  const { clock } = around;
  const { settings } = service;
  const startedAt = clock.now();
  const tried = new Set<Endpoint>();
  live.phase = 'connecting';
  while (live.attempts.length < settings.connectAttempts) {
    const now = clock.now();
    const leftMs = settings.connectDeadline - (now - startedAt);
    // The picker of this moment: what has been removed since the last attempt is not tried.
    const pick = leftMs > 0 ? service.picker.pick({ tried, now }) : undefined;
    if (!pick) break;
    const upstream = await attempt(live, service, pick, header, Math.min(settings.connectTimeout, leftMs), around);
    if (upstream) {
      live.connectMs = clock.now() - startedAt;
      return { upstream, pick };
    }
    tried.add(pick.endpoint);
  }
  if (service.picker.endpoints.length === 0) throw new Stop('no-endpoint', `service ${service.name} has no endpoint`);
  // The attempts themselves say why.
  throw new Stop('connect-failed');
}

/** Whoever resets what is open to a removed endpoint has missed the one that was only being connected to. */
function requireEndpoint({ upstream = '' }: LiveConnection, { picker }: Service): void {
  const isThere = picker.endpoints.some(({ addresses }) => addresses.some((one) => formatAddress(one) === upstream));
  if (!isThere) throw new Stop('endpoint-removed', upstream);
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

/**
 * What goes on while bytes are carried: what the transport tells of it, and the timeouts that cut it. One object for
 * each of thousands of connections that may be quiet for hours: a closure for each of these would be twice the memory.
 */
class RelayWatch implements RelayEvents {
  readonly #live: LiveConnection;
  readonly #upstream: Connection;
  readonly #pick: Pick;
  readonly #settings: ServiceConfig;
  readonly #clock: Clock;
  readonly #startedAt: number;
  /** When the client first asked something, where it did so before it was answered. */
  #askedAt: number | undefined;
  #idle: Timer | undefined;
  #halfClosed: Timer | undefined;

  constructor(live: LiveConnection, { upstream, pick }: Connected, settings: ServiceConfig, clock: Clock) {
    this.#live = live;
    this.#upstream = upstream;
    this.#pick = pick;
    this.#settings = settings;
    this.#clock = clock;
    this.#startedAt = clock.now();
    this.#idle = this.#cutAfter(settings.idleTimeout, 'idle-timeout');
  }

  onFirstByte(): void {
    this.#askedAt = this.#clock.now();
  }

  onPeerFirstByte(): void {
    const now = this.#clock.now();
    this.#live.firstByteMs = now - this.#startedAt;
    // How long a client thinks before it asks says nothing of the endpoint.
    this.#pick.answered(now - (this.#askedAt ?? this.#startedAt), now);
  }

  onHalfClose(): void {
    this.#halfClosed = this.#cutAfter(this.#settings.halfCloseTimeout, 'half-close-timeout');
  }

  stop(end: RelayEnd): void {
    this.#idle?.cancel();
    this.#halfClosed?.cancel();
    const refused = end.kind === 'reset' && end.by === 'peer' && this.#live.firstByteMs === undefined;
    this.#pick.ended(refused ? 'reset' : 'served', this.#clock.now());
  }

  #cutAfter(timeoutMs: number, ending: Ending): Timer | undefined {
    if (timeoutMs === 0) return undefined;
    return watchIdle(
      this.#clock,
      timeoutMs,
      () => this.#moved(),
      () => this.#live.cut(ending),
    );
  }

  /** What a slow reader takes out of the kernel's buffers moves too, long after it was read here. */
  #moved(): number {
    const client = this.#live.downstream;
    const upstream = this.#upstream;
    return client.bytesRead + upstream.bytesRead - client.bytesUnsent - upstream.bytesUnsent;
  }
}

function endingOf(end: RelayEnd, live: LiveConnection): Ending {
  switch (end.kind) {
    case 'completed':
      return 'completed';
    case 'reset':
      return end.by === 'this' ? 'client-reset' : 'upstream-reset';
    case 'lost':
      return end.by === 'this' ? 'client-lost' : 'upstream-lost';
    case 'tls':
      return end.by === 'this' ? 'client-tls' : 'upstream-tls';
    case 'local':
      return live.cutBy ?? 'internal-error';
  }
}

function detailOf(end: RelayEnd): string | undefined {
  return end.kind === 'lost' || end.kind === 'tls' ? describeError(end.cause) : undefined;
}

/** The record is complete: tell those who count, log and measure. */
function account(live: LiveConnection, around: Surroundings, ending: Ending, detail?: string): void {
  const { clock, observer } = around;
  live.phase = 'ended';
  live.ending = ending;
  if (detail !== undefined) live.detail = detail;
  live.durationMs = clock.now() - live.startedAt;
  observer.ended(live);
  around.ended(live);
}
