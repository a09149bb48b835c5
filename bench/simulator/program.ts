/**
 * What the simulator drives of the built program: a service as the data plane has it, with the real pickers, statistics
 * and ejection, and with the settings that the program would have. Said here is as much of it as is used; that it is so,
 * the compiler checks in test/bench/.
 */
import { join } from 'node:path';
import { paths } from '../paths.js';

export interface Endpoint {
  readonly id: string;
  readonly addresses: readonly { readonly kind: 'ip'; readonly host: string; readonly port: number }[];
}

export type Chosen = Pick['endpoint'];

export interface Pick {
  readonly endpoint: { readonly id: string };
  connected(connectMs: number, now: number): void;
  failed(how: 'connect', afterMs: number, now: number): void;
  answered(afterMs: number, now: number): void;
  unanswered(sinceMs: number, now: number): void;
  ended(how: 'served' | 'reset', now: number): void;
}

/** A client that has asked, until it is answered or gives up. */
export interface Waiting {
  stillWaits(now: number): void;
}

export interface WaitingList {
  add(waiting: Waiting): void;
  delete(waiting: Waiting): void;
}

export interface Clock {
  now(): number;
  wall(): number;
  after(delayMs: number, action: () => void): { cancel(): void };
}

/** The balancing of one proxy, which knows nothing of what others have learnt. */
export interface Balancing {
  readonly waiting: WaitingList;
  place(endpoints: readonly Endpoint[]): void;
  /** One more connection, and one less. */
  enter(): void;
  leave(): void;
  /** The next for a connection of `client` that has tried these; `undefined` where there is none, or no more may be tried. */
  pick(tried: ReadonlySet<Chosen>, client: Client): Pick | undefined;
}

/** An address. */
export type Client = Endpoint['addresses'][number];

/** @param settings of a service, as a configuration has them */
export type NewBalancing = (settings: object, random: () => number, clock: Clock) => Balancing;

interface RetrySettings {
  readonly connectAttempts: number;
  /** Per cent. */
  readonly retryBudget: number | 'off';
  readonly retryMinRate: number;
}

/** The parts of the built program. */
export interface Built<Settings extends RetrySettings, Placed, Bounds> {
  parseConfig(input: object): { readonly services: Readonly<Record<string, Settings>> };
  PlacedServices: new (
    threads: number,
    clock: Clock,
  ) => {
    prepare(
      services: readonly { readonly name: string; readonly settings: Settings; readonly endpoints: [] }[],
      zone: undefined,
    ): { readonly all: readonly Placed[]; commit(): void };
    update(name: string, endpoints: readonly Endpoint[]): Placed | undefined;
  };
  Service: new (
    service: Placed,
    around: {
      readonly thread: number;
      readonly zone: undefined;
      readonly random: () => number;
      readonly clock: Clock;
    },
  ) => {
    readonly picker: {
      pick(context: { tried: ReadonlySet<Chosen>; now: number; source?: () => object }): Pick | undefined;
    };
    readonly bounds: Bounds;
    readonly breaker: { tryEnter(bounds: Bounds): boolean; leave(): void };
    readonly retryBudget: {
      connection(now: number): void;
      retry(settings: { share: number; minPerSecond: number }, now: number): boolean;
    };
    update(service: Placed): void;
  };
  Unanswered: new (clock: Clock) => WaitingList;
}

const NAME = 'simulated';
const MODULES = ['config/load', 'workers/placed-services', 'l4/service', 'l4/unanswered'];

export function balancingOf<Settings extends RetrySettings, Placed, Bounds>(
  built: Built<Settings, Placed, Bounds>,
): NewBalancing {
  return (input, random, clock) => {
    const { services } = built.parseConfig({
      listeners: { [NAME]: { address: '127.0.0.1:0' } },
      services: { [NAME]: { upstreams: ['127.0.0.1:1'], ...input } },
    });
    const settings = services[NAME];
    if (settings === undefined) throw new Error('the configuration has lost its service');
    const all = new built.PlacedServices(1, clock);
    const prepared = all.prepare([{ name: NAME, settings, endpoints: [] }], undefined);
    prepared.commit();
    const [first] = prepared.all;
    if (first === undefined) throw new Error('the service has lost its place');
    const service = new built.Service(first, { thread: 0, zone: undefined, random, clock });
    const { connectAttempts, retryBudget, retryMinRate: minPerSecond } = settings;
    const mayRetry = (now: number): boolean =>
      retryBudget === 'off' || service.retryBudget.retry({ share: retryBudget / 100, minPerSecond }, now);
    return {
      waiting: new built.Unanswered(clock),
      place: (endpoints) => {
        const placed = all.update(NAME, endpoints);
        if (placed !== undefined) service.update(placed);
      },
      enter: () => void service.breaker.tryEnter(service.bounds),
      leave: () => service.breaker.leave(),
      // As `src/l4/connect.ts` does it, but that it waits before later attempts.
      pick: (tried, client) => {
        const now = clock.now();
        if (tried.size === 0) service.retryBudget.connection(now);
        else if (tried.size >= connectAttempts || !mayRetry(now)) return undefined;
        return service.picker.pick({ tried, now, source: () => ({ client }) });
      },
    };
  };
}

/** Of the program as built. */
export async function loadBalancing(): Promise<NewBalancing> {
  const loaded = await Promise.all(MODULES.map((name) => import(join(paths.root, 'build', `${name}.js`))));
  return balancingOf(Object.assign({}, ...loaded));
}
