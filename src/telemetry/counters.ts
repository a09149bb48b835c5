/** Plain counters that the data plane's events are added to, without a label hashed; the metrics copy them when asked. */
import { OTHER } from './attempts.js';
import { Buckets, type BucketsSnapshot } from './buckets.js';
import type { ConnectionRecord, Ending, Refusal } from './record.js';
import type { ProxyStatus } from './status.js';
import type { Wanted } from './wanted.js';

/** Connections of one listener to one service; the service is '' for those that ended before it was known. */
export class RouteCounters {
  readonly closed = new Map<Ending, number>();
  /** Of connections that have ended. */
  received = 0;
  sent = 0;
  /** What was last shown, live connections included: a counter must never be seen to go backwards. */
  receivedShown = 0;
  sentShown = 0;
}

/** What a listener carried since the start; bytes as they were last shown. */
export interface Traffic {
  readonly opened: number;
  readonly active: number;
  readonly refused: number;
  readonly received: number;
  readonly sent: number;
}

class ListenerCounters {
  opened = 0;
  active = 0;
  readonly refused = new Map<Refusal, number>();
  /** How long bandwidth limits held connections back that have ended. */
  heldBackMs = 0;
  readonly routes = new Map<string, RouteCounters>();
  /** Connections that have ended, by who their client had proven to be. */
  readonly clients = new Map<string, number>();

  traffic(): Traffic {
    let [refused, received, sent] = [0, 0, 0];
    for (const count of this.refused.values()) refused += count;
    for (const { receivedShown, sentShown } of this.routes.values()) {
      received += receivedShown;
      sent += sentShown;
    }
    return { opened: this.opened, active: this.active, refused, received, sent };
  }
}

/** Of connections to one service, in seconds. */
export interface ServiceTimes {
  readonly connect: Buckets;
  readonly firstByte: Buckets;
  readonly duration: Buckets;
}

/** Upper bounds in seconds. */
const BOUNDS = {
  /** From a loopback connect to the default deadline of all attempts; 1, 2.5, 5 steps are what a graph can tell apart. */
  connect: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  /** From a cache's answer to a long query's. */
  firstByte: [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  /** From one request to a pooled database connection's day: powers of ten, then minutes and hours. */
  duration: [0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 21_600, 86_400],
} as const;

/** Plain data: what one thread has counted, or several together. */
export interface CountersSnapshot {
  readonly listeners: readonly {
    readonly name: string;
    readonly opened: number;
    readonly active: number;
    readonly refused: readonly (readonly [Refusal, number])[];
    readonly heldBackMs: number;
    readonly clients: readonly (readonly [string, number])[];
    readonly routes: readonly {
      readonly service: string;
      readonly closed: readonly (readonly [Ending, number])[];
      /** As last shown: with those of live connections. */
      readonly received: number;
      readonly sent: number;
    }[];
  }[];
  readonly times: readonly {
    readonly service: string;
    readonly connect: BucketsSnapshot;
    readonly firstByte: BucketsSnapshot;
    readonly duration: BucketsSnapshot;
  }[];
}

export class Counters {
  readonly listeners = new Map<string, ListenerCounters>();
  readonly times = new Map<string, ServiceTimes>();

  opened(record: ConnectionRecord): void {
    const listener = this.listener(record.listener);
    listener.opened += 1;
    listener.active += 1;
  }

  refused(listener: string, reason: Refusal): void {
    const { refused } = this.listener(listener);
    refused.set(reason, (refused.get(reason) ?? 0) + 1);
  }

  ended(record: ConnectionRecord): void {
    const listener = this.listener(record.listener);
    const route = routeOf(listener, record.service ?? '');
    const ending = record.ending ?? 'internal-error';
    listener.active -= 1;
    listener.heldBackMs += record.heldBackMs ?? 0;
    route.closed.set(ending, (route.closed.get(ending) ?? 0) + 1);
    route.received += record.bytesReceived;
    route.sent += record.bytesSent;
    if (record.clientIdentity !== undefined) countClient(listener.clients, record.clientIdentity);
    if (record.service === undefined) return;
    const times = this.timesOf(record.service);
    if (record.firstByteMs !== undefined) times.firstByte.observe(record.firstByteMs / 1000);
    if (record.durationMs !== undefined) times.duration.observe(record.durationMs / 1000);
  }

  connected(service: string, ms: number): void {
    this.timesOf(service).connect.observe(ms / 1000);
  }

  listener(name: string): ListenerCounters {
    let listener = this.listeners.get(name);
    if (listener === undefined) {
      listener = new ListenerCounters();
      this.listeners.set(name, listener);
    }
    return listener;
  }

  timesOf(service: string): ServiceTimes {
    let times = this.times.get(service);
    if (times === undefined) {
      times = {
        connect: new Buckets(BOUNDS.connect),
        firstByte: new Buckets(BOUNDS.firstByte),
        duration: new Buckets(BOUNDS.duration),
      };
      this.times.set(service, times);
    }
    return times;
  }

  /** Brings what is shown of the bytes up to date with the connections that live. */
  show(live: Iterable<ConnectionRecord>): void {
    const now = new Map<RouteCounters, { received: number; sent: number }>();
    for (const record of live) {
      // Before its service is known a connection's bytes are its header's; afterwards they are counted where it went.
      if (record.service === undefined || record.ending !== undefined) continue;
      const route = routeOf(this.listener(record.listener), record.service);
      const sum = now.get(route) ?? { received: 0, sent: 0 };
      sum.received += record.bytesReceived;
      sum.sent += record.bytesSent;
      now.set(route, sum);
    }
    for (const { routes } of this.listeners.values()) {
      for (const route of routes.values()) {
        const live = now.get(route);
        route.receivedShown = Math.max(route.receivedShown, route.received + (live?.received ?? 0));
        route.sentShown = Math.max(route.sentShown, route.sent + (live?.sent ?? 0));
      }
    }
  }

  /** As it was last shown. */
  snapshot(): CountersSnapshot {
    return {
      listeners: [...this.listeners].map(([name, { opened, active, refused, heldBackMs, clients, routes }]) => ({
        ...{ name, opened, active, refused: [...refused], heldBackMs, clients: [...clients] },
        routes: [...routes].map(([service, { closed, receivedShown, sentShown }]) => ({
          ...{ service, closed: [...closed], received: receivedShown, sent: sentShown },
        })),
      })),
      times: [...this.times].map(([service, { connect, firstByte, duration }]) => ({
        service,
        connect: connect.snapshot(),
        firstByte: firstByte.snapshot(),
        duration: duration.snapshot(),
      })),
    };
  }

  /** Adds what others have counted; it is shown at once. */
  add({ listeners, times }: CountersSnapshot): void {
    for (const { name, opened, active, refused, heldBackMs, clients, routes } of listeners) {
      const listener = this.listener(name);
      listener.opened += opened;
      listener.active += active;
      listener.heldBackMs += heldBackMs;
      addTo(listener.refused, refused);
      addTo(listener.clients, clients);
      for (const { service, closed, received, sent } of routes) {
        const route = routeOf(listener, service);
        addTo(route.closed, closed);
        route.received += received;
        route.sent += sent;
        route.receivedShown += received;
        route.sentShown += sent;
      }
    }
    for (const { service, connect, firstByte, duration } of times) {
      const mine = this.timesOf(service);
      mine.connect.add(connect);
      mine.firstByte.add(firstByte);
      mine.duration.add(duration);
    }
  }

  /** Has what is configured begin at zero. */
  startAtZero({ listeners, services }: Pick<ProxyStatus, 'listeners' | 'services'>): void {
    for (const { name, service } of listeners) routeOf(this.listener(name), service);
    for (const { name } of services) this.timesOf(name);
  }

  /** Forgets what is neither wanted nor alive. */
  prune(wanted: Wanted): void {
    for (const [name, { active, routes }] of this.listeners) {
      if (!wanted.hasListener(name) && active === 0) this.listeners.delete(name);
      for (const service of routes.keys()) if (service !== '' && !wanted.hasService(service)) routes.delete(service);
    }
    for (const service of this.times.keys()) if (!wanted.hasService(service)) this.times.delete(service);
  }
}

/** Identities that a thread tells apart of one listener; any more share `other`. Each is a series to whoever stores the metrics. */
const MAX_CLIENTS = 500;

function countClient(clients: Map<string, number>, identity: string): void {
  const name = clients.has(identity) || clients.size < MAX_CLIENTS ? identity : OTHER;
  clients.set(name, (clients.get(name) ?? 0) + 1);
}

function addTo<K>(counts: Map<K, number>, others: readonly (readonly [K, number])[]): void {
  for (const [key, count] of others) counts.set(key, (counts.get(key) ?? 0) + count);
}

function routeOf(listener: ListenerCounters, service: string): RouteCounters {
  let route = listener.routes.get(service);
  if (route === undefined) {
    route = new RouteCounters();
    listener.routes.set(service, route);
  }
  return route;
}
