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
  /** The next for a connection that has tried these; `undefined` where there is none, or no more may be tried. */
  pick(tried: ReadonlySet<Chosen>): Pick | undefined;
}

/** @param settings of a service, as a configuration has them */
export type NewBalancing = (settings: object, random: () => number, clock: Clock) => Balancing;

interface RetrySettings {
  readonly connectAttempts: number;
  /** Per cent. */
  readonly retryBudget: number | 'off';
  readonly retryMinRate: number;
}

/** The parts of the built program. */
export interface Built<Settings extends RetrySettings, Placed, Cells, Breaker> {
  parseConfig(input: object): { readonly services: Readonly<Record<string, Settings>> };
  EndpointSlots: new (
    threads: number,
  ) => { readonly placed: Placed; readonly cells: Cells; place(endpoints: readonly Endpoint[], now: number): unknown };
  newBreakerCells(threads: number): Breaker;
  Service: new (
    service: {
      readonly name: string;
      readonly settings: Settings;
      readonly endpoints: Placed;
      readonly cells: Cells;
      readonly breaker: Breaker;
    },
    around: {
      readonly thread: number;
      readonly zone: undefined;
      readonly random: () => number;
      readonly clock: Clock;
    },
  ) => {
    readonly picker: { pick(context: { tried: ReadonlySet<Chosen>; now: number }): Pick | undefined };
    readonly retryBudget: {
      connection(now: number): void;
      retry(settings: { share: number; minPerSecond: number }, now: number): boolean;
    };
    update(endpoints: Placed, cells: Cells): void;
  };
  Unanswered: new (clock: Clock) => WaitingList;
}

const NAME = 'simulated';
const MODULES = ['config/load', 'balancer/slots', 'l4/service', 'l4/unanswered', 'l4/circuit-breaker'];

export function balancingOf<Settings extends RetrySettings, Placed, Cells, Breaker>(
  built: Built<Settings, Placed, Cells, Breaker>,
): NewBalancing {
  return (input, random, clock) => {
    const { services } = built.parseConfig({
      listeners: { [NAME]: { address: '127.0.0.1:0' } },
      services: { [NAME]: { upstreams: ['127.0.0.1:1'], ...input } },
    });
    const settings = services[NAME];
    if (settings === undefined) throw new Error('the configuration has lost its service');
    const slots = new built.EndpointSlots(1);
    const service = new built.Service(
      { name: NAME, settings, endpoints: slots.placed, cells: slots.cells, breaker: built.newBreakerCells(1) },
      { thread: 0, zone: undefined, random, clock },
    );
    const { connectAttempts, retryBudget, retryMinRate: minPerSecond } = settings;
    const mayRetry = (now: number): boolean =>
      retryBudget === 'off' || service.retryBudget.retry({ share: retryBudget / 100, minPerSecond }, now);
    return {
      waiting: new built.Unanswered(clock),
      place: (endpoints) => {
        slots.place(endpoints, clock.now());
        service.update(slots.placed, slots.cells);
      },
      // As `src/l4/connect.ts` does it, but that it waits before later attempts.
      pick: (tried) => {
        const now = clock.now();
        if (tried.size === 0) service.retryBudget.connection(now);
        else if (tried.size >= connectAttempts || !mayRetry(now)) return undefined;
        return service.picker.pick({ tried, now });
      },
    };
  };
}

/** Of the program as built. */
export async function loadBalancing(): Promise<NewBalancing> {
  const loaded = await Promise.all(MODULES.map((name) => import(join(paths.root, 'dist', `${name}.js`))));
  return balancingOf(Object.assign({}, ...loaded));
}
