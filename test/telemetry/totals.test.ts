import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ConnectionRecord, Ending } from '../../src/telemetry/record.js';
import { Recorder, type ThreadReport } from '../../src/telemetry/recorder.js';
import { Telemetry } from '../../src/telemetry/telemetry.js';
import { Totals } from '../../src/telemetry/totals.js';
import { VirtualClock } from '../fakes/clock.js';
import { capturedLog, liveRecord, statusOf } from '../fakes/telemetry.js';

/** What one connection did, and which thread carried it. */
const connection = fc.record({
  thread: fc.integer({ min: 0, max: 3 }),
  listener: fc.constantFrom('web', 'edge'),
  service: fc.constantFrom('web', 'db'),
  endpoint: fc.constantFrom('a:1', 'b:1'),
  bytesReceived: fc.nat(10_000),
  bytesSent: fc.nat(10_000),
  ms: fc.double({ min: 0, max: 100_000, noNaN: true }),
  failed: fc.boolean(),
  ending: fc.option(fc.constantFrom<Ending>('completed', 'client-reset', 'connect-failed'), { nil: undefined }),
});
type Told = typeof connection extends fc.Arbitrary<infer T> ? T : never;

const STATUS = statusOf({
  listeners: ['web', 'edge'].map((name) => ({ name, address: '127.0.0.1:1', service: 'web', paused: false })),
  services: ['web', 'db'].map((name) => ({
    name,
    endpoints: ['a:1', 'b:1'].map((id) => ({ id, addresses: [id] })),
    upstreams: [],
  })),
});

/** The reports of threads that between them carried `connections`, by the thread's number. */
function reportsOf(connections: readonly Told[], clock: VirtualClock, threadOf: (told: Told) => number) {
  const live = new Map<number, ConnectionRecord[]>();
  const recorders = new Map<number, Recorder>();
  for (const [index, told] of connections.entries()) {
    const thread = threadOf(told);
    const open = live.get(thread) ?? [];
    live.set(thread, open);
    const recorder =
      recorders.get(thread) ??
      new Recorder({ logger: capturedLog().log.logger, accessLog: 'off', clock, live: () => open });
    recorders.set(thread, recorder);
    const { listener, service, endpoint, bytesReceived, bytesSent, ms } = told;
    const id = `c-${index}`;
    const record = liveRecord({ id, startedAt: index, listener, service, endpoint, bytesReceived, bytesSent });
    recorder.opened(record);
    const attempt = { endpoint, why: '', address: endpoint, durationMs: ms };
    recorder.attempted(service, told.failed ? { ...attempt, error: 'no answer' } : attempt);
    if (told.ending === undefined) open.push(record);
    else recorder.ended(Object.assign(record, { ending: told.ending, durationMs: ms }));
  }
  const query = { limit: 1000 };
  return [...recorders].map(([, recorder]) => structuredClone(recorder.report(STATUS, query)));
}

function totalsOf(reports: readonly ThreadReport[]): Totals {
  const totals = new Totals();
  for (const report of reports) totals.add(report);
  totals.follow(STATUS);
  return totals;
}

function shown(totals: Totals) {
  return {
    traffic: Object.fromEntries(totals.traffic()),
    counters: sorted(totals.counters.snapshot()),
    attempts: [...totals.attempts].map((entry) => JSON.stringify(entry)).sort(),
    latency: totals.latency().toSorted((a, b) => (a.service < b.service ? -1 : 1)),
    matching: totals.matching,
    connections: totals.connections().map(({ id }) => id),
    active: ['web', 'db'].map((service) => ['a:1', 'b:1'].map((endpoint) => totals.active(service, endpoint))),
  };
}

/** Lists in the order of their text: what is told first depends on who is asked first. Sums are of fractions, in any order. */
function sorted(value: unknown): unknown {
  if (typeof value === 'number') return Number(value.toPrecision(9));
  if (Array.isArray(value)) {
    const items = value.map(sorted);
    return items.every((item) => typeof item === 'number') ? items : items.sort((a, b) => compare(a, b));
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, sorted(entry)]));
}

function compare(a: unknown, b: unknown): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}

test('threads together tell what one thread would have told that carried everything, whoever is asked first', () => {
  fc.assert(
    fc.property(fc.array(connection, { maxLength: 40 }), (connections) => {
      const clock = new VirtualClock();
      const alone = reportsOf(connections, clock, () => 0);
      const several = reportsOf(connections, clock, ({ thread }) => thread);
      const expected = sorted(shown(totalsOf(alone)));
      expect(sorted(shown(totalsOf(several)))).toEqual(expected);
      expect(sorted(shown(totalsOf(several.toReversed())))).toEqual(expected);
    }),
  );
});

test('what a thread had counted stays counted when it dies, and its connections are told as lost', async () => {
  const clock = new VirtualClock();
  const { log } = capturedLog();
  const open: ConnectionRecord[] = [];
  const recorder = new Recorder({ logger: log.logger, accessLog: 'off', clock, live: () => open });
  const record = liveRecord({ bytesReceived: 10, bytesSent: 20 });
  open.push(record);
  recorder.opened(record);
  const telemetry = new Telemetry({
    log,
    clock,
    version: '1',
    open: () => 0,
    collect: async () => [],
    status: () => STATUS,
  });
  for (const worker of [0, 0, 1]) telemetry.retire({ ...recorder.report(STATUS, { limit: 10 }), worker });
  const totals = await telemetry.totals({ limit: 10 });
  expect(totals.traffic().get('web')).toEqual({ opened: 3, active: 0, refused: 0, received: 30, sent: 60 });
  expect(totals.counters.listener('web').routes.get('')?.closed.get('internal-error')).toBe(3);
  expect(totals.connections()).toEqual([]);
  expect(totals.active('web', '127.0.0.1:9001')).toBe(0);
  expect(totals.workers.get(0)).toEqual({ opened: 2, active: 0 });
});
