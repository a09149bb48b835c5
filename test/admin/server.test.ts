import { once } from 'node:events';
import { linkSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { type AdminServer, startAdmin } from '../../src/admin/server.js';
import type { AdminSource, Readiness } from '../../src/admin/source.js';
import { parseAddress } from '../../src/core/address.js';
import { parseExposition } from '../fakes/prometheus.js';
import { FakeProxy, liveRecord } from '../fakes/telemetry.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'meshproxy-admin-'));
  cleanups.push(() => rmSync(path, { recursive: true }));
  return path;
}

interface Running {
  readonly proxy: FakeProxy;
  readonly server: AdminServer;
  readonly port: number;
  readonly drains: number[];
  readiness: Readiness;
}

async function start(address = '127.0.0.1:0', differences: Partial<AdminSource> = {}): Promise<Running> {
  const proxy = new FakeProxy();
  const drains: number[] = [];
  const running = { proxy, drains, readiness: { kind: 'ready' } as Readiness };
  const server = await startAdmin(parseAddress(address), {
    telemetry: proxy.telemetry,
    readiness: () => running.readiness,
    config: () => ({ admin: parseAddress('127.0.0.1:9901') }),
    drain: () => drains.push(1),
    ...differences,
  });
  cleanups.push(() => server.close());
  return Object.assign(running, { server, port: server.address.kind === 'ip' ? server.address.port : 0 });
}

interface Reply {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly socketPath?: string;
}

function ask({ port }: Running, path: string, { body, ...options }: Ask = {}): Promise<Reply> {
  const where = options.socketPath === undefined ? { host: '127.0.0.1', port } : {};
  return new Promise((resolve, reject) => {
    const asked = request({ ...where, path, agent: false, ...options }, async (response) => {
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += chunk;
      resolve({ status: response.statusCode, headers: response.headers, body: text });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

/** Speaks raw bytes, and answers with everything that came back until the server closed. */
async function raw({ port }: Running, ...pieces: string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  for (const piece of pieces) socket.write(piece);
  return received(socket);
}

async function received(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

test('health, readiness and metrics answer programs', async () => {
  const running = await start();
  expect(await ask(running, '/healthz')).toMatchObject({ status: 200, body: 'ok\n' });
  expect(await ask(running, '/readyz')).toMatchObject({ status: 200, body: 'ready\n' });
  running.readiness = { kind: 'starting', reason: 'example.org is being resolved' };
  expect(await ask(running, '/readyz')).toMatchObject({
    status: 503,
    body: 'starting: example.org is being resolved\n',
  });
  running.readiness = { kind: 'draining', reason: 'told to stop' };
  expect(await ask(running, '/readyz')).toMatchObject({ status: 503, body: 'draining: told to stop\n' });
  expect(await ask(running, '/healthz')).toMatchObject({ status: 200 });
  const metrics = await ask(running, '/metrics');
  expect(metrics.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(parseExposition(metrics.body).series.length).toBeGreaterThan(10);
});

test.each(['/status', '/connections', '/services', '/latency', '/config'])('%s answers JSON', async (path) => {
  const running = await start();
  running.proxy.open(liveRecord());
  const { status, headers, body } = await ask(running, path);
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('application/json');
  expect(headers['cache-control']).toBe('no-store');
  expect(headers['x-content-type-options']).toBe('nosniff');
  expect(typeof JSON.parse(body)).toBe('object');
});

test('connections are limited and filtered by the query', async () => {
  const running = await start();
  for (let index = 0; index < 5; index += 1) running.proxy.open(liveRecord({ id: `c-${index}` }));
  running.proxy.open(liveRecord({ id: 'other', service: 'a&b' }));
  const get = async (query: string) => JSON.parse((await ask(running, `/connections${query}`)).body);
  expect(await get('')).toMatchObject({ total: 6 });
  expect(await get('?limit=2&service=web')).toMatchObject({ total: 5, connections: [{ id: 'c-4' }, { id: 'c-3' }] });
  expect(await get('?service=a%26b')).toMatchObject({ total: 1, connections: [{ id: 'other' }] });
});

test.each(['0', '-1', '10001', '1e9', 'all', ''])('limit=%s is refused in words', async (limit) => {
  const running = await start();
  expect(await ask(running, `/connections?limit=${limit}`)).toMatchObject({
    status: 400,
    body: 'limit is a number from 1 to 10000\n',
  });
});

test('a drain is answered first and done then', async () => {
  const running = await start();
  running.proxy.open(liveRecord());
  const { status, body } = await ask(running, '/drain', { method: 'POST', body: '{"ignored":true}' });
  expect(status).toBe(202);
  expect(JSON.parse(body)).toEqual({ draining: true, connections: 1 });
  await vi.waitFor(() => expect(running.drains).toHaveLength(1));
});

test('a drain that a page of another site asks for is refused', async () => {
  const running = await start();
  const foreign = { 'sec-fetch-site': 'cross-site', origin: 'http://evil.example' };
  expect(await ask(running, '/drain', { method: 'POST', headers: foreign })).toMatchObject({ status: 403 });
  expect(running.drains).toHaveLength(0);
});

test('a request under a foreign name is refused on every path', async () => {
  const running = await start();
  for (const path of ['/', '/connections', '/drain', '/nowhere']) {
    const reply = await ask(running, path, {
      method: path === '/drain' ? 'POST' : 'GET',
      headers: { host: 'evil.example' },
    });
    expect(reply.status).toBe(403);
    expect(reply.body).toContain('not by "evil.example"');
  }
  expect(running.drains).toHaveLength(0);
});

test('methods that a path does not have are refused, with those it has', async () => {
  const running = await start();
  expect(await ask(running, '/drain')).toMatchObject({ status: 405, headers: { allow: 'POST' } });
  expect(await ask(running, '/metrics', { method: 'POST' })).toMatchObject({
    status: 405,
    headers: { allow: 'GET, HEAD' },
  });
  expect(await ask(running, '/', { method: 'DELETE' })).toMatchObject({ status: 405 });
  expect(running.drains).toHaveLength(0);
});

test('HEAD answers without a body', async () => {
  const running = await start();
  const { status, headers, body } = await ask(running, '/healthz', { method: 'HEAD' });
  expect({ status, length: headers['content-length'], body }).toEqual({ status: 200, length: '3', body: '' });
});

test.each(['/nope', '//evil.example/metrics', '/metrics/', '/%6detrics', '/../metrics'])(
  '%s is no path',
  async (path) => {
    const { status, body } = await ask(await start(), path);
    expect(status).toBe(404);
    expect(body).toContain('/connections');
  },
);

test('a bug in what is shown costs one answer, is logged, and the listener goes on', async () => {
  const running = await start('127.0.0.1:0', {
    config: () => {
      throw new Error('surprise');
    },
  });
  expect(await ask(running, '/config')).toMatchObject({ status: 500 });
  expect(running.proxy.lines).toMatchObject([{ level: 'error', err: { message: 'surprise' } }]);
  expect(await ask(running, '/healthz')).toMatchObject({ status: 200 });
});

test('endless headers are refused', async () => {
  const running = await start();
  expect(await raw(running, `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}`)).toMatch(
    /^HTTP\/1\.1 431 /,
  );
  expect(await ask(running, '/healthz')).toMatchObject({ status: 200 });
});

test('what is not HTTP is refused', async () => {
  const running = await start();
  expect(await raw(running, '\x16\x03\x01\x02\x00\x01\x00\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
});

test('an endless body is cut off', async () => {
  const running = await start();
  const socket = connect(running.port, '127.0.0.1');
  await once(socket, 'connect');
  const closed = received(socket);
  socket.write('POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n');
  const more = (): void => void (socket.writable && socket.write('x'.repeat(16_384), more));
  more();
  await closed;
  expect(await ask(running, '/healthz')).toMatchObject({ status: 200 });
});

test('a client that never finishes its request is cut off, and one that sends nothing too', async () => {
  const running = await start();
  // Both resolve only when the server has closed.
  const [slow] = await Promise.all([raw(running, 'GET / HTTP/1.1\r\nHost: local'), raw(running)]);
  expect(slow).toMatch(/^HTTP\/1\.1 408 /);
});

test('no more than 64 connections are held', async () => {
  const running = await start();
  const sockets = await Promise.all(
    Array.from({ length: 64 }, async () => {
      const socket = connect(running.port, '127.0.0.1');
      socket.on('error', () => {});
      await once(socket, 'connect');
      return socket;
    }),
  );
  // The last of them has been accepted when it answers.
  sockets.at(-1)?.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(sockets.at(-1) as Socket, 'data');
  expect(await raw(running, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')).toBe('');
  for (const socket of sockets) socket.destroy();
});

test('closing ends the connections that are open', async () => {
  const running = await start();
  const socket = connect(running.port, '127.0.0.1');
  await once(socket, 'connect');
  const closed = received(socket);
  await running.server.close();
  await closed;
  await running.server.close();
  await expect(ask(running, '/healthz')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('an address that is taken is told in words, with what to do', async () => {
  const running = await start();
  await expect(start(`127.0.0.1:${running.port}`)).rejects.toMatchObject({
    name: 'MeshproxyError',
    code: 'listen',
    message: `the admin cannot listen on 127.0.0.1:${running.port}: the address is already in use (EADDRINUSE)`,
    hint: expect.stringContaining('--admin'),
    cause: { code: 'EADDRINUSE' },
  });
});

test('a name that does not resolve and a folder that is not there are told in words', async () => {
  await expect(start('no-such-host.invalid:0')).rejects.toMatchObject({ code: 'listen' });
  await expect(start('unix:/no/such/folder/x.sock')).rejects.toMatchObject({ code: 'listen' });
});

test('who listens beyond the loopback interface is warned', async () => {
  const loopback = await start();
  expect(loopback.proxy.lines).toEqual([]);
  const open = await start('0.0.0.0:0');
  expect(open.proxy.lines).toMatchObject([{ level: 'warn', msg: expect.stringContaining('other machines') }]);
});

test('it listens on a unix socket that only the owner and the group may use', async () => {
  const socketPath = join(folder(), 'admin.sock');
  const running = await start(`unix:${socketPath}`);
  expect(statSync(socketPath).mode & 0o777).toBe(0o660);
  expect(await ask(running, '/healthz', { socketPath, headers: { host: 'whatever' } })).toMatchObject({ status: 200 });
});

test('a socket file that a killed process left is replaced', async () => {
  const socketPath = join(folder(), 'admin.sock');
  const dead = createServer();
  dead.listen(socketPath);
  await once(dead, 'listening');
  // Node removes the file when it closes, so the stale one is a link to what was there.
  linkSync(socketPath, `${socketPath}.kept`);
  dead.close();
  await once(dead, 'close');
  const running = await start(`unix:${socketPath}.kept`);
  expect(await ask(running, '/healthz', { socketPath: `${socketPath}.kept` })).toMatchObject({ status: 200 });
});

test('a socket that somebody answers on, and a file that is none, are left alone', async () => {
  const path = folder();
  await start(`unix:${path}/admin.sock`);
  await expect(start(`unix:${path}/admin.sock`)).rejects.toMatchObject({
    code: 'listen',
    cause: { code: 'EADDRINUSE' },
  });
  writeFileSync(join(path, 'file'), 'precious');
  await expect(start(`unix:${path}/file`)).rejects.toMatchObject({ code: 'listen' });
  expect(statSync(join(path, 'file')).isFile()).toBe(true);
});

test.runIf(process.platform === 'linux')('it listens on an abstract unix socket', async () => {
  const name = `meshproxy-test-${process.pid}-${Math.random().toString(36).slice(2)}`;
  const running = await start(`unix:@${name}`);
  expect(await ask(running, '/healthz', { socketPath: `\0${name}` })).toMatchObject({ status: 200 });
});
