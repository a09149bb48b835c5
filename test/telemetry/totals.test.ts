import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ConnectionRecord, Ending } from '../../src/telemetry/record.js';
import { Recorder, type ThreadReport } from '../../src/telemetry/recorder.js';
import { lastReport, mergeReports, staleReport, Totals } from '../../src/telemetry/totals.js';
import { VirtualClock } from '../fakes/clock.js';
import { capturedLog, liveRecord, statusOf } from '../fakes/telemetry.js';

/** What one connection did, and which thread carried it. */
const connection = fc.record({
  thread: fc.integer({ min: 0, max: 3 }),
  listener: fc.constantFrom<string[]>('web', 'edge'),
  service: fc.constantFrom('web', 'db'),
  endpoint: fc.constantFrom('a:1', 'b:1'),
  bytesReceived: fc.nat(10_000),
  bytesSent: fc.nat(10_000),
  ms: fc.double({ min: 0, max: 100_000, noNaN: true }),
  error: fc.constantFrom(undefined, 'no answer', 'refused'),
  ending: fc.constantFrom<(Ending | undefined)[]>(undefined, 'completed', 'client-reset', 'connect-failed'),
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

/** A recorder with its connections. */
class Thread {
  readonly live = new Set<ConnectionRecord>();
  readonly recorder: Recorder;
  handedOver = 0;

  /** @param clock one for all of them, where it matters who was the last */
  constructor(worker?: number, clock = new VirtualClock()) {
    this.recorder = new Recorder({
      logger: capturedLog().log.logger,
      accessLog: 'off',
      clock,
      live: () => this.live,
      handedOver: () => this.handedOver,
      ...(worker !== undefined && { worker }),
    });
  }

  carry({ listener, service, endpoint, bytesReceived, bytesSent, ms, error, ending }: Told): void {
    const record = liveRecord({ listener, service, endpoint, bytesReceived, bytesSent });
    this.recorder.opened(record);
    const attempt = { endpoint, why: '', address: endpoint, durationMs: ms };
    this.recorder.attempted(service, error === undefined ? attempt : { ...attempt, error });
    if (ending === undefined) this.live.add(record);
    else this.recorder.ended(Object.assign(record, { ending, durationMs: ms }));
  }

  /** As another thread gets it. The CPU time is the machine's business. */
  report(): ThreadReport {
    const report = structuredClone(this.recorder.report());
    return { ...report, workers: report.workers.map(({ cpuSeconds: _, ...rest }) => rest) };
  }
}

/** The reports of threads that between them carried `connections`. */
function reportsOf(connections: readonly Told[], threadOf: (told: Told) => number | undefined): ThreadReport[] {
  const clock = new VirtualClock();
  const threads = new Map<number | undefined, Thread>();
  for (const told of connections) {
    const number = threadOf(told);
    const thread = threads.get(number) ?? new Thread(number, clock);
    clock.advance(1);
    threads.set(number, thread);
    thread.carry(told);
  }
  return [...threads.values()].map((thread) => thread.report());
}

function shown(reports: readonly ThreadReport[]): unknown {
  const totals = new Totals(reports);
  totals.follow(STATUS);
  const { workers: _, ...report } = totals.report();
  return sorted({ report, latency: totals.latency(), traffic: totals.traffic() });
}

/** Lists in the order of their text: what is told first depends on who is asked first. Sums are of fractions, in any order. */
function sorted(value: unknown): unknown {
  if (typeof value === 'number') return Number(value.toPrecision(9));
  if (value instanceof Map) return sorted([...value]);
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
      const alone = reportsOf(connections, () => undefined);
      const several = reportsOf(connections, ({ thread }) => thread);
      expect(shown(several)).toEqual(shown(alone));
      expect(shown(several.toReversed())).toEqual(shown(alone));
    }),
  );
});

test('reports are added up in any order and any grouping, of the living and the dead', () => {
  const report = fc
    .record({
      connections: fc.array(connection, { maxLength: 10 }),
      worker: fc.nat(2),
      as: fc.constantFrom((one: ThreadReport) => one, lastReport, staleReport),
    })
    .map(({ connections, worker, as }) => {
      const [told = new Thread(worker).report()] = reportsOf(connections, () => worker);
      return as(told);
    });
  fc.assert(
    fc.property(report, report, report, (a, b, c) => {
      const together = sorted(mergeReports(a, b, c));
      expect(sorted(mergeReports(c, b, a))).toEqual(together);
      expect(sorted(mergeReports(mergeReports(a, b), c))).toEqual(together);
      expect(sorted(mergeReports(a, mergeReports(b, c)))).toEqual(together);
      expect(sorted(mergeReports(a, b, c, new Totals([]).report()))).toEqual(together);
    }),
  );
});

test('each thread tells a thousand endpoints apart, and what they tell is added up under the same names', () => {
  const [one, other] = [new Thread(), new Thread()];
  const at = (index: number) => ({ endpoint: `10.0.0.1:${index}`, why: '', address: '', durationMs: 1 });
  for (let index = 0; index < 1001; index += 1) {
    one.recorder.attempted('web', at(index));
    other.recorder.attempted('web', at(1000 - index));
  }
  const totals = new Totals([one.report(), other.report()]);
  expect(totals.attemptsAt('web', '10.0.0.1:0')).toMatchObject({ connected: 1 });
  expect(totals.attemptsAt('web', '10.0.0.1:500')).toMatchObject({ connected: 2 });
  expect(totals.attemptsAt('web', 'other')).toMatchObject({ connected: 2 });
});

test('a service that is configured no more stays while a connection is on its way to it, in whichever thread', () => {
  const [idle, busy] = [new Thread(0), new Thread(1)];
  const { endpoint: _, ...record } = liveRecord({ service: 'old', phase: 'connecting' });
  busy.live.add(record);
  busy.recorder.opened(record);
  idle.recorder.attempted('old', { endpoint: 'gone:1', why: '', address: '', durationMs: 1 });
  const totals = new Totals([idle.report(), busy.report()]);
  totals.follow(STATUS);
  expect(totals.latency()).toMatchObject([{ service: 'old' }]);
  expect(totals.attemptsAt('old', 'gone:1')).toBeUndefined();
});

test('what a worker accepted stays counted when its listener is gone', () => {
  const thread = new Thread(3);
  thread.carry({ ...told, listener: 'gone', ending: 'completed' });
  thread.carry(told);
  thread.recorder.report({ listeners: ['web'], services: [] });
  expect(new Totals([thread.report()]).workers.get(3)).toMatchObject({ accepted: 2, active: 1, answered: true });
});

test('of a worker that was replaced, what both did is added up, and whether the new one answers is told', () => {
  const [dead, alive] = [new Thread(0), new Thread(0)];
  dead.carry(told);
  alive.carry(told);
  [dead.handedOver, alive.handedOver] = [3, 4];
  const answering = new Totals([lastReport(dead.report()), alive.report()]);
  expect(answering.workers.get(0)).toMatchObject({ accepted: 2, active: 1, handedOver: 7, answered: true });
  expect(answering.counters.listener('web').routes.get('')?.closed.get('internal-error')).toBe(1);
  expect(new Totals([lastReport(dead.report())]).latency()).toMatchObject([
    { steps: { connect: { sinceStart: { count: 1 } } } },
  ]);
  expect(new Totals([lastReport(dead.report())]).latency()[0]?.steps.connect).not.toHaveProperty('recent');
  const stalled = new Totals([lastReport(dead.report()), staleReport(alive.report())]);
  expect(stalled.workers.get(0)).toMatchObject({ accepted: 2, active: 1, answered: false });
});

const told: Told = {
  thread: 0,
  listener: 'web',
  service: 'web',
  endpoint: 'a:1',
  bytesReceived: 10,
  bytesSent: 20,
  ms: 1,
  error: undefined,
  ending: undefined,
};
