import { createHash } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { connectionsAnswer, latencyAnswer, servicesAnswer, statusAnswer } from '../../src/admin/answers.js';
import { PAGE, PAGE_POLICY } from '../../src/admin/page.js';
import { SCRIPT } from '../../src/admin/page-script.js';
import type { AdminSource } from '../../src/admin/source.js';
import { browse, type FakeBrowser } from '../fakes/dom.js';
import { FakeProxy, liveRecord, statusOf } from '../fakes/telemetry.js';

const HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>\u0000&amp;';

/** A page that shows what `proxy` tells. */
function show(proxy: FakeProxy, differences: Partial<AdminSource> = {}): FakeBrowser {
  const source: AdminSource = {
    telemetry: proxy.telemetry,
    readiness: () => ({ kind: 'ready' }),
    config: () => ({}),
    drain: () => {},
    ...differences,
  };
  return browse(PAGE, SCRIPT, async (path) => {
    const { pathname, searchParams } = new URL(path, 'http://admin');
    switch (pathname) {
      case '/status':
        return statusAnswer(await proxy.telemetry.totals(), source);
      case '/services':
        return servicesAnswer(await proxy.telemetry.totals(), proxy.status);
      case '/connections': {
        const query = { limit: Number(searchParams.get('limit')) };
        return connectionsAnswer(await proxy.telemetry.connections(query), proxy.clock.now());
      }
      case '/latency':
        return latencyAnswer(await proxy.telemetry.totals(), searchParams.get('service') ?? undefined);
      default:
        throw new Error(`the page asked for ${path}`);
    }
  });
}

/** The page has drawn: its next turn is set. */
async function drawn(page: FakeBrowser, turns = 1): Promise<void> {
  await vi.waitFor(() => {
    expect(page.timers.size).toBe(1);
    expect(page.asked.filter((path) => path === '/status')).toHaveLength(turns);
  });
}

function turn(page: FakeBrowser): void {
  const [next] = page.timers.values();
  next?.();
}

test('the policy allows this script and this style, and nothing from elsewhere', () => {
  const hash = (tag: string): string => {
    const content = new RegExp(`<${tag}>([^]*?)</${tag}>`).exec(PAGE)?.[1] ?? '';
    return `${tag}-src 'sha256-${createHash('sha256').update(content).digest('base64')}'`;
  };
  expect(PAGE_POLICY.split('; ')).toEqual(
    expect.arrayContaining([
      "default-src 'none'",
      hash('script'),
      hash('style'),
      "connect-src 'self'",
      "frame-ancestors 'none'",
    ]),
  );
  // The name of SVG's elements looks like an address, and nothing is fetched from it.
  expect(PAGE.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|\ssrc=|@import|\sstyle=|\son\w+=/);
  expect(PAGE_POLICY).not.toMatch(/unsafe|\*/);
});

test('it shows listeners, services, latency and connections, with where and why', async () => {
  const proxy = new FakeProxy();
  proxy.recorder.attempted('web', {
    endpoint: '127.0.0.1:9001',
    why: '',
    address: '',
    durationMs: 2,
    error: 'no answer',
  });
  proxy.end(proxy.open(liveRecord()));
  proxy.open(liveRecord({ client: '203.0.113.7:4000' }));
  const page = show(proxy);
  await drawn(page);
  expect(page.at('state').textContent).toBe('ready');
  expect(page.at('banner').hidden).toBe(true);
  expect(page.at('tile-active').textContent).toContain('1 open');
  expect(page.at('listeners').textContent).toContain('127.0.0.1:8080');
  expect(page.at('services').textContent).toMatch(/web 1 endpoint .*127\.0\.0\.1:9001 .*no answer/);
  expect(page.at('latency').textContent).toMatch(/p99\.9 .*whole connection/);
  expect(page.at('connections').textContent).toMatch(
    /203\.0\.113\.7:4000 through 127\.0\.0\.1:51000 .*next in turn relaying/,
  );
});

test('an endpoint is shown with what there is to know of it, and an upstream without endpoints with why', async () => {
  const proxy = new FakeProxy();
  const listed = {
    id: 'a',
    addresses: ['10.0.0.1:80'],
    weight: 0,
    zone: 'eu-1',
    priority: 2,
    metadata: { rack: 'r7' },
  };
  const empty = { upstream: 'file:/run/b', endpoints: 0, resolveFailures: 0, empty: 'the file lists none' };
  proxy.status = statusOf({ services: [{ name: 'web', endpoints: [listed], upstreams: [empty] }] });
  const page = show(proxy);
  await drawn(page);
  const text = page.at('services').textContent;
  expect(text).toContain('weight 0: no new connections · zone eu-1 · priority 2 · rack=r7');
  expect(text).toMatch(/file:\/run\/b.*no endpoints: the file lists none/);
});

test('an endpoint that takes no connections is shown with the reason, and one that is checked with what it answered', async () => {
  const proxy = new FakeProxy();
  const check = { passed: true, words: 'GET /health answered 200', at: Date.now(), durationMs: 1 };
  const endpoints = [
    {
      id: 'a:1',
      addresses: ['a:1'],
      standing: { kind: 'ejected', why: 'TLS with it failed', leftMs: 12_000 } as const,
    },
    { id: 'b:1', addresses: ['b:1'], standing: { kind: 'unhealthy', why: 'GET /health answered 503' } as const },
    { id: 'c:1', addresses: ['c:1'], lastCheck: check },
  ];
  proxy.status = statusOf({ services: [{ name: 'web', endpoints, upstreams: [], panic: true }] });
  const page = show(proxy);
  await drawn(page);
  const text = page.at('services').textContent;
  expect(text).toContain('3 endpoints, too few of which can take connections: all get some');
  expect(text).toContain('ejected for another 12 s: TLS with it failed');
  expect(text).toContain('unhealthy: GET /health answered 503');
  expect(text).toMatch(/GET \/health answered 200 .* ago/);
});

test("a service's places are shown, and that it refuses whoever comes next", async () => {
  const proxy = new FakeProxy();
  const breaker = { connections: 10, maxConnections: 10, waiting: 2, maxWaiting: 2, retrying: 0, open: true };
  const unbound = { connections: 4, waiting: 0, retrying: 3, open: false };
  proxy.status = statusOf({
    services: [
      { name: 'bound', endpoints: [], upstreams: [], breaker },
      { name: 'unbound', endpoints: [], upstreams: [], breaker: unbound },
    ],
  });
  const page = show(proxy);
  await drawn(page);
  const text = page.at('services').textContent;
  expect(text).toContain('10 of 10 places taken · 2 of 2 waiting · any more are refused');
  expect(text).toContain('unbound 0 endpoints 3 being tried again');
});

test('names from outside are text and nothing else', async () => {
  const proxy = new FakeProxy();
  proxy.status = statusOf({
    config: { version: 1, appliedAt: 0, reloads: { applied: 0, refused: 1 }, refused: { at: 0, error: HOSTILE } },
    listeners: [{ name: HOSTILE, address: HOSTILE, service: HOSTILE, paused: true }],
    services: [
      {
        name: HOSTILE,
        endpoints: [
          { id: HOSTILE, addresses: [HOSTILE, 'other'], zone: HOSTILE, metadata: { [HOSTILE]: HOSTILE } },
          { id: 'x', addresses: [], standing: { kind: 'unhealthy', why: HOSTILE } },
        ],
        upstreams: [{ endpoints: 1, upstream: HOSTILE, resolveFailures: 1, error: HOSTILE }],
      },
    ],
  });
  const failed = { endpoint: HOSTILE, why: HOSTILE, address: HOSTILE, durationMs: 1, error: HOSTILE };
  proxy.recorder.attempted(HOSTILE, failed);
  proxy.open(
    liveRecord({
      client: HOSTILE,
      peer: 'x',
      listener: HOSTILE,
      service: HOSTILE,
      endpoint: HOSTILE,
      upstream: 'x',
      attempts: [failed],
    }),
  );
  const page = show(proxy, { readiness: () => ({ kind: 'draining', reason: HOSTILE }) });
  await drawn(page);
  const places = ['banner', 'listeners', 'services', 'connections', 'filter'];
  for (const place of places) expect(page.at(place).textContent, place).toContain(HOSTILE);
  const tags = new Set(places.flatMap((place) => [...page.at(place).elements()].map(({ tag }) => tag)));
  expect(tags).not.toContain('img');
  expect(tags).not.toContain('script');
  // The only ways from text to elements or to code; the fake document does not have them either.
  expect(SCRIPT).not.toMatch(
    /innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function|setAttribute\('on|srcdoc|javascript:/,
  );
});

test('it refreshes while it is seen, and rests while it is not', async () => {
  const page = show(new FakeProxy());
  await drawn(page);
  turn(page);
  await drawn(page, 2);
  page.document.hidden = true;
  page.emit('visibilitychange');
  expect(page.timers.size).toBe(0);
  page.document.hidden = false;
  page.emit('visibilitychange');
  await drawn(page, 3);
});

test('rates are what happened between two looks', async () => {
  const proxy = new FakeProxy();
  const page = show(proxy);
  await drawn(page);
  expect(page.at('tile-opened').textContent).toContain('–');
  for (let index = 0; index < 1000; index += 1) proxy.open(liveRecord());
  turn(page);
  await drawn(page, 2);
  const shown = Number(/([\d.]+) per second/.exec(page.at('tile-opened').textContent)?.[1]);
  expect(shown).toBeGreaterThan(0);
});

test('a proxy that does not answer is told, and asked again', async () => {
  const proxy = new FakeProxy();
  let broken = true;
  const page = show(proxy, {
    readiness: () => {
      if (broken) throw new Error('gone');
      return { kind: 'ready' };
    },
  });
  await vi.waitFor(() => expect(page.at('state').textContent).toBe('no answer'));
  broken = false;
  await vi.waitFor(() => expect(page.timers.size).toBe(1));
  turn(page);
  await vi.waitFor(() => expect(page.at('state').textContent).toBe('ready'));
});

test.each([
  [{ name: 'streams', workers: 1, deaths: 0 }, 'streams configuration'],
  [{ name: 'streams', workers: 1, deaths: 0, why: 'not on this system' }, 'native cannot run: not on this system'],
  [{ name: 'native', workers: 1, deaths: 0 }, 'native, 1 worker with 1 open configuration'],
  [{ name: 'native', workers: 1, deaths: 3 }, '1 worker with 1 open, 3 died and replaced'],
] as const)('it tells the engine: %j', async (engine, words) => {
  const proxy = new FakeProxy();
  proxy.status = statusOf({ engine });
  proxy.open(liveRecord());
  const page = show(proxy);
  await drawn(page);
  expect(page.at('facts').textContent).toContain(words);
});
