/** A data plane on real sockets and a clock that stands still, with all that it tells recorded. */
import type { Endpoint } from '../../src/balancer/picker.js';
import { EndpointSlots } from '../../src/balancer/slots.js';
import { parseConfig } from '../../src/config/load.js';
import type { ConfigInput } from '../../src/config/schema.js';
import { type Address, formatAddress, type SocketAddress } from '../../src/core/address.js';
import { MeshproxyError } from '../../src/core/errors.js';
import { newBreakerCells } from '../../src/l4/circuit-breaker.js';
import { DataPlane, type DataPlaneLimits, type Route } from '../../src/l4/data-plane.js';
import { LiveConnections } from '../../src/l4/live.js';
import { Service } from '../../src/l4/service.js';
import { streamsTransport } from '../../src/l4/streams/transport.js';
import { Tally } from '../../src/l4/tally.js';
import type { Connection, Transport } from '../../src/l4/transport.js';
import type { Attempt, ConnectionRecord, Observer, Refusal } from '../../src/telemetry/record.js';
import { VirtualClock } from './clock.js';

type ListenerInput = Partial<NonNullable<ConfigInput['listeners']>[string]>;
type ServiceInput = Partial<NonNullable<ConfigInput['services']>[string]>;

export interface TestPlaneOptions {
  readonly listener?: ListenerInput;
  readonly service?: ServiceInput;
  /** In place of the real transport's `dial`. */
  readonly dial?: Transport['dial'];
  /** In place of what the system says of how long connections have waited to be accepted. */
  backlogMs?(): number;
}

export class TestPlane implements Observer {
  readonly clock = new VirtualClock();
  readonly live = new LiveConnections(this.clock);
  readonly records: ConnectionRecord[] = [];
  readonly refusals: Refusal[] = [];
  readonly attempts: Attempt[] = [];
  readonly bugs: unknown[] = [];
  /** Connections that there are descriptors for. */
  allowed = Number.POSITIVE_INFINITY;
  readonly plane: DataPlane;
  readonly #waiting = new Set<() => void>();
  #routes: readonly Route[] = [];
  #update: (endpoints: readonly Endpoint[]) => void = () => {};
  #limits: DataPlaneLimits = {
    maxConnections: undefined,
    maxMemory: Number.POSITIVE_INFINITY,
    shedTarget: 0,
    sockets: { keepaliveMs: 60_000, bufferSize: 65_536 },
  };

  /** Listens on a free port of loopback in front of `upstreams`. */
  static async start(upstreams: readonly SocketAddress[], options: TestPlaneOptions = {}): Promise<TestPlane> {
    const config = parseConfig({
      listeners: { web: { address: '127.0.0.1:0', ...options.listener } },
      // Whose turn it is can be told.
      services: { web: { upstreams: ['127.0.0.1:1'], balance: 'round-robin', ...options.service } },
    });
    const test = new TestPlane(options);
    const settings = config.services['web'];
    const listener = config.listeners['web'];
    if (!settings || !listener) throw new Error('unreachable: both were just written');
    const slots = new EndpointSlots(1);
    const endpoints = slots.place(toEndpoints(upstreams), 0);
    const placed = { name: 'web', settings, endpoints, cells: slots.cells, breaker: newBreakerCells(1), tables: [] };
    const service = new Service(placed, { thread: 0, zone: undefined, clock: test.clock });
    test.#routes = [{ name: 'web', settings: listener, service }];
    test.#update = (endpoints) =>
      service.update({ endpoints: slots.place(endpoints, 0), cells: slots.cells, tables: [] });
    await test.limit(test.#limits);
    return test;
  }

  /** Other endpoints for connections from now on. */
  update(upstreams: readonly SocketAddress[]): void {
    this.#update(toEndpoints(upstreams));
  }

  /** Puts other limits in force. */
  async limit(limits: Partial<DataPlaneLimits>): Promise<void> {
    this.#limits = { ...this.#limits, ...limits };
    const listeners = await this.plane.prepare(this.#routes, this.#limits);
    await listeners.commit();
  }

  constructor(options: TestPlaneOptions) {
    this.plane = new DataPlane({
      clock: this.clock,
      transport: transportOf(options),
      live: this.live,
      observer: this,
      tally: new Tally(),
      allowed: () => this.allowed,
      limits: this.#limits,
      onPause: () => {},
      onBug: (error) => this.bugs.push(error),
    });
  }

  get address(): Address {
    const [listener] = this.plane.listeners();
    if (!listener) throw new Error('the plane has no listener');
    return listener.address;
  }

  opened(): void {
    this.#told();
  }

  ended(record: ConnectionRecord): void {
    // A copy: what the record reads off its sockets is on its prototype, where no matcher looks.
    this.records.push({ ...record, bytesReceived: record.bytesReceived, bytesSent: record.bytesSent });
    this.#told();
  }

  refused(_listener: string, reason: Refusal): void {
    this.refusals.push(reason);
    this.#told();
  }

  attempted(_service: string, attempt: Attempt): void {
    this.attempts.push(attempt);
    this.#told();
  }

  /** Resolves when `condition` holds, which is looked at whenever something is told, and between turns of the loop. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
        setImmediate(resolve);
      });
    }
  }

  async record(): Promise<ConnectionRecord> {
    await this.until(() => this.records.length > 0);
    const record = this.records.shift();
    if (!record) throw new Error('unreachable: waited for it');
    return record;
  }

  async close(): Promise<void> {
    let drained = false;
    void this.plane.drain(0).then(() => {
      drained = true;
    });
    await this.until(() => {
      this.clock.advance(1);
      return drained;
    });
  }

  #told(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

function transportOf({ dial = streamsTransport.dial, backlogMs: get }: TestPlaneOptions): Transport {
  const listen: Transport['listen'] = (address, sockets, accept, exhausted) => {
    const late = get && ((connection: Connection) => accept(Object.defineProperty(connection, 'backlogMs', { get })));
    return streamsTransport.listen(address, sockets, late ?? accept, exhausted);
  };
  return { ...streamsTransport, dial, listen };
}

function toEndpoints(upstreams: readonly SocketAddress[]): Endpoint[] {
  return upstreams.map((address) => ({ id: formatAddress(address), addresses: [address] }));
}

/** An endpoint that is never heard of: the dial ends only by being given up. */
export const silent: Transport['dial'] = (address, _options, signal) =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () =>
      reject(new MeshproxyError('aborted', `${formatAddress(address)}: given up`)),
    );
  });
