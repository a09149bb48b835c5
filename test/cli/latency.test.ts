import { afterEach, beforeEach, expect, test } from 'vitest';
import { showLatency } from '../../src/cli/latency.js';
import { FakeAdmin } from '../fakes/admin.js';
import { FakeOutput } from '../fakes/output.js';

let admin: FakeAdmin;

beforeEach(async () => {
  admin = await FakeAdmin.start();
});

afterEach(() => admin.close());

function connected(service: string, durationMs: number): void {
  admin.proxy.recorder.attempted(service, { endpoint: 'a:1', why: '', address: 'a:1', durationMs });
}

async function shown(options: { service?: string; json?: boolean } = {}): Promise<FakeOutput> {
  const output = new FakeOutput();
  await showLatency({ admin: admin.address, ...options }, output);
  return output;
}

test('it shows the percentiles of every service and step, of late and since the start', async () => {
  for (let ms = 1; ms <= 100; ms += 1) connected('web', ms);
  expect((await shown()).lines).toEqual([
    'service  step     over          count   min   mean    p50    p90    p99   p99.9     max',
    'web      connect  last minutes    100  1 ms  51 ms  50 ms  90 ms  99 ms  100 ms  100 ms',
    '                  since start     100  1 ms  51 ms  50 ms  90 ms  99 ms  100 ms  100 ms',
  ]);
});

test('where nothing was measured of late, only what was before is shown', async () => {
  connected('web', 2);
  admin.proxy.clock.advance(600_000);
  const { lines } = await shown();
  expect(lines[1]).toMatch(/last minutes +0( +–){7}$/);
  expect(lines[2]).toMatch(/since start +1( +2 ms){7}$/);
});

test('it shows one service', async () => {
  connected('web', 2);
  admin.proxy.status = {
    ...admin.proxy.status,
    services: ['web', 'db'].map((name) => ({ name, endpoints: [], upstreams: [] })),
  };
  connected('db', 3);
  expect((await shown()).text).toContain('web');
  const { text } = await shown({ service: 'db' });
  expect(text).toContain('db');
  expect(text).not.toContain('web');
});

test('a proxy that has not measured anything says so', async () => {
  expect((await shown()).text).toBe('nothing was measured yet\n');
});

test('--json prints what the proxy answered', async () => {
  connected('web', 2);
  expect(JSON.parse((await shown({ json: true })).text)).toMatchObject({
    services: [{ service: 'web', steps: { connect: { sinceStart: { count: 1, p50: 2000 } } } }],
  });
});
