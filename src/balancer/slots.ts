/**
 * Which endpoint has which slot: an instance keeps its statistics as long as it is known by the same id, also when it
 * is gone for a moment. Main's alone; the other threads are told the slots with the endpoints.
 */
import type { Endpoint } from './picker.js';
import { isSame } from './same-endpoint.js';
import { newServiceCells, type ServiceCells, ServiceStats, withRoomFor } from './service-stats.js';

export interface PlacedEndpoint extends Endpoint {
  readonly slot: number;
}

/** The slot of an endpoint that is gone is not given to another for so long, ms: threads may still have it in a picker. */
const QUARANTINE_MS = 30_000;

export class EndpointSlots {
  readonly #threads: number;
  #cells: ServiceCells = newServiceCells();
  readonly #stats: ServiceStats;
  readonly #slots = new Map<string, number>();
  /** Ids that are gone, in the order in which they went, and when. */
  readonly #gone = new Map<string, number>();
  #placed: readonly PlacedEndpoint[] = [];
  #next = 0;

  constructor(threads: number) {
    this.#threads = threads;
    this.#stats = new ServiceStats(this.#cells, 0);
  }

  get cells(): ServiceCells {
    return this.#cells;
  }

  /** Main's own view; it counts nothing as outstanding. */
  get stats(): ServiceStats {
    return this.#stats;
  }

  get placed(): readonly PlacedEndpoint[] {
    return this.#placed;
  }

  /** An endpoint that has not changed is the same object as before. */
  place(endpoints: readonly Endpoint[], now: number): readonly PlacedEndpoint[] {
    const isFirst = this.#placed.length === 0;
    const ids = new Set(endpoints.map(({ id }) => id));
    const before: PlacedEndpoint[] = [];
    for (const endpoint of this.#placed) {
      before[endpoint.slot] = endpoint;
      if (ids.has(endpoint.id)) continue;
      this.#gone.set(endpoint.id, now);
      this.#stats.slot(endpoint.slot).isPlaced = false;
    }
    const free = this.#freeSlots(ids, now);
    this.#placed = endpoints.map((endpoint) => {
      this.#gone.delete(endpoint.id);
      const slot = this.#slots.get(endpoint.id) ?? this.#assign(endpoint.id, free, isFirst ? 0 : now);
      const known = before[slot];
      // The same object for one that has not changed: so it is told what has.
      return known !== undefined && isSame(known, endpoint) ? known : { ...endpoint, slot };
    });
    let ejected = 0;
    for (const { slot } of this.#placed) {
      const stats = this.#stats.slot(slot);
      stats.isPlaced = true;
      if (stats.ejectedFor !== 0) ejected += 1;
    }
    this.#stats.setSize(this.#placed.length, ejected);
    return this.#placed;
  }

  /** A thread has died: its connections are outstanding no more. */
  forgetThread(thread: number): void {
    new ServiceStats(this.#cells, thread).forget();
  }

  #assign(id: string, free: number[], startedAt: number): number {
    const slot = free.pop() ?? this.#next;
    if (slot === this.#next) this.#next += 1;
    this.#cells = withRoomFor(this.#next, this.#cells, this.#threads);
    this.#stats.grow(this.#cells);
    this.#slots.set(id, slot);
    const stats = this.#stats.slot(slot);
    stats.clear();
    stats.startedAt = startedAt;
    return slot;
  }

  /** Those of endpoints that have been gone for long, and to which no connection is left. */
  #freeSlots(wanted: ReadonlySet<string>, now: number): number[] {
    const free: number[] = [];
    for (const [id, since] of this.#gone) {
      if (now - since < QUARANTINE_MS) break;
      const slot = this.#slots.get(id);
      if (slot === undefined || wanted.has(id) || this.#stats.slot(slot).outstanding > 0) continue;
      this.#gone.delete(id);
      this.#slots.delete(id);
      free.push(slot);
    }
    return free;
  }
}
