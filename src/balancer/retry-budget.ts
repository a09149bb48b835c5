/**
 * How many second attempts a service may have: a share of its connections, so that a service in trouble is not also
 * hit by as many retries (Finagle's retry budget, which linkerd2 and Envoy have as well). All threads count together.
 */

export interface RetryBudgetSettings {
  /** Retries for each connection, 0 to 1 and above. */
  readonly share: number;
  /** So many a second are allowed in any case, for services with few connections. */
  readonly minPerSecond: number;
}

/** What counts is the last ten seconds, as in linkerd2, in parts of one: a failure of a second ago matters, one of a minute ago does not. */
const PARTS = 10;
const PART_MS = 1000;

/** Of each part: which second it stands for, connections, retries. */
const WORDS = 3;
export const RETRY_BUDGET_WORDS = PARTS * WORDS;

export class RetryBudget {
  readonly #cells: Int32Array;

  /** @param cells `RETRY_BUDGET_WORDS` of them, which all threads see */
  constructor(cells: Int32Array) {
    this.#cells = cells;
  }

  /** Counts a connection that is about to be made. */
  connection(now: number): void {
    Atomics.add(this.#cells, this.#part(now) + 1, 1);
  }

  /** Counts a retry in, or tells that there may be no more for now. */
  retry({ share, minPerSecond }: RetryBudgetSettings, now: number): boolean {
    const mine = this.#part(now) + 2;
    // Counted before it is looked at: two threads that compete for the last one are not both let in.
    Atomics.add(this.#cells, mine, 1);
    const { connections, retries } = this.#sums(now);
    if (retries <= allowed(share * connections, minPerSecond)) return true;
    Atomics.sub(this.#cells, mine, 1);
    return false;
  }

  /** Retries of the last ten seconds, and how many of them there may be. */
  use({ share, minPerSecond }: RetryBudgetSettings, now: number): { readonly spent: number; readonly allowed: number } {
    const { connections, retries } = this.#sums(now);
    // As whole retries: those are counted against it.
    return { spent: retries, allowed: Math.floor(allowed(share * connections, minPerSecond)) };
  }

  #sums(now: number): { connections: number; retries: number } {
    const second = secondOf(now);
    let connections = 0;
    let retries = 0;
    for (let at = 0; at < RETRY_BUDGET_WORDS; at += WORDS) {
      const age = (second - Atomics.load(this.#cells, at)) | 0;
      if (age < 0 || age >= PARTS) continue;
      connections += Atomics.load(this.#cells, at + 1);
      retries += Atomics.load(this.#cells, at + 2);
    }
    return { connections, retries };
  }

  /** Where the part of this second is; the first that comes in it clears what was there ten seconds ago. */
  #part(now: number): number {
    const second = secondOf(now);
    const at = (second % PARTS) * WORDS;
    const before = Atomics.load(this.#cells, at);
    // One thread of several clears; what another has counted meanwhile, a connection or two, is lost.
    if (before !== second && Atomics.compareExchange(this.#cells, at, before, second) === before) {
      Atomics.store(this.#cells, at + 1, 0);
      Atomics.store(this.#cells, at + 2, 0);
    }
    return at;
  }
}

function allowed(shared: number, minPerSecond: number): number {
  return Math.max(shared, (minPerSecond * (PARTS * PART_MS)) / 1000);
}

/** From 1, so that no second is that of a part that was never used; 31 bits of seconds are 68 years. */
function secondOf(now: number): number {
  return Math.floor(now / PART_MS) + 1;
}
