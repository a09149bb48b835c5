/**
 * Active health checks of the endpoints of all services. Once for the process: what is found is written where all
 * data threads see it. Who is checked, and when; one check is `check.ts`, what follows of it `verdict.ts`.
 */
import type { EndpointStats } from '../balancer/endpoint-stats.js';
import type { ServiceStats } from '../balancer/service-stats.js';
import type { PlacedEndpoint } from '../balancer/slots.js';
import type { ServiceConfig } from '../config/schema.js';
import { Canceller } from '../core/cancel.js';
import type { Clock, Timer } from '../core/clock.js';
import { TlsSetups } from '../l4/tls-setups.js';
import { type Identity, NOBODY } from '../pki/identity-files.js';
import { type CheckResult, check } from './check.js';
import { keyOf, type Question, questionOf } from './question.js';
import { Turns } from './turns.js';
import { after, firstAfter, type Health, nextAfter, UNKNOWN } from './verdict.js';

export interface CheckedService {
  readonly name: string;
  readonly settings: ServiceConfig;
  readonly endpoints: readonly PlacedEndpoint[];
  readonly stats: ServiceStats;
}

/** What the last check of an endpoint came to. */
export interface LastCheck {
  readonly passed: boolean;
  readonly words: string;
  /** ms since 1970. */
  readonly at: number;
  readonly durationMs: number;
}

/** Checks since the service is checked. */
export interface CheckCounts {
  readonly passed: number;
  readonly failed: number;
  /** Of all of them together. */
  readonly durationMs: number;
}

export interface HealthEvents {
  /** `inARow` checks have said so, the last of them in these words. */
  onTurn(service: string, endpoint: string, isHealthy: boolean, words: string, inARow: number): void;
  onBug(error: unknown): void;
}

interface Checked {
  endpoint: PlacedEndpoint;
  readonly stats: EndpointStats;
  health: Health;
  last: LastCheck | undefined;
  next: Timer | undefined;
  /** Of the check that is under way, or waits for its turn. */
  running: Canceller | undefined;
}

interface Service {
  readonly name: string;
  settings: ServiceConfig;
  question: Question | undefined;
  readonly stats: ServiceStats;
  readonly checked: Map<string, Checked>;
  readonly counts: { passed: number; failed: number; durationMs: number };
}

/**
 * A check costs main some tenth of a millisecond, and while it waits a descriptor. Past this rate, 5000 endpoints at the
 * default interval, each is checked less often than was asked for.
 */
const BOUNDS = { atATime: 128, perWindow: 10, windowMs: 10 } as const;

export class HealthChecks {
  readonly #clock: Clock;
  readonly #events: HealthEvents;
  readonly #random: () => number;
  readonly #turns: Turns;
  readonly #services = new Map<string, Service>();
  #tls = new TlsSetups(NOBODY);

  constructor(clock: Clock, events: HealthEvents, random: () => number = Math.random) {
    this.#clock = clock;
    this.#events = events;
    this.#random = random;
    this.#turns = new Turns(clock, BOUNDS);
  }

  /** These services and no others. */
  retain(names: { has(name: string): boolean }): void {
    for (const [name, service] of this.#services) {
      if (names.has(name)) continue;
      for (const id of service.checked.keys()) forget(service, id);
      this.#services.delete(name);
    }
  }

  /** A service that is new, or has other endpoints or settings. What was found holds as long as the same is asked. */
  update({ name, settings, endpoints, stats }: CheckedService): void {
    const service = this.#services.get(name) ?? newService(name, settings, stats);
    this.#services.set(name, service);
    const asksTheSame = keyOf(service.settings) === keyOf(settings);
    const asksAsOften = service.settings.healthInterval === settings.healthInterval;
    service.settings = settings;
    if (!asksTheSame) service.question = questionOf(settings);
    const wanted = new Map(service.question === undefined ? [] : endpoints.map((one) => [one.id, one]));
    for (const id of service.checked.keys()) if (!wanted.has(id)) forget(service, id);
    const isDue = (endpoint: PlacedEndpoint): boolean => !take(service, endpoint) || !asksTheSame || !asksAsOften;
    const due = [...wanted.values()].filter(isDue);
    for (const endpoint of due) {
      const known = service.checked.get(endpoint.id);
      const entry = known ?? newEntry(endpoint, stats);
      // Another question: who is out stays out until it is answered, and its first answer decides.
      if (!asksTheSame) entry.health = { isHealthy: entry.health.isHealthy, against: 0, isNew: true };
      service.checked.set(endpoint.id, entry);
      this.#schedule(service, entry, firstAfter(settings.healthInterval, due.length, this.#random()));
    }
  }

  /** For checks from now on. */
  identify(identity: Identity): void {
    this.#tls = new TlsSetups(identity);
  }

  /** `undefined` where it is not checked, or has not been yet. */
  last(service: string, endpoint: string): LastCheck | undefined {
    return this.#services.get(service)?.checked.get(endpoint)?.last;
  }

  /** `undefined` where the service is not checked. */
  counts(service: string): CheckCounts | undefined {
    const known = this.#services.get(service);
    return known?.question && { ...known.counts };
  }

  stop(): void {
    this.retain(new Set());
    this.#turns.stop();
  }

  #schedule(service: Service, entry: Checked, delayMs: number): void {
    cancel(entry);
    const running = new Canceller();
    entry.running = running;
    entry.next = this.#clock.after(delayMs, () => this.#turns.take(() => this.#check(service, entry, running)));
  }

  async #check(service: Service, entry: Checked, running: Canceller): Promise<void> {
    const { question, settings } = service;
    if (running.aborted || question === undefined) return;
    const startedAt = this.#clock.now();
    const context = { settings, tls: this.#tls, clock: this.#clock };
    let result: CheckResult = { kind: 'void' };
    try {
      result = await check(entry.endpoint.addresses, question, context, running);
    } catch (error) {
      this.#events.onBug(error);
    }
    if (running.aborted) return;
    const durationMs = this.#clock.now() - startedAt;
    if (result.kind !== 'void') this.#note(service, entry, result.kind === 'passed', result.words, durationMs);
    const interval = nextAfter(service.settings.healthInterval, this.#random());
    this.#schedule(service, entry, Math.max(0, interval - durationMs));
  }

  #note(service: Service, entry: Checked, passed: boolean, words: string, durationMs: number): void {
    service.counts[passed ? 'passed' : 'failed'] += 1;
    service.counts.durationMs += durationMs;
    entry.last = { passed, words, at: this.#clock.wall(), durationMs };
    const { healthRise: rise, healthFall: fall } = service.settings;
    const { health, turnedBy } = after(entry.health, passed, { rise, fall });
    entry.health = health;
    if (turnedBy === undefined) return;
    if (passed && entry.stats.isUnhealthy) entry.stats.startedAt = this.#clock.now();
    setUnhealthy(service, entry, !passed);
    this.#events.onTurn(service.name, entry.endpoint.id, passed, words, turnedBy);
  }
}

function newService(name: string, settings: ServiceConfig, stats: ServiceStats): Service {
  const counts = { passed: 0, failed: 0, durationMs: 0 };
  return { name, settings, question: questionOf(settings), stats, checked: new Map(), counts };
}

function newEntry(endpoint: PlacedEndpoint, stats: ServiceStats): Checked {
  const slot = stats.slot(endpoint.slot);
  return { endpoint, stats: slot, health: UNKNOWN, last: undefined, next: undefined, running: undefined };
}

/** Whether the endpoint is checked already; it may have other addresses now. */
function take({ checked }: Service, endpoint: PlacedEndpoint): boolean {
  const known = checked.get(endpoint.id);
  if (known !== undefined) known.endpoint = endpoint;
  return known !== undefined;
}

/** It is gone, or is checked no more: whatever was found is forgotten, and should it come back it is new. */
function forget(service: Service, id: string): void {
  const entry = service.checked.get(id);
  if (entry === undefined) return;
  cancel(entry);
  setUnhealthy(service, entry, false);
  service.checked.delete(id);
}

function setUnhealthy({ stats }: Service, entry: Checked, yes: boolean): void {
  if (entry.stats.isUnhealthy === yes) return;
  entry.stats.isUnhealthy = yes;
  stats.standingChanged();
}

function cancel(entry: Checked): void {
  entry.next?.cancel();
  entry.running?.abort();
}
