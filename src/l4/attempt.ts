/** One attempt at one endpoint: dial, greet, TLS. */
import type { Failure, Pick } from '../balancer/picker.js';
import type { ServiceConfig } from '../config/schema.js';
import { formatAddress, type SocketAddress } from '../core/address.js';
import type { CancelSignal } from '../core/cancel.js';
import { MeshproxyError } from '../core/errors.js';
import { formatDuration } from '../core/units.js';
import type { LiveConnection } from './live.js';
import { encodeProxyHeader } from './proxy-header.js';
import { race } from './race.js';
import type { Service } from './service.js';
import type { ProxyHeader } from './sniff/proxy-format.js';
import { Stop, type Surroundings } from './surroundings.js';
import { credentialOf } from './tls-setups.js';
import type { Connection } from './transport.js';

/** One attempt at one endpoint, all of whose addresses are raced. `undefined` where the next may be tried. */
export async function attempt(
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
