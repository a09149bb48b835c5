/** Services of made-up endpoints, and a clock that is a number. */
import { createPicker } from '../../src/balancer/create-picker.js';
import { type Balance, createStrategy, isHashing } from '../../src/balancer/create-strategy.js';
import { Ejector } from '../../src/balancer/ejection.js';
import type { KeySource } from '../../src/balancer/hash-key.js';
import { type BuiltTables, buildTables, type TableData } from '../../src/balancer/hash-tables.js';
import { type Instance, PlacedInstance, weightOf } from '../../src/balancer/instance.js';
import type { Endpoint, Pick, Picker } from '../../src/balancer/picker.js';
import { ServiceStats } from '../../src/balancer/service-stats.js';
import { EndpointSlots } from '../../src/balancer/slots.js';
import type { HashKey } from '../../src/core/hash-key.js';

/** Mulberry32: the same every time. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function endpoint(id: string, more: Partial<Endpoint> = {}): Endpoint {
  return { id, addresses: [{ kind: 'ip', host: '127.0.0.1', port: 1 }], ...more };
}

export function endpoints(count: number): Endpoint[] {
  return Array.from({ length: count }, (_, index) => endpoint(`e${index}`));
}

export interface WorldOptions {
  readonly balance?: Balance;
  readonly slowStart?: number;
  readonly zone?: string;
  readonly panicThreshold?: number;
  readonly ejectAfter?: number;
  readonly ejectMaxShare?: number;
  readonly seed?: number;
  readonly hashKey?: HashKey;
  readonly hashBalanceFactor?: number;
}

/** A service as one thread of several sees it. */
export class BalancerWorld {
  now = 1000;
  readonly slots = new EndpointSlots(2);
  readonly stats = new ServiceStats(this.slots.cells, 0);
  readonly ejector: Ejector;
  readonly #options: WorldOptions;
  readonly #dice: () => number;
  #built: BuiltTables | undefined;
  instances: readonly Instance[] = [];
  picker: Picker;

  constructor(all: readonly Endpoint[], options: WorldOptions = {}) {
    this.#options = options;
    this.#dice = seeded(options.seed ?? 1);
    const { ejectAfter = 5, ejectMaxShare = 0.5 } = options;
    const settings = { after: ejectAfter, baseMs: 30_000, maxMs: 300_000, maxShare: ejectMaxShare };
    this.ejector = new Ejector(this.stats, settings, 10_000);
    this.picker = this.update(all);
  }

  update(all: readonly Endpoint[]): Picker {
    const { balance = 'ewma', slowStart = 0, zone, panicThreshold = 0.5, hashBalanceFactor = 0 } = this.#options;
    const { hashKey = { kind: 'source-ip' } } = this.#options;
    const placed = this.slots.place(all, this.now);
    this.stats.grow(this.slots.cells);
    this.instances = placed
      .filter((one) => weightOf(one) > 0)
      .map((one) => new PlacedInstance(one, this.stats.placeOf(one.slot)));
    this.picker = createPicker(this.instances, {
      strategy: createStrategy(
        { balance, ewmaDecay: 10_000, ewmaInitial: 30, slowStart, hashKey, hashBalanceFactor },
        {
          rotation: this.stats,
          dice: this.#dice,
          instances: this.instances,
          tables: this.#tablesOf(placed),
          zone,
          outstanding: () => this.instances.reduce((sum, { stats }) => sum + stats.outstanding, 0),
        },
      ),
      random: this.#dice,
      zone,
      panicThreshold,
      version: () => this.stats.version,
      watch: this.ejector,
    });
    return this.picker;
  }

  #tablesOf(all: readonly Endpoint[]): readonly TableData[] {
    const { balance = 'ewma', zone } = this.#options;
    if (!isHashing(balance)) return [];
    this.#built = buildTables(balance, all, zone, this.#built);
    return this.#built.tables;
  }

  /** @param client an IP address */
  pick(tried: ReadonlySet<Endpoint> = new Set(), client?: string): Pick | undefined {
    const source = (): KeySource => (client === undefined ? {} : { client: { kind: 'ip', host: client, port: 1 } });
    return this.picker.pick({ tried, now: this.now, source });
  }

  /** For each of so many clients the endpoint that it is sent to, all of them one after the other. */
  owners(clients: number): string[] {
    return Array.from({ length: clients }, (_, client) => {
      const pick = this.pick(new Set(), `10.${client >> 16}.${(client >> 8) & 255}.${client & 255}`);
      pick?.abandoned();
      return pick?.endpoint.id ?? 'none';
    });
  }

  /** Picks and ends at once; how often each was picked. */
  shares(picks: number): Map<string, number> {
    const counts = new Map(this.instances.map(({ endpoint: { id } }) => [id, 0]));
    for (let times = 0; times < picks; times += 1) {
      const pick = this.pick();
      if (pick === undefined) continue;
      counts.set(pick.endpoint.id, (counts.get(pick.endpoint.id) ?? 0) + 1);
      pick.abandoned();
    }
    return counts;
  }

  instance(id: string): Instance {
    const found = this.instances.find(({ endpoint: one }) => one.id === id);
    if (found === undefined) throw new Error(`there is no ${id}`);
    return found;
  }

  /** An attempt at it fails. */
  fail(id: string, how: 'connect' | 'reset' = 'connect'): void {
    this.ejector.failed(this.instance(id), how, false, this.now);
  }
}
