/** Who the client is: by what is said of it, and by what it proves. */
import type { ListenerConfig } from '../config/schema.js';
import { formatAddress } from '../core/address.js';
import type { CancelSignal } from '../core/cancel.js';
import { MeshproxyError } from '../core/errors.js';
import { formatDuration } from '../core/units.js';
import type { LiveConnection } from './live.js';
import type { ProxyHeader } from './sniff/proxy-format.js';
import { parseProxyHeader } from './sniff/proxy-protocol.js';
import { sourceOf } from './sources.js';
import { Stop, type Surroundings } from './surroundings.js';
import { credentialOf } from './tls-setups.js';

/** Learns who the client is from its PROXY protocol header. */
export async function identify(
  live: LiveConnection,
  settings: ListenerConfig,
  { clock, turnstile }: Surroundings,
): Promise<ProxyHeader> {
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
    const source = header.command === 'proxy' ? header.source : undefined;
    turnstile.identified(live, 'source', sourceOf(source ?? live.downstream.remote));
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
export async function secureClient(
  live: LiveConnection,
  settings: ListenerConfig,
  around: Surroundings,
): Promise<void> {
  const { clock, transport, turnstile } = around;
  const how = around.tls.accept(settings);
  if (how === undefined) return;
  const controller = live.cancellable();
  const timer = clock.after(settings.tlsHandshakeTimeout, () => controller.abort());
  try {
    const peer = await transport.secure(live.downstream, how.setup, how.call, controller.signal);
    live.identifyMs = clock.now() - live.startedAt;
    live.serverName = peer.serverName;
    live.clientCredential = credentialOf(peer);
    if (live.clientCredential?.id !== undefined) live.clientIdentity = live.clientCredential.id;
    // While hands were shaken, another identity may have come into force.
    if (!around.isTrusted(live)) throw new MeshproxyError('aborted', 'trusted no more');
    if (live.clientIdentity !== undefined) turnstile.identified(live, 'identity', live.clientIdentity);
  } catch (error) {
    if (!(error instanceof MeshproxyError)) throw error;
    if (live.cutBy !== undefined) throw new Stop(live.cutBy);
    const late = `the TLS handshake was not done within ${formatDuration(settings.tlsHandshakeTimeout)}`;
    throw new Stop('client-handshake', error.code === 'aborted' ? late : error.message);
  } finally {
    timer.cancel();
  }
}
