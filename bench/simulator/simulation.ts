/** One run: clients ask at random moments, proxies pick and connect, endpoints answer or do not. */
import type { Histogram } from 'hdr-histogram-js';
import { histogramOf } from '../measure/latency.js';
import { ideal } from './ideal.js';
import type { Balancing, Chosen, Client, Endpoint, NewBalancing, Pick } from './program.js';
import { exponential, type Random, seeded } from './random.js';
import type { Scenario } from './scenarios.js';
import { type Condition, Server } from './server.js';
import { Timeline } from './timeline.js';

/** Ways of balancing that are simulated; `ideal` is none of the program's. */
export const BALANCES = [
  'ideal',
  'ewma',
  'least-connections',
  'round-robin',
  'random',
  'ring-hash',
  'maglev',
  'maglev-150',
] as const;
export type Balance = (typeof BALANCES)[number];

/** Settings of those that are not simply named. */
const SETTINGS: Readonly<Partial<Record<Balance, object>>> = {
  'maglev-150': { balance: 'maglev', hashBalanceFactor: '150%' },
};

/** Requests that an endpoint works on at a time, and how long it takes for one: 200 a second. */
const SLOTS = 4;
const WORK_MS = 20;
/** There and back, as within a region, ms. The ideal is there in no time, or it would not know all. */
const ROUND_TRIP = { least: 0.3, most: 0.7 };
/** So many addresses, all as busy. */
const CLIENTS = 500;
/** After that clients give up. */
const PATIENCE_MS = 5_000;

export interface Failures {
  /** No endpoint could be connected to. */
  refused: number;
  /** Reset before the first byte. */
  reset: number;
  /** The client would not wait any longer. */
  gaveUp: number;
}

export interface Outcome {
  /** Of those that were asked since latencies count, how long the client waited: for the answer, or until it gave up. */
  readonly latencies: Histogram;
  readonly asked: number;
  readonly failures: Readonly<Failures>;
  /** Attempts after the first. */
  readonly retries: number;
  /** By span of the scenario: what the watched endpoints were picked, beside an equal share: 1 is as often as others. */
  readonly shares: Readonly<Record<string, number>>;
  /** Connections open to the endpoint with most of them, beside what each has on average; the mean of one look a second. */
  readonly imbalance: number;
}

/** So often it is looked who has how many connections, ms. */
const LOOK_MS = 1_000;

interface Request {
  readonly at: number;
  readonly workMs: number;
  readonly keptMs: number;
  readonly client: Client;
  readonly balancing: Balancing;
  readonly tried: Set<Chosen>;
}

export function simulate(scenario: Scenario, balance: Balance, seed: number, newBalancing: NewBalancing): Outcome {
  return new Simulation(scenario, balance, seed, newBalancing).run();
}

class Simulation {
  readonly #scenario: Scenario;
  readonly #timeline = new Timeline();
  readonly #servers: ReadonlyMap<string, Server>;
  readonly #isIdeal: boolean;
  readonly #proxies: readonly Balancing[];
  /** What clients do is the same whatever the balancer; what is drawn on the way is apart. */
  readonly #clients: Random;
  readonly #network: Random;
  readonly #latencies: [number, number][] = [];
  readonly #failures: Failures = { refused: 0, reset: 0, gaveUp: 0 };
  readonly #watched: ReadonlySet<string>;
  readonly #picked: { all: number; watched: number }[];
  readonly #open = new Map<string, number>();
  readonly #imbalances: number[] = [];
  #asked = 0;
  #retries = 0;
  /** What the ideal is told of the request that it places. */
  #workMs = 0;

  constructor(scenario: Scenario, balance: Balance, seed: number, newBalancing: NewBalancing) {
    this.#scenario = scenario;
    this.#isIdeal = balance === 'ideal';
    this.#clients = seeded(seed);
    this.#network = seeded(seed + 1);
    this.#servers = new Map(
      scenario.servers.map(({ id, phases }) => [id, new Server(id, SLOTS, phases, this.#network)]),
    );
    this.#watched = new Set(scenario.watched);
    this.#picked = scenario.spans.map(() => ({ all: 0, watched: 0 }));
    const { clock } = this.#timeline;
    this.#proxies = Array.from({ length: scenario.proxies }, (_, index) =>
      this.#isIdeal
        ? ideal(this.#servers, () => this.#workMs, clock)
        : newBalancing(
            { ...scenario.settings, ...(SETTINGS[balance] ?? { balance }) },
            seeded(seed + 2 + index),
            clock,
          ),
    );
  }

  run(): Outcome {
    for (const { from, ids } of this.#scenario.known) this.#timeline.at(from, () => this.#place(ids));
    this.#arrive(1000 / this.#ratePerSecond());
    this.#look(this.#scenario.measuredFrom);
    this.#timeline.run();
    return {
      latencies: histogramOf(this.#latencies),
      asked: this.#asked,
      failures: this.#failures,
      retries: this.#retries,
      shares: this.#shares(),
      imbalance: this.#imbalances.reduce((sum, one) => sum + one, 0) / this.#imbalances.length,
    };
  }

  #place(ids: readonly string[]): void {
    const endpoints = ids.map(endpoint);
    for (const balancing of this.#proxies) balancing.place(endpoints);
  }

  #ratePerSecond(): number {
    const { servers, known, load } = this.#scenario;
    const first = new Set(known[0]?.ids);
    const speeds = servers.filter(({ id }) => first.has(id)).map(({ phases: [phase] }) => speedOf(phase?.condition));
    const most = speeds.reduce((sum, speed) => sum + speed, 0) * SLOTS * (1000 / WORK_MS);
    return load * most;
  }

  /** The next request, and with it the one after. */
  #arrive(everyMs: number): void {
    const { now } = this.#timeline;
    const at = now + exponential(everyMs, this.#clients);
    const workMs = exponential(WORK_MS, this.#clients);
    const keptMs = this.#scenario.keptMs === 0 ? 0 : exponential(this.#scenario.keptMs, this.#clients);
    const client = clientAt(Math.floor(this.#clients() * CLIENTS));
    const balancing = this.#proxies[Math.floor(this.#clients() * this.#proxies.length)];
    if (at > this.#scenario.durationMs || balancing === undefined) return;
    this.#timeline.at(at, () => {
      if (this.#counts(at)) this.#asked += 1;
      balancing.enter();
      this.#attempt({ at, workMs, keptMs, client, balancing, tried: new Set() });
      this.#arrive(everyMs);
    });
  }

  #attempt(request: Request): void {
    const { balancing, client, tried, workMs } = request;
    const { now } = this.#timeline;
    this.#workMs = workMs;
    const pick = balancing.pick(tried, client);
    if (pick === undefined) {
      balancing.leave();
      this.#fail(request, 'refused');
      return;
    }
    if (tried.size > 0 && this.#counts(request.at)) this.#retries += 1;
    this.#countPick(pick.endpoint.id);
    const tripMs = this.#tripMs();
    this.#timeline.at(now + tripMs, () => this.#dialled(request, pick, tripMs));
  }

  #tripMs(): number {
    const { least, most } = ROUND_TRIP;
    return this.#isIdeal ? 0 : least + this.#network() * (most - least);
  }

  #dialled(request: Request, pick: Pick, tripMs: number): void {
    const { now } = this.#timeline;
    const server = this.#servers.get(pick.endpoint.id);
    if (server !== undefined && server.conditionAt(now).kind !== 'refuses') {
      pick.connected(tripMs, now);
      this.#ask(request, pick, server);
      return;
    }
    pick.failed('connect', tripMs, now);
    request.tried.add(pick.endpoint);
    this.#attempt(request);
  }

  #ask(request: Request, pick: Pick, server: Server): void {
    const askedAt = this.#timeline.now;
    this.#countOpen(server, 1);
    const fate = server.ask(request.workMs, askedAt);
    const givesUpAt = request.at + PATIENCE_MS;
    const givesUp = fate.kind === 'never' || fate.at > givesUpAt;
    const at = givesUp ? givesUpAt : fate.at;
    const waits = { stillWaits: (now: number): void => pick.unanswered(now - askedAt, now) };
    request.balancing.waiting.add(waits);
    this.#timeline.at(at, () => {
      request.balancing.waiting.delete(waits);
      if (givesUp) waits.stillWaits(at);
      if (givesUp || fate.kind === 'answered') this.#record(request);
      if (givesUp) this.#fail(request, 'gaveUp');
      else if (fate.kind === 'reset') this.#fail(request, 'reset');
      else pick.answered(at - askedAt, at);
      const endsAt = fate.kind === 'answered' && !givesUp ? at + request.keptMs : at;
      this.#timeline.at(endsAt, () => {
        pick.ended(!givesUp && fate.kind === 'reset' ? 'reset' : 'served', endsAt);
        request.balancing.leave();
        this.#countOpen(server, -1);
      });
    });
  }

  #countOpen({ id }: Server, change: 1 | -1): void {
    this.#open.set(id, (this.#open.get(id) ?? 0) + change);
  }

  #look(at: number): void {
    if (at > this.#scenario.durationMs) return;
    this.#timeline.at(at, () => {
      const open = [...this.#open.values()];
      const mean = open.reduce((sum, one) => sum + one, 0) / (this.#scenario.known[0]?.ids.length ?? 1);
      if (mean > 0) this.#imbalances.push(Math.max(...open) / mean);
      this.#look(at + LOOK_MS);
    });
  }

  #record({ at }: Request): void {
    if (this.#counts(at)) this.#latencies.push([(this.#timeline.now - at) * 1e6, 1]);
  }

  #fail({ at }: Request, how: keyof Failures): void {
    if (this.#counts(at)) this.#failures[how] += 1;
  }

  #counts(moment: number): boolean {
    return moment >= this.#scenario.measuredFrom;
  }

  #countPick(id: string): void {
    const { now } = this.#timeline;
    for (const [index, { from, to }] of this.#scenario.spans.entries()) {
      const picked = this.#picked[index];
      if (picked === undefined || now < from || now >= to) continue;
      picked.all += 1;
      if (this.#watched.has(id)) picked.watched += 1;
    }
  }

  #shares(): Record<string, number> {
    const fair = this.#watched.size / (this.#scenario.known[0]?.ids.length ?? 1);
    const shareOf = ({ all, watched }: { all: number; watched: number }) => (all === 0 ? 0 : watched / all / fair);
    return Object.fromEntries(
      this.#scenario.spans.map(({ name }, index) => [name, shareOf(this.#picked[index] ?? { all: 0, watched: 0 })]),
    );
  }
}

function speedOf(condition: Condition | undefined): number {
  return condition?.kind === 'up' ? 1 / condition.slowness : 0;
}

function clientAt(index: number): Client {
  return { kind: 'ip', host: `10.1.${index >> 8}.${index & 255}`, port: 1 };
}

/** Nobody connects to it; that it has an address is all that is asked. */
function endpoint(id: string): Endpoint {
  return { id, addresses: [{ kind: 'ip', host: '127.0.0.1', port: 1 }] };
}
