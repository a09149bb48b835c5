/**
 * START HERE: the life of a connection, top to bottom.
 *
 *   accept -> admit -> identify -> route -> pick -> dial -> relay -> account
 *
 * `data-plane.ts` accepts and admits; `serve` tells the rest. Every step is a call into a module that can be read and
 * tested alone. A step that cannot go on throws a `Stop`, which says how the connection ended, in one place.
 */

import type { ListenerConfig } from '../config/schema.js';
import { describeError } from '../core/errors.js';
import type { Ending } from '../telemetry/record.js';
import { type Connected, enter } from './connect.js';
import { detectServerName } from './detect.js';
import { identify, secureClient } from './identify.js';
import type { LiveConnection } from './live.js';
import type { Service } from './service.js';
import { type ProxyHeader, TLV } from './sniff/proxy-format.js';
import { Stop, type Surroundings } from './surroundings.js';
import { throttle } from './throttle.js';
import type { RelayEnd } from './transport.js';

/** Serves one admitted connection until both its sides are closed. Never rejects. */
export async function serve(live: LiveConnection, listener: ListenerConfig, service: Service, around: Surroundings) {
  around.observer.opened(live);
  let connected: Connected | undefined;
  try {
    // Not awaited where there is nothing to wait for: that would be a turn of promises for every connection.
    const header = listener.acceptProxyProtocol ? await identify(live, listener, around) : undefined;
    if (listener.tlsAccept !== 'off') await secureClient(live, listener, around);
    else if (service.goesByServerName && !isNamed(header)) await detectServerName(live, listener, around);
    live.service = service.name;
    const tries = await enter(live, service, header, around);
    for (;;) {
      connected = await tries.next();
      const { upstream, watch } = connected;
      throttle(live, upstream);
      const end = await live.downstream.relay(upstream, watch);
      if (end.kind !== 'spared') {
        watch.stop(end);
        return account(live, around, endingOf(end, live), detailOf(end));
      }
      // The endpoint broke before anything was exchanged with it: the client notices nothing.
      tries.brokeOff(connected, end.cause);
      connected = undefined;
    }
  } catch (error) {
    live.downstream.reset();
    connected?.upstream.reset();
    connected?.pick.abandoned();
    if (error instanceof Stop) return account(live, around, error.ending, error.detail);
    around.bug(error);
    account(live, around, 'internal-error', describeError(error));
  }
}

/** A proxy in front of this one that has ended the client's TLS says by which name it was asked for. */
function isNamed(header: ProxyHeader | undefined): boolean {
  return header?.tlvs.some(({ type }) => type === TLV.authority) === true;
}

function endingOf(end: Exclude<RelayEnd, { kind: 'spared' }>, live: LiveConnection): Ending {
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
