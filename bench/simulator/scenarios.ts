/** What befalls a fleet of ten while it is asked all the time. */
import { type Condition, type Phase, UP } from './server.js';

export interface ServerPlan {
  readonly id: string;
  readonly phases: readonly Phase[];
}

/** A part of the run for which it is told how much the watched endpoints got. */
export interface Span {
  readonly name: string;
  /** ms. */
  readonly from: number;
  readonly to: number;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** All that ever are there. */
  readonly servers: readonly ServerPlan[];
  /** Which of them the proxies know from when on; the first from the beginning. */
  readonly known: readonly { readonly from: number; readonly ids: readonly string[] }[];
  /** Those whose share is told. */
  readonly watched: readonly string[];
  readonly spans: readonly Span[];
  /** Of what all that are there in the beginning can do together. */
  readonly load: number;
  readonly proxies: number;
  /** How long connections stay open after their answer, on average, ms. */
  readonly keptMs: number;
  /** Settings of the service beside the defaults. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly durationMs: number;
  /** Latencies count from here on: what came before made the statistics warm. */
  readonly measuredFrom: number;
}

const FLEET = 10;
const DURATION = 60_000;
/** When something goes wrong, and when it is over. */
const FROM = 20_000;
const UNTIL = 40_000;
const LOAD = 0.6;

const SPANS: readonly Span[] = [
  { name: 'first 10 s', from: FROM, to: FROM + 10_000 },
  { name: 'next 10 s', from: FROM + 10_000, to: UNTIL },
  { name: 'well again', from: UNTIL, to: UNTIL + 10_000 },
  { name: '10 s later', from: UNTIL + 10_000, to: DURATION },
];

const SLOW: Condition = { kind: 'up', slowness: 10 };

function serversOf(phasesOf: (index: number) => readonly Phase[], prefix = 'e'): ServerPlan[] {
  return Array.from({ length: FLEET }, (_, index) => ({ id: `${prefix}${index}`, phases: phasesOf(index) }));
}

function always(condition: Condition): readonly Phase[] {
  return [{ from: 0, condition }];
}

function troubled(condition: Condition): readonly Phase[] {
  return [
    { from: 0, condition: UP },
    { from: FROM, condition },
    { from: UNTIL, condition: UP },
  ];
}

function scenario(name: string, title: string, more: Partial<Scenario>): Scenario {
  const servers = more.servers ?? serversOf(() => always(UP));
  return {
    name,
    title,
    servers,
    known: [{ from: 0, ids: servers.map(({ id }) => id) }],
    watched: [],
    spans: [],
    load: LOAD,
    proxies: 1,
    keptMs: 0,
    settings: {},
    durationMs: DURATION,
    measuredFrom: FROM,
    ...more,
  };
}

/** One of the fleet is so for a time, and then as before. */
function oneThat(name: string, title: string, condition: Condition, more: Partial<Scenario> = {}): Scenario {
  return scenario(name, title, {
    servers: serversOf((index) => (index === 0 ? troubled(condition) : always(UP))),
    watched: ['e0'],
    spans: SPANS,
    ...more,
  });
}

/** Who has just started is slow at first: caches are empty, code is not compiled. */
function cold(from: number): readonly Phase[] {
  return [
    { from: 0, condition: { kind: 'refuses' } },
    { from, condition: { kind: 'up', slowness: 4 } },
    { from: from + 2_000, condition: { kind: 'up', slowness: 2 } },
    { from: from + 5_000, condition: UP },
  ];
}

/** So many new ones come and as many old ones go at a time, until all are new. */
function restart(name: string, title: string, atATime: number, settings: Scenario['settings'] = {}): Scenario {
  const stepOf = (index: number): number => FROM + Math.floor(index / atATime) * atATime * EACH_MS;
  const old = serversOf(() => always(UP));
  const fresh = serversOf((index) => cold(stepOf(index)), 'n');
  const idsAfter = (count: number) => [...old.slice(count), ...fresh.slice(0, count)].map(({ id }) => id);
  const counts = Array.from({ length: FLEET / atATime }, (_, step) => (step + 1) * atATime);
  return scenario(name, title, {
    servers: [...old, ...fresh],
    known: [
      { from: 0, ids: idsAfter(0) },
      ...counts.map((count) => ({ from: stepOf(count - 1), ids: idsAfter(count) })),
    ],
    settings,
  });
}

/** Of a restart, for each endpoint. */
const EACH_MS = 3_000;

/** Goes and comes every five seconds. */
const FLAPPING: readonly Phase[] = Array.from({ length: DURATION / 5_000 }, (_, index) => ({
  from: index * 5_000,
  condition: index % 2 === 0 ? UP : { kind: 'refuses' },
}));

const SLOWNESSES = [4, 2, 2];

export const scenarios: readonly Scenario[] = [
  scenario('homogeneous', 'ten alike', {}),
  scenario('heterogeneous', 'two of ten twice as slow, one four times', {
    servers: serversOf((index) => always({ kind: 'up', slowness: SLOWNESSES[index] ?? 1 })),
    watched: SLOWNESSES.map((_, index) => `e${index}`),
    spans: [{ name: 'all along', from: FROM, to: DURATION }],
  }),
  oneThat('slow', 'one of ten becomes ten times slower, for 20 s', SLOW),
  oneThat('refusing', 'one of ten refuses, for 20 s', { kind: 'refuses' }),
  scenario('half-refusing', 'five of ten refuse, for 20 s, of a fleet that has little to do', {
    servers: serversOf((index) => (index < FLEET / 2 ? troubled({ kind: 'refuses' }) : always(UP))),
    load: 0.3,
    watched: ['e0', 'e1', 'e2', 'e3', 'e4'],
    spans: SPANS,
  }),
  oneThat('resetting', 'one of ten accepts and resets, for 20 s', { kind: 'resets', share: 1 }),
  oneThat('flaky', 'one of ten resets one connection of ten, for 20 s', { kind: 'resets', share: 0.1 }),
  oneThat('hanging', 'one of ten accepts and never answers, for 20 s', { kind: 'hangs' }),
  scenario('flapping', 'one of ten refuses for 5 s of every 10', {
    servers: serversOf((index) => (index === 0 ? FLAPPING : always(UP))),
    watched: ['e0'],
    spans: [{ name: 'all along', from: FROM, to: DURATION }],
  }),
  restart('rolling', 'a new one for an old one every 3 s, slow at first', 1),
  restart('rolling-slow-start', 'the same with a slow start of 10 s', 1, { slowStart: '10s' }),
  restart('halves', 'five new ones for five old ones at once, twice, slow at first', 5),
  restart('halves-slow-start', 'the same with a slow start of 10 s', 5, { slowStart: '10s' }),
  scenario('kept', 'ten alike, and connections that stay open for 20 s, as those of a pool do', {
    load: 0.1,
    keptMs: 20_000,
  }),
  scenario('proxies', 'ten alike, asked by eight proxies that know nothing of each other', { proxies: 8 }),
  oneThat('slow-proxies', 'one of ten becomes ten times slower, for 20 s; eight proxies', SLOW, { proxies: 8 }),
];
