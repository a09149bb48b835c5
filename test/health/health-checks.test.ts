import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Endpoint } from '../../src/balancer/picker.js';
import { EndpointSlots } from '../../src/balancer/slots.js';
import { parseConfig } from '../../src/config/load.js';
import type { ConfigInput } from '../../src/config/schema.js';
import { formatAddress } from '../../src/core/address.js';
import { HealthChecks } from '../../src/health/health-checks.js';
import { VirtualClock } from '../fakes/clock.js';
import { startServer } from '../fakes/net.js';

type Settings = Omit<NonNullable<ConfigInput['services']>[string], 'upstreams'>;

/** A server that answers with the status that it is told, and counts who asked. */
async function startHttp() {
  const server = { status: 200, asked: 0, endpoint: { id: '', addresses: [] } as Endpoint };
  const { address, close } = await startServer((socket: Socket) => {
    socket.once('data', () => {
      server.asked += 1;
      socket.end(`HTTP/1.1 ${server.status} x\r\n\r\n`);
    });
  });
  onTestFinished(close);
  server.endpoint = { id: formatAddress(address), addresses: [address] };
  return server;
}

const SETTINGS: Settings = { healthCheck: 'http:/health', healthInterval: '1s', healthRise: 2, healthFall: 3 };

/** Checks of one service, as a proxy drives them. */
function start() {
  const clock = new VirtualClock();
  const told: string[] = [];
  const checks = new HealthChecks(
    clock,
    {
      onTurn: (_service, _endpoint, isHealthy, words, inARow) =>
        told.push(`${isHealthy ? 'healthy' : 'unhealthy'}: ${words} (${inARow})`),
      onBug: (error) => {
        throw error;
      },
    },
    () => 0.5,
  );
  onTestFinished(() => checks.stop());
  const slots = new EndpointSlots(1);
  const put = (endpoints: readonly Endpoint[], written: Settings = SETTINGS) => {
    const { services } = parseConfig({ services: { web: { upstreams: ['10.0.0.1:80'], ...written } } });
    slots.place(endpoints, clock.now());
    checks.update({ name: 'web', settings: services['web']!, endpoints: slots.placed, stats: slots.stats });
  };
  const isUnhealthy = ({ id }: Endpoint): boolean =>
    slots.stats.slot(slots.placed.find((one) => one.id === id)!.slot).isUnhealthy;
  /** Moves time on until that many checks have been made. */
  const until = async (count: number) => {
    const done = (): number => (checks.counts('web')?.passed ?? 0) + (checks.counts('web')?.failed ?? 0);
    const wanted = done() + count;
    while (done() < wanted) await clock.advanceAsync(1);
  };
  return { clock, told, checks, slots, put, isUnhealthy, until };
}

describe('health checks', () => {
  it('take an endpoint out after fall failures, let it back in after rise, and say so once', async () => {
    const server = await startHttp();
    const { clock, told, slots, put, isUnhealthy, until } = start();
    put([server.endpoint]);
    await until(1);
    const stats = slots.stats.slot(0);
    expect(stats.startedAt).toBe(0);
    server.status = 503;
    const version = slots.stats.version;
    await until(2);
    expect(isUnhealthy(server.endpoint)).toBe(false);
    await until(1);
    expect(isUnhealthy(server.endpoint)).toBe(true);
    expect(slots.stats.version).toBe(version + 1);
    await until(2);
    server.status = 200;
    await until(1);
    expect(isUnhealthy(server.endpoint)).toBe(true);
    await until(1);
    expect(isUnhealthy(server.endpoint)).toBe(false);
    // From then on it starts slowly, where the service says so.
    expect(clock.now() - stats.startedAt).toBeLessThan(10);
    expect(told).toEqual(['unhealthy: GET /health answered 503 (3)', 'healthy: GET /health answered 200 (2)']);
  });

  it('begin soon after an endpoint is added, and the first may take it out', async () => {
    const server = await startHttp();
    server.status = 500;
    const { clock, told, put, until } = start();
    const addedAt = clock.now();
    put([server.endpoint], { ...SETTINGS, healthInterval: '1h' });
    await until(1);
    expect(clock.now() - addedAt).toBeLessThan(1000);
    expect(told).toEqual(['unhealthy: GET /health answered 500 (1)']);
  });

  it('end with the endpoint, which is new should it come back', async () => {
    const [server, other] = [await startHttp(), await startHttp()];
    server.status = 503;
    const { put, isUnhealthy, until, checks } = start();
    put([server.endpoint, other.endpoint]);
    await until(2);
    expect(isUnhealthy(server.endpoint)).toBe(true);
    put([other.endpoint]);
    const { asked } = server;
    await until(3);
    expect(server.asked).toBe(asked);
    expect(checks.last('web', server.endpoint.id)).toBeUndefined();
    put([server.endpoint, other.endpoint]);
    expect(isUnhealthy(server.endpoint)).toBe(false);
    await until(2);
    expect(isUnhealthy(server.endpoint)).toBe(true);
  });

  it('go on with what they know where a reload changes nothing of what is asked', async () => {
    const server = await startHttp();
    const { told, put, until } = start();
    put([server.endpoint]);
    await until(1);
    server.status = 503;
    await until(2);
    put([server.endpoint], { ...SETTINGS, connectTimeout: '1s' });
    await until(1);
    expect(told).toEqual(['unhealthy: GET /health answered 503 (3)']);
  });

  it('come as often as a reload says at once, and not only after the interval that there was', async () => {
    const server = await startHttp();
    const { clock, put, until, told } = start();
    put([server.endpoint], { ...SETTINGS, healthInterval: '1h' });
    await until(1);
    server.status = 503;
    put([server.endpoint]);
    const changedAt = clock.now();
    await until(3);
    expect(clock.now() - changedAt).toBeLessThan(5000);
    expect(told).toEqual(['unhealthy: GET /health answered 503 (3)']);
  });

  it('begin anew where a reload changes what is asked: who is out stays so until answered, and the first answer decides', async () => {
    const server = await startHttp();
    server.status = 503;
    const { told, put, isUnhealthy, until } = start();
    put([server.endpoint]);
    await until(1);
    put([server.endpoint], { ...SETTINGS, healthStatus: '503' });
    expect(isUnhealthy(server.endpoint)).toBe(true);
    await until(1);
    expect(isUnhealthy(server.endpoint)).toBe(false);
    expect(told).toEqual(['unhealthy: GET /health answered 503 (1)', 'healthy: GET /health answered 503 (1)']);
  });

  it('leave nobody out where they are turned off, or their service is gone', async () => {
    const server = await startHttp();
    server.status = 503;
    const { clock, put, isUnhealthy, until, checks } = start();
    put([server.endpoint]);
    await until(1);
    put([server.endpoint], { ...SETTINGS, healthCheck: 'off' });
    expect(isUnhealthy(server.endpoint)).toBe(false);
    expect(checks.counts('web')).toBeUndefined();
    expect(clock.pending).toBe(0);
    put([server.endpoint]);
    await until(1);
    expect(isUnhealthy(server.endpoint)).toBe(true);
    checks.retain(new Set());
    expect(isUnhealthy(server.endpoint)).toBe(false);
    expect(clock.pending).toBe(0);
  });

  it('of a hundred endpoints are spread over a second at the start, and each endpoint is asked once an interval', async () => {
    const server = await startHttp();
    const endpoints = Array.from({ length: 100 }, (_, at) => ({ ...server.endpoint, id: String(at) }));
    const { clock, put, until } = start();
    put(endpoints, { ...SETTINGS, healthInterval: '10s' });
    const begunAt = clock.now();
    await until(100);
    expect(clock.now() - begunAt).toBeLessThan(2000);
    await until(200);
    const lasted = clock.now() - begunAt;
    expect(lasted).toBeGreaterThan(18_000);
    expect(lasted).toBeLessThan(23_000);
    expect(server.asked).toBeGreaterThanOrEqual(300);
  });
});
