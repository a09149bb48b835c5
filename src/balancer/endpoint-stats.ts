/**
 * What is known of an endpoint's behaviour: in memory that all threads see, so that each of them picks by what all have
 * learnt. Counts are kept with atomic operations; latencies are written plainly, where a race loses one sample of many.
 */

/**
 * Memory for the endpoints of a service comes in blocks: two of 16 slots, 2 KB each, and then each as large as all before
 * it. So a service with few endpoints has little of it, and one with a hundred thousand a dozen blocks, whose views stay
 * in the processor's cache.
 */
const FIRST_SLOTS = 16;

export function slotsOf(block: number): number {
  return block === 0 ? FIRST_SLOTS : FIRST_SLOTS << (block - 1);
}

/** Which block a slot is in. */
export function blockOf(slot: number): number {
  return slot < FIRST_SLOTS ? 0 : 32 - Math.clz32(Math.floor(slot / FIRST_SLOTS));
}

/** The first slot of a block. */
export function firstOf(block: number): number {
  return block === 0 ? 0 : slotsOf(block);
}

/** Two cache lines: the first changes with each connection, the second, which each pick reads, seldom does. */
const SLOT_BYTES = 128;
const FLOATS_PER_SLOT = SLOT_BYTES / Float64Array.BYTES_PER_ELEMENT;
const INTS_PER_SLOT = SLOT_BYTES / Int32Array.BYTES_PER_ELEMENT;

/** By so much the running median goes up or down with each sample (the Frugal-1U estimator, in steps of a ratio). */
const MEDIAN_STEP = 1.1;

/** Of what is known of how often an endpoint fails, one more connection is so much. */
const ONE_MORE = 0.1;

/** Places of the 64-bit floats of a slot: latencies in ms and when they were learnt; moments in ms of the monotonic clock. */
const FLOAT = {
  connect: 0,
  connectAt: 1,
  answer: 2,
  answerAt: 3,
  /** 4 is where the integer `outstanding` lies. */
  failing: 5,
  failingAt: 6,
  typicalConnect: 7,
  ejectedUntil: 8,
  returnedAt: 9,
  startedAt: 10,
} as const;
/** Places of its 32-bit integers. */
const INT = {
  outstanding: 8,
  failures: 24,
  resets: 25,
  ejected: 26,
  timesEjected: 27,
  unhealthy: 28,
  probes: 29,
  connects: 30,
  placed: 31,
} as const;

export function newBlock(block: number, threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer(slotsOf(block) * (SLOT_BYTES + threads * Int32Array.BYTES_PER_ELEMENT));
}

/** A thread's view of a block. */
export class StatsBlock {
  readonly floats: Float64Array;
  readonly ints: Int32Array;
  /** Where the thread counts what is outstanding by itself, so that it can be taken back when the thread dies. */
  readonly #mine: number;

  readonly #slots: number;

  /** @param block its number */
  constructor(memory: SharedArrayBuffer, block: number, thread: number) {
    this.#slots = slotsOf(block);
    this.floats = new Float64Array(memory, 0, this.#slots * FLOATS_PER_SLOT);
    this.ints = new Int32Array(memory);
    this.#mine = this.#slots * (INTS_PER_SLOT + thread);
  }

  placeOf(index: number): StatsPlace {
    return { floats: this.floats, ints: this.ints, index, mine: this.#mine + index };
  }

  /** Takes back what the thread had counted. For when it has died. */
  forgetThread(): void {
    for (let index = 0; index < this.#slots; index += 1) {
      const theirs = Atomics.exchange(this.ints, this.#mine + index, 0);
      Atomics.sub(this.ints, index * INTS_PER_SLOT + INT.outstanding, theirs);
    }
  }
}

/** Where the statistics of one endpoint are. */
export interface StatsPlace {
  readonly floats: Float64Array;
  readonly ints: Int32Array;
  /** The slot, within its block. */
  readonly index: number;
  /** Where this thread counts by itself what is outstanding. */
  readonly mine: number;
}

export class EndpointStats {
  readonly #floats: Float64Array;
  readonly #ints: Int32Array;
  readonly #float: number;
  readonly #int: number;
  readonly #mine: number;

  constructor({ floats, ints, index, mine }: StatsPlace) {
    this.#floats = floats;
    this.#ints = ints;
    this.#float = index * FLOATS_PER_SLOT;
    this.#int = index * INTS_PER_SLOT;
    this.#mine = mine;
  }

  /** Connections that were picked for it and have not ended, over all threads. */
  get outstanding(): number {
    return Atomics.load(this.#ints, this.#int + INT.outstanding);
  }

  enter(): void {
    Atomics.add(this.#ints, this.#int + INT.outstanding, 1);
    this.#countMine(1);
  }

  leave(): void {
    Atomics.sub(this.#ints, this.#int + INT.outstanding, 1);
    this.#countMine(-1);
  }

  /** Whether it has ever been connected to. */
  get isMeasured(): boolean {
    return this.#at(FLOAT.connectAt) !== 0;
  }

  /** Expected until its first byte, ms, as of `now`: connecting and answering. Fades while nothing is learnt. */
  latency(now: number, decayMs: number): number {
    return (
      faded(this.#at(FLOAT.connect), now - this.#at(FLOAT.connectAt), decayMs) +
      faded(this.#at(FLOAT.answer), now - this.#at(FLOAT.answerAt), decayMs)
    );
  }

  /** How long connecting takes as a rule, ms: a running median, which a few that took long do not move far. */
  get typicalConnectMs(): number {
    return this.#at(FLOAT.typicalConnect);
  }

  /** How many connections that is known from. */
  get connects(): number {
    return this.#ints[this.#int + INT.connects] ?? 0;
  }

  forgetTypicalConnect(): void {
    this.#floats[this.#float + FLOAT.typicalConnect] = 0;
    this.#ints[this.#int + INT.connects] = 0;
  }

  observeConnect(sampleMs: number, now: number, decayMs: number): void {
    this.#observe(FLOAT.connect, FLOAT.connectAt, sampleMs, now, decayMs);
    const typical = this.#at(FLOAT.typicalConnect);
    const moved = sampleMs > typical ? typical * MEDIAN_STEP : typical / MEDIAN_STEP;
    this.#floats[this.#float + FLOAT.typicalConnect] = typical === 0 ? sampleMs : moved;
    this.#ints[this.#int + INT.connects] = this.connects + 1;
  }

  observeAnswer(sampleMs: number, now: number, decayMs: number): void {
    this.#observe(FLOAT.answer, FLOAT.answerAt, sampleMs, now, decayMs);
  }

  /** An answer takes so long at least, ms: raises what is expected of the next, and never lowers it. */
  expectAnswer(atLeastMs: number, now: number, decayMs: number): void {
    const expected = faded(this.#at(FLOAT.answer), now - this.#at(FLOAT.answerAt), decayMs);
    if (atLeastMs > expected) this.#observe(FLOAT.answer, FLOAT.answerAt, atLeastMs, now, decayMs);
  }

  /** Share of connections that it has refused or reset before its first byte, of late, 0 to 1. Fades while nothing is learnt. */
  failing(now: number, decayMs: number): number {
    return faded(this.#at(FLOAT.failing), now - this.#at(FLOAT.failingAt), decayMs);
  }

  observeFailing(failed: boolean, now: number, decayMs: number): void {
    const before = this.#at(FLOAT.failing);
    // Most never fail: of those there is nothing to write.
    if (before === 0 && !failed) return;
    const share = faded(before, now - this.#at(FLOAT.failingAt), decayMs);
    this.#floats[this.#float + FLOAT.failing] = share + ((failed ? 1 : 0) - share) * ONE_MORE;
    this.#floats[this.#float + FLOAT.failingAt] = now;
  }

  /** It is ejected until then, and after it until a connection has shown that it is back; 0 where it is not. */
  get ejectedUntil(): number {
    return this.#at(FLOAT.ejectedUntil);
  }

  set ejectedUntil(moment: number) {
    this.#floats[this.#float + FLOAT.ejectedUntil] = moment;
  }

  /** When it came to a service that was there before, or was let back in; 0 where it came with the service, and always was in. */
  get startedAt(): number {
    return this.#at(FLOAT.startedAt);
  }

  set startedAt(moment: number) {
    this.#floats[this.#float + FLOAT.startedAt] = moment;
  }

  /** Found so by a health check. */
  get isUnhealthy(): boolean {
    return Atomics.load(this.#ints, this.#int + INT.unhealthy) !== 0;
  }

  set isUnhealthy(yes: boolean) {
    Atomics.store(this.#ints, this.#int + INT.unhealthy, yes ? 1 : 0);
  }

  /** Whether it is one of the service's endpoints now: a connection may outlive that. */
  get isPlaced(): boolean {
    return Atomics.load(this.#ints, this.#int + INT.placed) !== 0;
  }

  set isPlaced(yes: boolean) {
    Atomics.store(this.#ints, this.#int + INT.placed, yes ? 1 : 0);
  }

  /** Attempts in a row that failed. */
  get failures(): number {
    return Atomics.load(this.#ints, this.#int + INT.failures);
  }

  /** When it was let back in; 0 where it never was out. */
  get returnedAt(): number {
    return this.#at(FLOAT.returnedAt);
  }

  set returnedAt(moment: number) {
    this.#floats[this.#float + FLOAT.returnedAt] = moment;
  }

  /** The last reason that it was ejected for; 0 where it is in. */
  get ejectedFor(): number {
    return Atomics.load(this.#ints, this.#int + INT.ejected);
  }

  /** Whether the caller is the one of all threads that ejects it (`reason` other than 0) or lets it back in (0). */
  turnEjected(from: number, reason: number): boolean {
    return Atomics.compareExchange(this.#ints, this.#int + INT.ejected, from, reason) === from;
  }

  /** How often it has been ejected, less what good behaviour since has made up for. */
  get timesEjected(): number {
    return Atomics.load(this.#ints, this.#int + INT.timesEjected);
  }

  set timesEjected(times: number) {
    Atomics.store(this.#ints, this.#int + INT.timesEjected, times);
  }

  /** Counts an attempt that failed; how many in a row those are now. */
  failed(): number {
    return Atomics.add(this.#ints, this.#int + INT.failures, 1) + 1;
  }

  /** Counts a connection that was reset before the first byte; how many in a row those are now. */
  wasReset(): number {
    return Atomics.add(this.#ints, this.#int + INT.resets, 1) + 1;
  }

  connected(): void {
    if (this.failures !== 0) Atomics.store(this.#ints, this.#int + INT.failures, 0);
  }

  answered(): void {
    if (Atomics.load(this.#ints, this.#int + INT.resets) !== 0) Atomics.store(this.#ints, this.#int + INT.resets, 0);
  }

  /** How often it was tried while it was half open. */
  get probes(): number {
    return Atomics.load(this.#ints, this.#int + INT.probes);
  }

  /** Whether the caller is the one of all threads that tries it for the next time after `probes`. */
  countProbe(probes: number): boolean {
    return Atomics.compareExchange(this.#ints, this.#int + INT.probes, probes, probes + 1) === probes;
  }

  /** As if nothing had ever been learnt: its slot is another endpoint's from now on. */
  clear(): void {
    this.#floats.fill(0, this.#float, this.#float + FLOATS_PER_SLOT);
    for (const place of Object.values(INT)) Atomics.store(this.#ints, this.#int + place, 0);
  }

  /** No other thread writes there, as long as this one lives. */
  #countMine(more: number): void {
    this.#ints[this.#mine] = (this.#ints[this.#mine] ?? 0) + more;
  }

  #at(place: number): number {
    return this.#floats[this.#float + place] ?? 0;
  }

  /** Peak EWMA (tower's `peak_ewma`, after Finagle's): a rise counts at once and in full, a fall by and by. */
  #observe(value: number, at: number, sampleMs: number, now: number, decayMs: number): void {
    const estimate = this.#at(value);
    const weight = Math.exp(-Math.max(0, now - this.#at(at)) / decayMs);
    this.#floats[this.#float + value] = sampleMs > estimate ? sampleMs : estimate * weight + sampleMs * (1 - weight);
    this.#floats[this.#float + at] = now;
  }
}

function faded(value: number, ageMs: number, decayMs: number): number {
  return value === 0 ? 0 : value * Math.exp(-Math.max(0, ageMs) / decayMs);
}
