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
  ended(how: 'served' | 'reset', now: number): void;
}

export interface PickContext {
  readonly tried: ReadonlySet<Chosen>;
  readonly now: number;
}

/** The balancing of one proxy, which knows nothing of what others have learnt. */
export interface Balancing {
  /** Endpoints that are tried for one connection. */
  readonly attempts: number;
  place(endpoints: readonly Endpoint[], now: number): void;
  pick(context: PickContext): Pick | undefined;
}

/** @param settings of a service, as a configuration has them */
export type NewBalancing = (settings: object, random: () => number) => Balancing;

/** The parts of the built program. */
export interface Built<Settings extends { readonly connectAttempts: number }, Placed, Cells> {
  parseConfig(input: object): { readonly services: Readonly<Record<string, Settings>> };
  EndpointSlots: new (
    threads: number,
  ) => { readonly placed: Placed; readonly cells: Cells; place(endpoints: readonly Endpoint[], now: number): unknown };
  Service: new (
    service: { readonly name: string; readonly settings: Settings; readonly endpoints: Placed; readonly cells: Cells },
    around: { readonly thread: number; readonly zone: undefined; readonly random: () => number },
  ) => {
    readonly picker: { pick(context: PickContext): Pick | undefined };
    update(endpoints: Placed, cells: Cells): void;
  };
}

const NAME = 'simulated';
const MODULES = ['config/load', 'balancer/slots', 'l4/service'];

export function balancingOf<Settings extends { readonly connectAttempts: number }, Placed, Cells>(
  built: Built<Settings, Placed, Cells>,
): NewBalancing {
  return (input, random) => {
    const { services } = built.parseConfig({
      listeners: { [NAME]: { address: '127.0.0.1:0' } },
      services: { [NAME]: { upstreams: ['127.0.0.1:1'], ...input } },
    });
    const settings = services[NAME];
    if (settings === undefined) throw new Error('the configuration has lost its service');
    const slots = new built.EndpointSlots(1);
    const placed = () => ({ name: NAME, settings, endpoints: slots.placed, cells: slots.cells });
    const service = new built.Service(placed(), { thread: 0, zone: undefined, random });
    return {
      attempts: settings.connectAttempts,
      place: (endpoints, now) => {
        slots.place(endpoints, now);
        service.update(slots.placed, slots.cells);
      },
      pick: (context) => service.picker.pick(context),
    };
  };
}

/** Of the program as built. */
export async function loadBalancing(): Promise<NewBalancing> {
  const loaded = await Promise.all(MODULES.map((name) => import(join(paths.root, 'dist', `${name}.js`))));
  return balancingOf(Object.assign({}, ...loaded));
}
