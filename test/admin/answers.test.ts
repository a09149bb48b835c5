import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  configAnswer,
  connectionsAnswer,
  latencyAnswer,
  servicesAnswer,
  statusAnswer,
} from '../../src/admin/answers.js';
import { connectionsView, latencyView, servicesView, statusView } from '../../src/admin/views.js';
import type { ConnectionsQuery } from '../../src/telemetry/connection-list.js';
import { FakeProxy, liveRecord, statusOf } from '../fakes/telemetry.js';

/** As a reader gets it: through JSON, and checked. */
function read<T>(schema: { parse(value: unknown): T }, answer: unknown): T {
  return schema.parse(JSON.parse(JSON.stringify(answer)));
}

async function connectionsOf(proxy: FakeProxy, query: ConnectionsQuery) {
  return connectionsAnswer(await proxy.telemetry.connections(query), proxy.clock.now());
}

test('the newest connections come first, however many there are', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 1, max: 60 }), async (open, limit) => {
      const proxy = new FakeProxy();
      for (let index = 0; index < open; index += 1) proxy.open(liveRecord({ id: `c-${index}` }));
      const { total, connections } = read(connectionsView, await connectionsOf(proxy, { limit }));
      expect(total).toBe(open);
      const newest = Array.from({ length: Math.min(open, limit) }, (_, index) => `c-${open - 1 - index}`);
      expect(connections.map(({ id }) => id)).toEqual(newest);
    }),
  );
});

test('connections can be asked for by service and by listener', async () => {
  const proxy = new FakeProxy();
  proxy.open(liveRecord({ id: 'a', listener: 'web', service: 'web' }));
  proxy.open(liveRecord({ id: 'b', listener: 'edge', service: 'web' }));
  proxy.open(liveRecord({ id: 'c', listener: 'edge', service: 'db' }));
  const ids = async (query: { service?: string; listener?: string }) =>
    (await connectionsOf(proxy, { limit: 10, ...query })).connections.map(({ id }) => id);
  expect(await ids({ service: 'web' })).toEqual(['b', 'a']);
  expect(await ids({ listener: 'edge' })).toEqual(['c', 'b']);
  expect(await ids({ service: 'web', listener: 'edge' })).toEqual(['b']);
  expect(await ids({ service: 'none' })).toEqual([]);
});

test('a connection is explained: where it went, why, and how long each step took', async () => {
  const proxy = new FakeProxy();
  const failed = { endpoint: 'a:1', why: 'next in turn', address: '10.0.0.1:1', durationMs: 2000, error: 'no answer' };
  const connected = { endpoint: 'b:1', why: 'a:1 had failed', address: '10.0.0.2:1', durationMs: 1 };
  proxy.open(
    liveRecord({
      endpoint: 'b:1',
      upstream: '10.0.0.2:1',
      attempts: [failed, connected],
      connectMs: 2001.23456,
      identifyMs: 0,
    }),
  );
  proxy.clock.advance(5000);
  const [view] = read(connectionsView, await connectionsOf(proxy, { limit: 1 })).connections;
  expect(view).toMatchObject({
    phase: 'relaying',
    endpoint: 'b:1',
    upstream: '10.0.0.2:1',
    why: 'a:1 had failed',
    openedAt: '2026-01-01T00:00:00.000Z',
    ageMs: 5000,
    identifyMs: 0,
    connectMs: 2001.235,
    attempts: [failed, connected],
  });
});

test('a connection of which little is known yet is shown with what is', async () => {
  const proxy = new FakeProxy();
  const { service: _, endpoint: __, upstream: ___, connectMs: ____, firstByteMs: _____, ...early } = liveRecord();
  proxy.open({ ...early, phase: 'identifying', attempts: [] });
  const [view] = read(connectionsView, await connectionsOf(proxy, { limit: 1 })).connections;
  expect(view).not.toHaveProperty('service');
  expect(view).not.toHaveProperty('connectMs');
});

test('endpoints are shown with what became of attempts to reach them', async () => {
  const proxy = new FakeProxy();
  proxy.open(liveRecord());
  proxy.recorder.attempted('web', { endpoint: '127.0.0.1:9001', why: '', address: '127.0.0.1:9001', durationMs: 1 });
  proxy.recorder.attempted('web', {
    endpoint: '127.0.0.1:9001',
    why: '',
    address: '127.0.0.1:9001',
    durationMs: 1,
    error: 'refused',
  });
  expect(read(servicesView, servicesAnswer(await proxy.telemetry.totals(), proxy.status))).toEqual({
    services: [
      {
        ejections: { connect: 2, latency: 0 },
        breaker: proxy.status.services[0]?.breaker,
        checks: { passed: 10, failed: 1, durationMs: 20 },
        name: 'web',
        endpoints: [
          {
            id: '127.0.0.1:9001',
            addresses: ['127.0.0.1:9001'],
            active: 1,
            connected: 1,
            failed: 1,
            lastFailure: { at: '2026-01-01T00:00:01.000Z', address: '127.0.0.1:9001', error: 'refused' },
          },
        ],
        upstreams: [{ upstream: '127.0.0.1:9001', endpoints: 1, resolveFailures: 0, answerAgeMs: 1000 }],
      },
    ],
  });
});

test('latency is summarised for all services, and drawn as curves for one', async () => {
  const proxy = new FakeProxy();
  proxy.end(proxy.open(liveRecord()));
  const all = read(latencyView, latencyAnswer(await proxy.telemetry.totals(), undefined));
  expect(all.services.map(({ service }) => service)).toEqual(['web']);
  expect(all.services[0]?.steps.duration).toMatchObject({ sinceStart: { count: 1, p99: 3000 }, recent: { count: 1 } });
  expect(all.services[0]?.steps.duration).not.toHaveProperty('curve');
  const one = read(latencyView, latencyAnswer(await proxy.telemetry.totals(), 'web'));
  expect(one.services[0]?.steps.duration?.curve?.at(-1)).toEqual({ percentile: 100, us: 3000 });
  expect(latencyAnswer(await proxy.telemetry.totals(), 'other')).toEqual({ services: [] });
});

test('the status tells the state, why, and what each listener carried', async () => {
  const proxy = new FakeProxy();
  proxy.status = statusOf({
    config: {
      version: 2,
      appliedAt: 0,
      reloads: { applied: 1, refused: 1 },
      refused: { at: 1000, error: 'line 3: no' },
    },
  });
  proxy.end(proxy.open(liveRecord({ bytesReceived: 10, bytesSent: 20 })));
  proxy.open(liveRecord({ bytesReceived: 1, bytesSent: 2 }));
  proxy.recorder.refused('web', 'draining');
  const answer = statusAnswer(await proxy.telemetry.totals(), {
    telemetry: proxy.telemetry,
    readiness: () => ({ kind: 'draining', reason: 'told to' }),
    config: () => ({}),
    drain: () => {},
  });
  expect(read(statusView, answer)).toMatchObject({
    version: '1.2.3',
    state: 'draining',
    reason: 'told to',
    config: { version: 2, appliedAt: '1970-01-01T00:00:00.000Z', refused: { error: 'line 3: no' } },
    listeners: [{ name: 'web', active: 1, opened: 2, refused: 1, bytesReceived: 11, bytesSent: 22 }],
    engine: { name: 'streams', workers: 1, deaths: 0 },
    workers: [{ worker: 0, accepted: 2, active: 1, handedOver: 0, answered: true }],
  });
});

test('the configuration is shown as people write it, with its version, and no secret in it', async () => {
  const proxy = new FakeProxy();
  const config = {
    listeners: { web: { address: '[::1]:80', idle: undefined } },
    services: { web: { upstreams: ['a.example:80', ':80', 'unix:/run/x'] } },
    joinToken: 'hush',
    database: { Password: 'hush', passwordFile: '/run/secret', apiKeys: ['hush'] },
    kind: { kind: 'ip' },
  };
  const source = {
    telemetry: proxy.telemetry,
    readiness: () => ({ kind: 'ready' }) as const,
    config: () => config,
    drain: () => {},
  };
  const answer = configAnswer(source);
  expect(answer).toEqual({
    version: 1,
    appliedAt: '2026-01-01T00:00:00.000Z',
    config: {
      listeners: { web: { address: '[::1]:80' } },
      services: { web: { upstreams: ['a.example:80', ':80', 'unix:/run/x'] } },
      joinToken: '(hidden)',
      database: { Password: '(hidden)', passwordFile: '/run/secret', apiKeys: '(hidden)' },
      kind: { kind: 'ip' },
    },
  });
  expect(JSON.stringify(answer)).not.toContain('hush');
});
