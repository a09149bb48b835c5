/** What a data thread tells of itself. */
import type { ConnectionRecord } from '../telemetry/record.js';
import type { ThreadReport } from './plane.js';

/** @param most connections that are listed, the newest */
export function reportOf(live: Iterable<ConnectionRecord>, most: number): ThreadReport {
  return { connections: most === 0 ? [] : [...live].slice(-most).map(copyOf) };
}

/** Plain data: what a live connection reads off its sockets, as it is now. */
function copyOf(record: ConnectionRecord): ConnectionRecord {
  const { id, listener, openedAt, startedAt, peer, phase, client, bytesReceived, bytesSent } = record;
  const { destination, service, endpoint, upstream, identifyMs, connectMs, firstByteMs } = record;
  return {
    ...{ id, listener, openedAt, startedAt, peer, phase, client, bytesReceived, bytesSent },
    attempts: [...record.attempts],
    ...(destination !== undefined && { destination }),
    ...(service !== undefined && { service }),
    ...(endpoint !== undefined && { endpoint }),
    ...(upstream !== undefined && { upstream }),
    ...(identifyMs !== undefined && { identifyMs }),
    ...(connectMs !== undefined && { connectMs }),
    ...(firstByteMs !== undefined && { firstByteMs }),
  };
}
