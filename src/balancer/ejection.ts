/**
 * Outlier ejection: an endpoint that fails several times in a row takes no connections for a while, longer each time;
 * then one connection may try it, and only if that succeeds it is back (Envoy's outlier detection, with a half-open
 * state that Envoy has not). What is counted is shared, so that all threads together come to one conclusion at once.
 */
import type { Instance } from './instance.js';
import type { PickWatch } from './instance-pick.js';
import type { Failure } from './picker.js';
import type { ServiceStats } from './service-stats.js';

export interface EjectionSettings {
  /** Failures in a row; 0 ejects nobody. */
  readonly after: number;
  /** How long the first time, ms; the next time twice as long. */
  readonly baseMs: number;
  readonly maxMs: number;
  /** Of all endpoints at most this share, though always one of several. */
  readonly maxShare: number;
}

/** Why an endpoint is out, as a number among what threads share, and in words. */
export const REASONS = {
  connect: 1,
  timeout: 2,
  handshake: 3,
  reset: 4,
  latency: 5,
} as const satisfies Record<Failure | 'reset' | 'latency', number>;

/** A connection that tries an endpoint has so long to show that it works, ms; then the next may try. */
const PROBE_MS = 10_000;

export type Reason = keyof typeof REASONS;

export class Ejector implements PickWatch {
  readonly decayMs: number;
  readonly #settings: EjectionSettings;
  readonly #service: ServiceStats;

  constructor(service: ServiceStats, settings: EjectionSettings, decayMs: number) {
    this.#service = service;
    this.#settings = settings;
    this.decayMs = decayMs;
  }

  failed(instance: Instance, how: Failure | 'reset', wasProbe: boolean, now: number): void {
    const { stats } = instance;
    const inARow = how === 'reset' ? stats.wasReset() : stats.failed();
    if (stats.ejectedFor !== 0) {
      if (wasProbe) this.#extend(instance, now);
    } else if (this.#settings.after > 0 && inARow >= this.#settings.after) {
      this.eject(instance, how, now);
    }
  }

  claimProbe({ stats }: Instance, now: number): boolean {
    const { probes } = stats;
    if (now < stats.ejectedUntil || !stats.countProbe(probes)) return false;
    // Out again until it is known what became of this one, or until that has taken too long.
    stats.ejectedUntil = now + PROBE_MS;
    this.#service.standingChanged();
    return true;
  }

  succeeded({ stats }: Instance, by: 'connect' | 'answer', wasProbe: boolean, now: number): void {
    if (!wasProbe) return;
    const { ejectedFor } = stats;
    // Who accepts and then resets, or does not answer, has shown nothing by accepting once more.
    const mustAnswer = ejectedFor === REASONS.reset || ejectedFor === REASONS.latency;
    if (by === 'answer' || !mustAnswer) this.letIn(stats, now);
  }

  /** Whether it was, for only so many may be. */
  eject({ stats }: Instance, reason: Reason, now: number): boolean {
    const { maxShare } = this.#settings;
    const { size } = this.#service;
    // One that is gone takes no connections anyway, and is not among those of which only so many may be out.
    if (size <= 1 || !stats.isPlaced || !this.#service.enterEjected(Math.max(1, Math.floor(size * maxShare))))
      return false;
    if (!stats.turnEjected(0, REASONS[reason])) {
      this.#service.leaveEjected();
      return false;
    }
    // What it was out for is over: how slow it is has to be learnt anew.
    stats.forgetTypicalConnect();
    const madeUpFor = stats.returnedAt === 0 ? 0 : Math.floor((now - stats.returnedAt) / this.#settings.baseMs);
    stats.timesEjected = Math.max(0, stats.timesEjected - madeUpFor) + 1;
    stats.ejectedUntil = now + ejectionMs(stats.timesEjected, this.#settings);
    this.#service.countEjection(REASONS[reason]);
    this.#service.standingChanged();
    return true;
  }

  letIn(stats: Instance['stats'], now: number): void {
    const reason = stats.ejectedFor;
    if (reason === 0 || !stats.turnEjected(reason, 0)) return;
    stats.ejectedUntil = 0;
    stats.returnedAt = now;
    stats.startedAt = now;
    if (stats.isPlaced) this.#service.leaveEjected();
    this.#service.standingChanged();
  }

  #extend({ stats }: Instance, now: number): void {
    stats.timesEjected += 1;
    stats.ejectedUntil = now + ejectionMs(stats.timesEjected, this.#settings);
    this.#service.countEjection(stats.ejectedFor);
    this.#service.standingChanged();
  }
}

/** Twice as long each time. @param times from 1 */
export function ejectionMs(times: number, { baseMs, maxMs }: Pick<EjectionSettings, 'baseMs' | 'maxMs'>): number {
  return Math.min(maxMs, baseMs * 2 ** (times - 1));
}
