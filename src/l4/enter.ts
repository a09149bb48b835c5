/** A connection's place in its service, which may have so many and no more. */
import type { CancelSignal } from '../core/cancel.js';
import type { Clock } from '../core/clock.js';
import { MeshproxyError } from '../core/errors.js';
import { formatDuration } from '../core/units.js';
import type { BreakerBounds } from './circuit-breaker.js';
import type { LiveConnection } from './live.js';
import type { Service } from './service.js';
import { sourceOf } from './sources.js';
import { Stop } from './surroundings.js';

/** Whether there was a place. */
export function enterAtOnce(live: LiveConnection, { breaker, bounds }: Service): boolean {
  const entered = breaker.tryEnter(bounds);
  if (entered) live.place = breaker;
  return entered;
}

/** The service has all the connections that it may have: this one waits its turn, and no longer than the service says. */
export async function waitForPlace(live: LiveConnection, { breaker, bounds }: Service, clock: Clock): Promise<void> {
  const since = clock.now();
  const { signal } = live.cancellable();
  live.phase = 'waiting';
  const entered = await breaker.enter(clientOf(live), bounds, signal);
  live.queuedMs = clock.now() - since;
  if (entered === 'in') live.place = breaker;
  if (live.cutBy !== undefined) throw new Stop(live.cutBy);
  switch (entered) {
    case 'in':
      return requireClient(live, signal);
    case 'full':
      throw new Stop('service-full', fullness(bounds));
    case 'timeout':
      throw new Stop('queue-timeout');
    case 'overload':
      throw new Stop('overload', `it waited for ${formatDuration(bounds.queue.targetMs)}, as everybody does`);
    case 'cut':
      throw new Error('unreachable: what is cut says why');
  }
}

/** Whose turn it is: clients are let in by turns, whatever number of connections each of them has, and of addresses in its /64. */
function clientOf({ clientIdentity, source, downstream }: LiveConnection): string {
  return clientIdentity ?? source ?? sourceOf(downstream.remote);
}

/** Who has given up meanwhile must not cost an endpoint a connection. */
async function requireClient({ downstream }: LiveConnection, signal: CancelSignal): Promise<void> {
  try {
    await downstream.peek(0, signal);
  } catch (error) {
    if (!(error instanceof MeshproxyError) || error.code !== 'disconnected') throw error;
    throw new Stop('client-reset', 'while it waited for a free place in the service');
  }
}

function fullness({ maxConnections, maxPending, queue }: BreakerBounds): string {
  const waiting = queue.timeoutMs === 0 ? 'none may wait' : `${maxPending} wait already`;
  return `${maxConnections} connections are open, and ${waiting}`;
}
