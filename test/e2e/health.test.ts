import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ServicesView } from '../../src/admin/views.js';
import type { IpAddress } from '../../src/core/address.js';
import { formatAddress } from '../../src/core/address.js';
import { nativeSupport } from '../../src/l4/native/support.js';
import { Program } from './program.js';

const ENGINES = [
  ['streams', ['--engine', 'streams']],
  ...(nativeSupport().ok ? [['native', ['--engine', 'native', '--workers', '2']] as const] : []),
] as const;

/** A web server with a name, whose health can be told; it counts who asks for that. */
class Web {
  readonly name: string;
  healthy = true;
  asked = 0;
  readonly #server: http.Server;

  private constructor(name: string) {
    this.name = name;
    this.#server = http.createServer({ keepAlive: false }, (request, response) => {
      if (request.url !== '/health') return void response.end(this.name);
      this.asked += 1;
      response.statusCode = this.healthy ? 200 : 503;
      response.end();
    });
  }

  static async start(name: string): Promise<Web> {
    const web = new Web(name);
    web.#server.listen(0, '127.0.0.1');
    await once(web.#server, 'listening');
    onTestFinished(() => {
      web.#server.close();
      web.#server.closeAllConnections();
    });
    return web;
  }

  close(): void {
    this.#server.close();
  }

  get address(): IpAddress {
    return { kind: 'ip', host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  get endpoint(): string {
    return formatAddress(this.address);
  }
}

/** The names of who answered so many connections, one after the other. */
async function answers(program: Program, count: number): Promise<Set<string>> {
  const url = `http://${formatAddress(await program.loopback())}/`;
  const names = new Set<string>();
  for (let at = 0; at < count; at += 1) {
    names.add(await (await fetch(url, { headers: { connection: 'close' } })).text());
  }
  return names;
}

const CHECKED = ['--health-check', 'http:/health', '--health-interval', '100ms', '--balance', 'round-robin'];

describe.each(ENGINES)('on %s an endpoint', (_, engine) => {
  it('that answers 503 gets no new connections, and gets them again when it is well', async () => {
    const [one, two] = [await Web.start('one'), await Web.start('two')];
    const program = Program.inFrontOf([one.address, two.address], [...engine, ...CHECKED]);
    expect(await answers(program, 6)).toEqual(new Set(['one', 'two']));
    one.healthy = false;
    const from = program.lines.length;
    const { msg } = await program.said(/is unhealthy/, from);
    expect(msg).toBe(`endpoint ${one.endpoint} of service default is unhealthy: GET /health answered 503 (3 in a row)`);
    expect(await answers(program, 10)).toEqual(new Set(['two']));
    one.healthy = true;
    const back = await program.said(/is healthy again/, from);
    expect(back.msg).toBe(
      `endpoint ${one.endpoint} of service default is healthy again: GET /health answered 200 (2 in a row)`,
    );
    expect(await answers(program, 10)).toEqual(new Set(['one', 'two']));
    expect(program.log.filter(({ msg }) => /healthy/.test(msg))).toHaveLength(2);
  });

  it('shows how it is, in /services and in the metrics', async () => {
    const [one, two] = [await Web.start('one'), await Web.start('two')];
    one.healthy = false;
    const program = Program.inFrontOf([one.address, two.address], [...engine, ...CHECKED]);
    await program.said(/is unhealthy/);
    const { services } = await program.json<ServicesView>('/services');
    expect(services[0]?.endpoints).toMatchObject([
      { id: one.endpoint, standing: { kind: 'unhealthy', why: 'GET /health answered 503' } },
      { id: two.endpoint, lastCheck: { passed: true, words: 'GET /health answered 200' } },
    ]);
    expect(await program.metric('meshproxy_endpoint_healthy', { endpoint: one.endpoint })).toBe(0);
    expect(await program.metric('meshproxy_endpoint_healthy', { endpoint: two.endpoint })).toBe(1);
    expect(await program.metric('meshproxy_service_endpoints_standing', { standing: 'unhealthy' })).toBe(1);
    expect(await program.metric('meshproxy_health_checks_total', { result: 'failed' })).toBeGreaterThan(0);
    expect(await program.metric('meshproxy_health_check_seconds_total')).toBeGreaterThan(0);
  });

  it('that was ejected by what connections met is told of with its reason, and shown', async () => {
    const [one, two, gone] = [await Web.start('one'), await Web.start('two'), await Web.start('gone')];
    const { address, endpoint } = gone;
    gone.close();
    const upstreams = [one.address, two.address, address];
    const args = [...engine, '--balance', 'round-robin', '--eject-time', '1s'];
    const program = Program.inFrontOf(upstreams, args);
    expect(await answers(program, 18)).toEqual(new Set(['one', 'two']));
    const { msg } = await program.said(/is ejected/);
    expect(msg).toBe(
      `endpoint ${endpoint} of service default is ejected for 1s: connections to it failed again and again`,
    );
    expect(await program.metric('meshproxy_ejections_total', { reason: 'connect' })).toBeGreaterThan(0);
    expect(await program.metric('meshproxy_endpoint_ejected', { endpoint })).toBe(1);
    const { services } = await program.json<ServicesView>('/services');
    expect(services[0]?.endpoints[2]?.standing?.why).toMatch(/connections to it failed again and again/);
  });

  it('is checked once, whatever the number of threads', async () => {
    const web = await Web.start('one');
    const startedAt = performance.now();
    Program.inFrontOf([web.address], [...engine, ...CHECKED]);
    await expect.poll(() => web.asked, { timeout: 20_000 }).toBeGreaterThan(10);
    // One check at the start, and no two nearer to each other than nine tenths of the interval.
    expect(web.asked).toBeLessThanOrEqual((performance.now() - startedAt) / 90 + 1);
  });
});

describe('endpoints of a file', () => {
  it('that are added are checked at once, and those that are gone no more', async () => {
    const [one, two] = [await Web.start('one'), await Web.start('two')];
    two.healthy = false;
    const folder = mkdtempSync(join(tmpdir(), 'meshproxy-health-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'endpoints.json');
    const write = (webs: readonly Web[]): void => {
      writeFileSync(`${file}.new`, JSON.stringify(webs.map(({ endpoint }) => ({ address: endpoint }))));
      renameSync(`${file}.new`, file);
    };
    write([one]);
    // So long that a second check is not to be waited for.
    const program = Program.inFrontOf([`file://${file}`], [...CHECKED, '--health-interval', '1m']);
    await expect.poll(() => one.asked).toBe(1);
    write([one, two]);
    await program.said(
      new RegExp(`endpoint ${two.endpoint} of service default is unhealthy: GET /health answered 503$`),
    );
    expect([one.asked, two.asked]).toEqual([1, 1]);
    expect(await answers(program, 5)).toEqual(new Set(['one']));
    write([two]);
    // Better the unhealthy one than nobody.
    await expect.poll(() => answers(program, 1)).toEqual(new Set(['two']));
    expect(one.asked).toBe(1);
  });
});

describe('a reload', () => {
  it('that turns checks on finds who is unwell, and one that turns them off lets everybody in', async () => {
    const [one, two] = [await Web.start('one'), await Web.start('two')];
    one.healthy = false;
    const folder = mkdtempSync(join(tmpdir(), 'meshproxy-health-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'meshproxy.json');
    const write = (healthCheck: string): void => {
      const upstreams = [one.endpoint, two.endpoint];
      const config = {
        admin: '127.0.0.1:0',
        listeners: { default: { address: '127.0.0.1:0' } },
        services: { default: { upstreams, balance: 'round-robin', healthCheck, healthInterval: '100ms' } },
      };
      writeFileSync(`${file}.new`, JSON.stringify(config));
      renameSync(`${file}.new`, file);
    };
    write('off');
    const program = new Program(['--config', file]);
    expect(await answers(program, 4)).toEqual(new Set(['one', 'two']));
    write('http:/health');
    await program.said(new RegExp(`endpoint ${one.endpoint} of service default is unhealthy`));
    expect(await answers(program, 6)).toEqual(new Set(['two']));
    write('off');
    await expect.poll(() => answers(program, 4)).toEqual(new Set(['one', 'two']));
  });
});

const hasRedis = spawnSync('redis-server', ['--version']).status === 0;

describe('Redis', () => {
  it.skipIf(!hasRedis)('is asked for PONG on a unix socket, and is well while it answers', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meshproxy-health-'));
    const socket = join(folder, 'redis.sock');
    const redis = spawn('redis-server', ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', folder], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const ended = once(redis, 'close');
    onTestFinished(async () => {
      redis.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true });
    });
    for await (const line of createInterface({ input: redis.stdout })) if (/ready to accept/i.test(line)) break;
    const exchange = ['--health-send', 'PING\r\n', '--health-expect', '+PONG', '--health-timeout', '500ms'];
    const checked = ['--health-check', 'send-expect', ...exchange, '--health-interval', '100ms'];
    const program = Program.inFrontOf([`unix:${socket}`], checked);
    redis.kill('SIGSTOP');
    await program.said(/is unhealthy: "PING\\r\\n" failed: no answer within 500ms/);
    redis.kill('SIGCONT');
    await program.said(/is healthy again: "PING\\r\\n" was answered by "\+PONG"/);
  });
});
