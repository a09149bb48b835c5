/** The connections that are open now: each is its own record, and can be cut. */

import { randomBytes } from 'node:crypto';
import { formatAddress } from '../core/address.js';
import { Canceller } from '../core/cancel.js';
import type { Clock } from '../core/clock.js';
import { type Linked, LinkedSet } from '../core/linked-set.js';
import type { Attempt, ConnectionRecord, Ending, Phase } from '../telemetry/record.js';
import type { Rates } from './rates.js';
import type { Tally } from './tally.js';
import type { Throttles } from './throttle.js';
import type { Connection } from './transport.js';
import type { PeerCredential, Trust } from './trust.js';

export class LiveConnection implements ConnectionRecord, Linked<LiveConnection> {
  before: LiveConnection | undefined;
  after: LiveConnection | undefined;
  readonly id: string;
  readonly listener: string;
  readonly openedAt: number;
  readonly startedAt: number;
  readonly peer: string;
  readonly attempts: Attempt[] = [];
  /** The socket towards the client. */
  readonly downstream: Connection;
  /** Its listener's count, which it leaves when it has ended. */
  readonly tally: Tally;
  phase: Phase = 'identifying';
  client: string;
  clientIdentity?: string;
  serverIdentity?: string;
  destination?: string;
  service?: string;
  endpoint?: string;
  upstream?: string;
  identifyMs?: number;
  queuedMs?: number;
  connectMs?: number;
  firstByteMs?: number;
  durationMs?: number;
  ending?: Ending;
  detail?: string;
  /** Of what came from the client, what was for us: its PROXY protocol header. */
  headerBytes = 0;
  /** How long it had waited to be accepted, as far as that was asked. */
  waitedMs = 0;
  /** What its listener may take in a time, and whose share of that this one is; its peer's where absent. */
  rates: Rates | undefined;
  source: string | undefined;
  /** By which it is held back, where there is a bandwidth limit. */
  throttles: Throttles | undefined;
  /** The socket towards the endpoint, once there is one. */
  relayedTo: Connection | undefined;
  /** The name that the client asked for by TLS. */
  serverName: string | undefined;
  /** Its place in its service, once it has one, which it leaves when it has ended. */
  place: { leave(): void } | undefined;
  /** Who the two sides have proven to be, to be looked at again when fewer are trusted. */
  clientCredential: PeerCredential | undefined;
  serverCredential: PeerCredential | undefined;
  /** Why we ended it ourselves, where we did. */
  cutBy: Ending | undefined;
  #step: Canceller | undefined;

  constructor(id: string, listener: string, downstream: Connection, tally: Tally, clock: Clock) {
    this.id = id;
    this.listener = listener;
    this.downstream = downstream;
    this.tally = tally;
    this.openedAt = clock.wall();
    this.startedAt = clock.now();
    this.peer = nameOf(downstream);
    this.client = this.peer;
  }

  get bytesReceived(): number {
    return this.downstream.bytesRead - this.headerBytes;
  }

  get heldBackMs(): number | undefined {
    return this.throttles && this.throttles.received.heldMs + this.throttles.sent.heldMs;
  }

  get bytesSent(): number {
    return this.relayedTo?.bytesRead ?? 0;
  }

  /** A controller for a step that can be cut short; it replaces the one of the step before. */
  cancellable(): Canceller {
    this.#step = new Canceller();
    if (this.cutBy !== undefined) this.#step.abort();
    return this.#step;
  }

  /** From here on it can only be cut by its sockets. */
  relaying(upstream: Connection): void {
    this.relayedTo = upstream;
    this.phase = 'relaying';
    this.#step = undefined;
  }

  /** The endpoint broke before anything had been exchanged with it: the connection is where it was before the last attempt. */
  brokeOff(error: string): void {
    const last = this.attempts.pop();
    if (last !== undefined) this.attempts.push({ ...last, error });
    this.relayedTo = undefined;
    this.phase = 'connecting';
    delete this.endpoint;
    delete this.upstream;
    delete this.connectMs;
  }

  /** Ends it now, with a reset to both sides. The first reason given stays. */
  cut(ending: Ending, detail?: string): void {
    if (this.cutBy !== undefined) return;
    this.cutBy = ending;
    if (detail !== undefined) this.detail = detail;
    this.#step?.abort();
    this.downstream.reset();
  }
}

/** Ends a connection where one of its sides is trusted no more; whether it was. */
export function distrust(live: LiveConnection, trust: Trust): boolean {
  const client = live.clientCredential && trust.refusal(live.clientCredential);
  if (client !== undefined) live.cut('client-distrusted', client);
  const server = live.serverCredential && trust.refusal(live.serverCredential);
  if (server !== undefined) live.cut('upstream-distrusted', server);
  return (client ?? server) !== undefined;
}

/** A client that is gone by the time it is accepted has no address any more; one on a unix socket never had. */
function nameOf(connection: Connection): string {
  const { remote } = connection;
  if (remote !== undefined) return formatAddress(remote);
  return connection.local?.kind === 'unix' ? 'unix' : 'unknown';
}

export class LiveConnections {
  readonly #clock: Clock;
  readonly #connections = new LinkedSet<LiveConnection>();
  /** Tells the connections of this process from those of the one before it, and of its neighbours. */
  readonly #prefix = randomBytes(4).toString('hex');
  #opened = 0;
  #whenEmpty: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Oldest first. */
  [Symbol.iterator](): Iterator<LiveConnection> {
    return this.#connections[Symbol.iterator]();
  }

  open(listener: string, downstream: Connection, tally: Tally): LiveConnection {
    this.#opened += 1;
    const id = `${this.#prefix}-${this.#opened.toString(36)}`;
    const live = new LiveConnection(id, listener, downstream, tally, this.#clock);
    this.#connections.add(live);
    return live;
  }

  ended(live: LiveConnection): void {
    this.#connections.delete(live);
    if (this.#connections.size > 0) return;
    for (const done of this.#whenEmpty.splice(0)) done();
  }

  /** Resolves once none is left. */
  empty(): Promise<void> {
    return this.#connections.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#whenEmpty.push(resolve));
  }

  /** Ends those that one side of is trusted no more. */
  distrust(trust: Trust): void {
    for (const live of this.#connections) distrust(live, trust);
  }

  cutAll(ending: Ending): void {
    for (const live of this.#connections) live.cut(ending);
  }
}
