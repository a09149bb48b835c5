/** What is told of several threads over time: they come and go, stall, and are reloaded, and no sum is seen to fall. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ConnectionRecord } from '../../src/telemetry/record.js';
import { Recorder, type ThreadReport } from '../../src/telemetry/recorder.js';
import type { ProxyStatus } from '../../src/telemetry/status.js';
import { Telemetry } from '../../src/telemetry/telemetry.js';
import { staleReport } from '../../src/telemetry/totals.js';
import type { Names } from '../../src/telemetry/wanted.js';
import { turn, VirtualClock } from '../fakes/clock.js';
import { parseExposition } from '../fakes/prometheus.js';
import { capturedLog, liveRecord, statusOf } from '../fakes/telemetry.js';

/** One worker's place, as the pool keeps it. */
interface Place {
  recorder: Recorder;
  readonly live: ConnectionRecord[];
  last: ThreadReport | undefined;
  stalled: boolean;
}

class FakeThreads {
  readonly clock = new VirtualClock();
  readonly #log = capturedLog().log;
  readonly places: readonly Place[];
  /** Between asking and answering, where a test wants to do something just then. */
  meanwhile: () => Promise<void> = async () => {};
  status: ProxyStatus = statusOf();
  readonly telemetry = new Telemetry({
    log: this.#log,
    clock: this.clock,
    version: '1',
    open: () => 0,
    report: (wanted) => this.#report(wanted),
    list: async (query) => this.places.map(({ recorder }) => recorder.list(query)),
    status: () => this.status,
  });

  constructor(count: number) {
    this.places = Array.from({ length: count }, (_, worker) => {
      const live: ConnectionRecord[] = [];
      return { live, recorder: this.#recorder(worker, live), last: undefined, stalled: false };
    });
  }

  at(worker: number): Place {
    const place = this.places[worker];
    if (!place) throw new Error(`there is no worker ${worker}`);
    return place;
  }

  open(worker: number, differences: Partial<ConnectionRecord> = {}): ConnectionRecord {
    const { live, recorder } = this.at(worker);
    const record = liveRecord({ startedAt: this.clock.now(), ...differences });
    live.push(record);
    recorder.opened(record);
    recorder.attempted(record.service ?? '', { endpoint: record.endpoint ?? '', why: '', address: '', durationMs: 1 });
    return record;
  }

  end(worker: number): void {
    const { live, recorder } = this.at(worker);
    const record = live.shift();
    if (record) recorder.ended(Object.assign(record, { ending: 'completed', durationMs: 5 }));
  }

  /** As a worker does, unasked. */
  tell(worker: number): void {
    const place = this.at(worker);
    if (!place.stalled) place.last = structuredClone(place.recorder.report());
  }

  die(worker: number): void {
    const place = this.at(worker);
    if (place.last) this.telemetry.retire(place.last);
    place.last = undefined;
    place.stalled = false;
    place.live.length = 0;
    place.recorder = this.#recorder(worker, place.live);
  }

  /** Listeners and services of these names, and no others. */
  configure(names: readonly string[]): void {
    this.status = statusOf({
      listeners: names.map((name) => ({ name, address: '127.0.0.1:1', service: name, paused: false })),
      services: names.map((name) => ({ name, endpoints: [{ id: 'a:1', addresses: ['a:1'] }], upstreams: [] })),
    });
  }

  /** What is counted, by series. */
  async counters(): Promise<ReadonlyMap<string, number>> {
    const { type, series } = parseExposition((await this.telemetry.metrics()).text);
    const own = series.filter(({ name }) => !/process|event_loop|config/.test(name));
    const counted = own.filter(({ name }) => type.get(name) === 'counter' || /_(bucket|count|sum)$/.test(name));
    return new Map(counted.map(({ name, labels, value }) => [`${name} ${JSON.stringify(labels)}`, value]));
  }

  #recorder(worker: number, live: readonly ConnectionRecord[]): Recorder {
    const { clock } = this;
    return new Recorder({ logger: this.#log.logger, accessLog: 'off', clock, worker, live: () => live });
  }

  async #report(wanted: Names): Promise<readonly ThreadReport[]> {
    const reports: ThreadReport[] = [];
    for (const place of this.places) {
      if (!place.stalled) place.last = structuredClone(place.recorder.report(wanted));
      if (place.last) reports.push(place.stalled ? staleReport(place.last) : place.last);
    }
    await this.meanwhile();
    return reports;
  }
}

const WORKERS = 3;
const worker = fc.nat(WORKERS - 1);
interface Step {
  readonly kind: string;
  readonly worker?: number;
  readonly service?: string;
  readonly names?: string[];
}

const NAMES = ['web', 'db', 'old'];
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('open'), worker, service: fc.constantFrom(...NAMES) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('end', 'bytes', 'tell'), worker }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('die', 'stall', 'wake'), worker }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('configure'), names: fc.subarray(NAMES) }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'look' }) },
);

async function take(threads: FakeThreads, { kind, worker = 0, service = '', names = [] }: Step) {
  const place = threads.at(worker);
  if (kind === 'open') threads.open(worker, { listener: service, service, endpoint: 'a:1', bytesReceived: 10 });
  if (kind === 'end') threads.end(worker);
  if (kind === 'tell') threads.tell(worker);
  if (kind === 'die') threads.die(worker);
  if (kind === 'stall') place.stalled = true;
  if (kind === 'wake') place.stalled = false;
  if (kind === 'configure') threads.configure(names);
  if (kind === 'bytes') for (const record of place.live) Object.assign(record, { bytesSent: record.bytesSent + 7 });
}

test('nothing that is counted is ever seen to fall, whatever becomes of the threads', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const threads = new FakeThreads(WORKERS);
      let before = await threads.counters();
      for (const one of steps) {
        if (one.kind !== 'look') {
          await take(threads, one);
          continue;
        }
        const now = await threads.counters();
        for (const [series, value] of now) expect(value, series).toBeGreaterThanOrEqual(before.get(series) ?? 0);
        before = now;
      }
    }),
  );
});

test('a worker that dies while the others are still answering is counted once', async () => {
  const threads = new FakeThreads(2);
  for (const worker of [0, 1]) threads.open(worker);
  await threads.counters();
  threads.meanwhile = async () => threads.die(0);
  expect((await threads.telemetry.totals()).traffic().get('web')).toMatchObject({ opened: 2, active: 1 });
  threads.meanwhile = async () => {};
  expect((await threads.telemetry.totals()).traffic().get('web')).toMatchObject({ opened: 2, active: 1 });
});

test('a worker that does not answer is told as such, with what it told last', async () => {
  const threads = new FakeThreads(2);
  threads.open(0);
  await threads.telemetry.totals();
  threads.at(0).stalled = true;
  threads.open(0);
  const { workers } = await threads.telemetry.totals();
  expect([...workers.values()]).toMatchObject([
    { worker: 0, active: 1, answered: false },
    { worker: 1, active: 0, answered: true },
  ]);
});

test('a service that was taken away is told of until its last connection has ended, and then not even of dead workers', async () => {
  const threads = new FakeThreads(2);
  threads.configure(['web', 'old']);
  for (const worker of [0, 1]) threads.open(worker, { listener: 'old', service: 'old', endpoint: 'a:1' });
  const opened = async () => (await threads.telemetry.totals()).traffic().get('old')?.opened;
  expect(await opened()).toBe(2);
  threads.configure(['web']);
  threads.end(0);
  expect(await opened()).toBe(2);
  threads.die(0);
  expect(await opened()).toBe(2);
  threads.end(1);
  expect(await opened()).toBeUndefined();
  expect((await threads.telemetry.totals()).attemptsAt('old', 'a:1')).toBeUndefined();
});

test('connections of all workers are listed together, the newest first, with the worker of each', async () => {
  const threads = new FakeThreads(3);
  for (const [index, worker] of [2, 0, 1, 1].entries()) {
    threads.clock.advance(1000);
    threads.open(worker, { id: `c-${index}` });
  }
  await turn();
  const { total, connections } = await threads.telemetry.connections({ limit: 3 });
  expect(total).toBe(4);
  expect(connections.map(({ id, worker }) => [id, worker])).toEqual([
    ['c-3', 1],
    ['c-2', 1],
    ['c-1', 0],
  ]);
});
