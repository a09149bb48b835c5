import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { HISTOGRAMS, METRICS } from '../../src/telemetry/metric-list.js';
import { threadCpuSeconds } from '../../src/telemetry/process-usage.js';
import { type Attempt, ENDINGS } from '../../src/telemetry/record.js';
import { parseExposition } from '../fakes/prometheus.js';
import { FakeProxy, liveRecord, recordOf, statusOf } from '../fakes/telemetry.js';

/** Scrapes, and answers with the value of one series: 'name label=value …'. */
async function scrape(
  proxy: FakeProxy,
): Promise<(name: string, labels?: Record<string, string>) => number | undefined> {
  const { series } = parseExposition((await proxy.telemetry.metrics()).text);
  return (name, labels = {}) => {
    const found = series.filter(
      (one) =>
        one.name === `meshproxy_${name}` &&
        Object.entries(labels).every(([label, value]) => one.labels[label] === value),
    );
    if (found.length > 1) throw new Error(`${found.length} series are called ${name} ${JSON.stringify(labels)}`);
    return found[0]?.value;
  };
}

const attempt = (differences: Partial<Attempt> = {}): Attempt => ({
  endpoint: '127.0.0.1:9001',
  why: 'next in turn',
  address: '127.0.0.1:9001',
  durationMs: 4,
  ...differences,
});

/** The metrics as `docs/metrics.md` lists them. */
function metricsTable(): string {
  const rows = [...METRICS, ...HISTOGRAMS].map(({ name, type, labels, help }) => {
    const labelList = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${type} | ${labelList} | ${help} |`;
  });
  return ['| name | type | labels | meaning |', '|---|---|---|---|', ...rows].join('\n');
}

test('docs/metrics.md lists exactly what is exported, and every way a connection ends', async () => {
  const docs = readFileSync('docs/metrics.md', 'utf8');
  expect(docs).toContain(`\n${metricsTable()}\n`);
  for (const [ending, words] of Object.entries(ENDINGS)) expect(docs).toContain(`| \`${ending}\` | ${words} |\n`);
});

test('a scrape is well-formed, and every metric that is listed is in it', async () => {
  const proxy = new FakeProxy();
  proxy.recorder.refused('web', 'draining');
  proxy.recorder.attempted('web', attempt());
  proxy.end(proxy.open(liveRecord({ clientIdentity: 'spiffe://example.org/ns/default/sa/web' })));
  const { contentType, text } = await proxy.telemetry.metrics();
  expect(contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
  const { type, help, series } = parseExposition(text);
  for (const spec of [...METRICS, ...HISTOGRAMS]) {
    expect(type.get(spec.name)).toBe(spec.type);
    expect(help.get(spec.name)).toBe(spec.help);
    const name = spec.type === 'histogram' ? `${spec.name}_bucket` : spec.name;
    const labels = series.filter((one) => one.name === name).map((one) => Object.keys(one.labels).sort());
    expect(labels.length, spec.name).toBeGreaterThan(0);
    const expected: readonly string[] = spec.type === 'histogram' ? [...spec.labels, 'le'] : spec.labels;
    expect(labels[0], spec.name).toEqual(expected.toSorted());
  }
});

test('what is configured is there from the start, at zero', async () => {
  const value = await scrape(new FakeProxy());
  expect(value('connections_opened_total', { listener: 'web' })).toBe(0);
  expect(value('connections_active', { listener: 'web' })).toBe(0);
  expect(value('received_bytes_total', { listener: 'web', service: 'web' })).toBe(0);
  expect(value('connection_seconds_count', { service: 'web' })).toBe(0);
});

test('connections are counted as they open and end', async () => {
  const proxy = new FakeProxy();
  const first = proxy.open(liveRecord());
  proxy.open(liveRecord());
  proxy.end(first, { ending: 'client-reset' });
  const { service: _, ...unrouted } = liveRecord();
  proxy.end(proxy.open(unrouted), { ending: 'bad-proxy-header' });
  const value = await scrape(proxy);
  expect(value('connections_opened_total')).toBe(3);
  expect(value('connections_active')).toBe(1);
  expect(value('connections_closed_total', { service: 'web', ending: 'client-reset' })).toBe(1);
  expect(value('connections_closed_total', { service: '', ending: 'bad-proxy-header' })).toBe(1);
});

test('bytes of open connections count at once, and never go backwards', async () => {
  const proxy = new FakeProxy();
  const record = proxy.open(liveRecord({ bytesReceived: 100, bytesSent: 1000 }));
  const received = async (): Promise<number | undefined> => (await scrape(proxy))('received_bytes_total');
  expect(await received()).toBe(100);
  Object.assign(record, { bytesReceived: 250 });
  expect(await received()).toBe(250);
  proxy.end(record);
  expect(await received()).toBe(250);
  // A transport whose last count is lower than one it had shown.
  const other = proxy.open(liveRecord({ bytesReceived: 50 }));
  expect(await received()).toBe(300);
  proxy.end(other, { bytesReceived: 40 });
  expect(await received()).toBe(300);
  proxy.end(proxy.open(liveRecord({ bytesReceived: 25 })));
  expect(await received()).toBe(315);
});

test('a connection that is told of as ended while it is still listed counts once', async () => {
  const proxy = new FakeProxy();
  const record = proxy.open(recordOf({ bytesReceived: 100 }));
  proxy.recorder.ended(record);
  expect((await scrape(proxy))('received_bytes_total')).toBe(100);
});

test('attempts are counted by endpoint and result, connect times by service', async () => {
  const proxy = new FakeProxy();
  proxy.recorder.attempted('web', attempt({ durationMs: 3 }));
  proxy.recorder.attempted('web', attempt({ durationMs: 2000, error: 'no answer' }));
  const value = await scrape(proxy);
  expect(value('connect_attempts_total', { endpoint: '127.0.0.1:9001', result: 'connected' })).toBe(1);
  expect(value('connect_attempts_total', { endpoint: '127.0.0.1:9001', result: 'failed' })).toBe(1);
  expect(value('connect_seconds_count')).toBe(1);
  expect(value('connect_seconds_bucket', { le: '0.0025' })).toBe(0);
  expect(value('connect_seconds_bucket', { le: '0.005' })).toBe(1);
  expect(value('connect_seconds_sum')).toBe(0.003);
});

test('the state of configuration, listeners and upstreams is shown', async () => {
  const proxy = new FakeProxy();
  proxy.status = statusOf({
    config: {
      version: 3,
      appliedAt: 1_700_000_000_500,
      reloads: { applied: 2, refused: 1 },
      refused: { at: 1_700_000_001_000, error: 'line 3: unknown key' },
    },
    listeners: [{ name: 'web', address: ':8080', service: 'web', paused: true }],
    services: [
      {
        name: 'web',
        endpoints: [],
        upstreams: [{ upstream: 'a.example:80', endpoints: 3, resolveFailures: 7, answerAgeMs: 1500, error: 'no' }],
      },
    ],
  });
  const value = await scrape(proxy);
  expect(value('config_version')).toBe(3);
  expect(value('config_applied_timestamp_seconds')).toBe(1_700_000_000.5);
  expect(value('config_last_reload_successful')).toBe(0);
  expect(value('config_reloads_total', { result: 'refused' })).toBe(1);
  expect(value('listener_paused')).toBe(1);
  expect(value('service_endpoints')).toBe(0);
  expect(value('resolve_failures_total', { upstream: 'a.example:80' })).toBe(7);
  expect(value('upstream_failing', { upstream: 'a.example:80' })).toBe(1);
  expect(value('upstream_endpoints', { upstream: 'a.example:80' })).toBe(3);
  expect(value('upstream_answer_age_seconds', { upstream: 'a.example:80' })).toBe(1.5);
  expect(value('build_info', { version: '1.2.3', node: process.versions.node })).toBe(1);
});

test('what a reload took away goes once its last connection has ended', async () => {
  const proxy = new FakeProxy();
  proxy.status = statusOf({ listeners: [], services: [] });
  const old = proxy.open(liveRecord({ listener: 'old', service: 'old', endpoint: 'gone:1' }));
  proxy.recorder.attempted('old', attempt({ endpoint: 'gone:1' }));
  const before = await scrape(proxy);
  expect(before('connections_active', { listener: 'old' })).toBe(1);
  expect(before('connect_attempts_total', { service: 'old', result: 'connected' })).toBe(1);
  proxy.end(old);
  const text = (await proxy.telemetry.metrics()).text;
  expect(text).not.toContain('"old"');
  expect((await proxy.telemetry.totals()).latency()).toEqual([]);
});

test('an endpoint that left its service is not told of any more', async () => {
  const proxy = new FakeProxy();
  proxy.recorder.attempted('web', attempt({ endpoint: 'gone:1' }));
  proxy.recorder.attempted('web', attempt());
  const value = await scrape(proxy);
  expect(value('connect_attempts_total', { endpoint: 'gone:1', result: 'connected' })).toBeUndefined();
  expect(value('connect_attempts_total', { endpoint: '127.0.0.1:9001', result: 'connected' })).toBe(1);
});

test('two scrapes at a time do not mix', async () => {
  const proxy = new FakeProxy();
  proxy.open(liveRecord({ bytesSent: 10 }));
  const values = await Promise.all([scrape(proxy), scrape(proxy)]);
  expect(values.map((value) => value('sent_bytes_total'))).toEqual([10, 10]);
});

test('the process tells of itself', async () => {
  const value = await scrape(new FakeProxy());
  expect(value('process_resident_memory_bytes')).toBeGreaterThan(10 * 1024 ** 2);
  expect(value('process_cpu_seconds_total', { mode: 'user' })).toBeGreaterThan(0);
  expect(value('event_loop_busy_seconds_total')).toBeGreaterThan(0);
  expect(value('event_loop_lag_seconds')).toBeGreaterThanOrEqual(0);
  if (process.platform === 'linux') {
    expect(value('process_open_fds')).toBeGreaterThan(3);
    expect(value('process_max_fds')).toBeGreaterThan(value('process_open_fds') ?? 0);
  }
});

test('latency is measured from attempts and endings', async () => {
  const proxy = new FakeProxy();
  proxy.recorder.attempted('web', attempt({ durationMs: 4 }));
  proxy.end(proxy.open(liveRecord({ firstByteMs: 1.5 })), { durationMs: 30 });
  const [web] = (await proxy.telemetry.totals()).latency();
  expect(web?.steps.connect?.recent).toMatchObject({ count: 1, max: 4000 });
  expect(web?.steps.firstByte?.recent).toMatchObject({ count: 1, max: 1500 });
  expect(web?.steps.duration?.sinceStart).toMatchObject({ count: 1, max: 30_000 });
  expect((await proxy.telemetry.totals()).latencyCurve('web', 'connect').at(-1)).toEqual({ percentile: 100, us: 4000 });
});

test('ended connections are written to the access log as its mode asks, which may change', async () => {
  const proxy = new FakeProxy();
  proxy.end(proxy.open(liveRecord()));
  proxy.recorder.accessLog = 'errors';
  proxy.end(proxy.open(liveRecord()));
  proxy.end(proxy.open(liveRecord()), { ending: 'upstream-reset' });
  expect(proxy.lines).toMatchObject([
    { level: 'info', msg: expect.stringContaining('in order'), connection: { ending: 'completed' } },
    { level: 'warn', msg: expect.stringContaining('upstream reset'), connection: { ending: 'upstream-reset' } },
  ]);
});

test.runIf(process.platform === 'linux')('the CPU time of a thread grows as it works', () => {
  const before = threadCpuSeconds() ?? Number.NaN;
  // However much of a processor it gets.
  while (!((threadCpuSeconds() ?? Number.NaN) > before + 0.01));
  const { user, system } = process.cpuUsage();
  expect(threadCpuSeconds()).toBeLessThanOrEqual((user + system) / 1e6 + 1);
});

test('connections are counted by who their client has proven to be, five hundred of them by name', async () => {
  const proxy = new FakeProxy();
  for (let client = 0; client < 503; client += 1) {
    proxy.end(proxy.open(liveRecord({ clientIdentity: `spiffe://example.org/ns/default/sa/c${client}` })));
  }
  proxy.end(proxy.open(liveRecord({ clientIdentity: 'spiffe://example.org/ns/default/sa/c7' })));
  const { series } = parseExposition((await proxy.telemetry.metrics()).text);
  const counts = new Map(
    series
      .filter(({ name }) => name === 'meshproxy_client_connections_total')
      .map(({ labels, value }) => [labels['identity']?.split('/').at(-1), value]),
  );
  expect(counts.size).toBe(501);
  expect([counts.get('c7'), counts.get('c8'), counts.get('other')]).toEqual([2, 1, 3]);
});
