/** A pick on its way: counts as outstanding until it is over, and tells what became of it. */
import type { Instance } from './instance.js';
import type { Endpoint, Failure, Pick, PickEnd } from './picker.js';
import type { Choice } from './strategy.js';

/** Who is told how endpoints behave, to draw conclusions: to eject one, or to let one back in. */
export interface PickWatch {
  /** What was learnt fades to 1/e in so many ms. */
  readonly decayMs: number;
  /** Whether the caller may try an endpoint that is half open: one at a time may. */
  claimProbe(instance: Instance, now: number): boolean;
  /** By being connected to, or by having answered. */
  succeeded(instance: Instance, by: 'connect' | 'answer', wasProbe: boolean, now: number): void;
  failed(instance: Instance, how: Failure | 'reset', wasProbe: boolean, now: number): void;
}

export class InstancePick implements Pick {
  readonly #instance: Instance;
  readonly #choice: Choice;
  readonly #group: string | undefined;
  readonly #watch: PickWatch;
  readonly #isProbe: boolean;
  #over = false;

  constructor(choice: Choice, group: string | undefined, watch: PickWatch, isProbe: boolean) {
    this.#choice = choice;
    this.#instance = choice.instance;
    this.#group = group;
    this.#watch = watch;
    this.#isProbe = isProbe;
    this.#instance.stats.enter();
  }

  get endpoint(): Endpoint {
    return this.#instance.endpoint;
  }

  get why(): string {
    const why = this.#choice.why();
    return this.#group === undefined ? why : `${why}; ${this.#group}`;
  }

  connected(connectMs: number, now: number): void {
    const { stats } = this.#instance;
    stats.observeConnect(connectMs, now, this.#watch.decayMs);
    stats.connected();
    this.#watch.succeeded(this.#instance, 'connect', this.#isProbe, now);
  }

  failed(how: Failure, afterMs: number, now: number): void {
    if (this.#over) return;
    // Who does not answer is to look as slow as that; who refuses at once must not look fast.
    if (how === 'timeout') this.#instance.stats.observeConnect(afterMs, now, this.#watch.decayMs);
    this.#instance.stats.observeFailing(true, now, this.#watch.decayMs);
    this.#watch.failed(this.#instance, how, this.#isProbe, now);
    this.#leave();
  }

  answered(afterMs: number, now: number): void {
    const { stats } = this.#instance;
    stats.observeAnswer(afterMs, now, this.#watch.decayMs);
    stats.observeFailing(false, now, this.#watch.decayMs);
    stats.answered();
    if (this.#isProbe) this.#watch.succeeded(this.#instance, 'answer', true, now);
  }

  unanswered(sinceMs: number, now: number): void {
    if (!this.#over) this.#instance.stats.expectAnswer(sinceMs, now, this.#watch.decayMs);
  }

  ended(how: PickEnd, now: number): void {
    if (this.#over) return;
    if (how === 'reset') {
      this.#instance.stats.observeFailing(true, now, this.#watch.decayMs);
      this.#watch.failed(this.#instance, 'reset', this.#isProbe, now);
    }
    this.#leave();
  }

  abandoned(): void {
    if (!this.#over) this.#leave();
  }

  #leave(): void {
    this.#over = true;
    this.#instance.stats.leave();
  }
}
