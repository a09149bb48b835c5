import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { Command } from 'commander';
import { afterEach, expect, test } from 'vitest';
import { type ConnectionsOptions, register, showConnections } from '../../src/cli/connections.js';
import { type Address, formatAddress, parseAddress } from '../../src/core/address.js';
import { FakeAdmin } from '../fakes/admin.js';
import { FakeOutput } from '../fakes/output.js';
import { liveRecord } from '../fakes/telemetry.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function startAdmin(address?: string): Promise<FakeAdmin> {
  const admin = await FakeAdmin.start(address);
  cleanups.push(() => admin.close());
  return admin;
}

async function listening(server: Server): Promise<Address> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  return parseAddress(`127.0.0.1:${(server.address() as AddressInfo).port}`);
}

async function shown(
  admin: Address,
  options: Partial<ConnectionsOptions> = {},
  output = new FakeOutput(),
): Promise<FakeOutput> {
  await showConnections({ admin, limit: 50, ...options }, output);
  return output;
}

test('it lists the connections, newest first, with where each went and why', async () => {
  const { proxy, address } = await startAdmin();
  proxy.open(liveRecord({ client: '203.0.113.7:4000', service: 'billing', endpoint: 'db:1', upstream: '10.0.0.1:1' }));
  proxy.clock.advance(1500);
  const failed = { endpoint: 'a:1', why: 'next in turn', address: 'a:1', durationMs: 2, error: 'no answer' };
  proxy.open(liveRecord({ attempts: [failed] }));
  const { lines } = await shown(address);
  expect(lines[0]).toMatch(/^client +listener +endpoint +phase +open for +up +down +connect +first byte +why there$/);
  expect(lines[1]).toMatch(/^127\.0\.0\.1:51000 +web +127\.0\.0\.1:9001 +relaying .* a:1: no answer$/);
  expect(lines[2]).toMatch(
    /^203\.0\.113\.7:4000 \(through 127\.0\.0\.1:51000\) +web → billing +db:1 \(10\.0\.0\.1:1\) +relaying +1\.5 s +1\.2 KiB +14 KiB +250 µs +1\.5 ms +next in turn$/,
  );
  expect(lines[3]).toBe('2 open');
});

test('it asks for a service, a listener and a number of connections', async () => {
  const { proxy, address } = await startAdmin();
  for (let index = 0; index < 5; index += 1) proxy.open(liveRecord({ client: `10.0.0.${index}:1`, service: 'a&b=c' }));
  proxy.open(liveRecord({ listener: 'other' }));
  const { lines } = await shown(address, { service: 'a&b=c', listener: 'web', limit: 2 });
  expect(lines).toHaveLength(4);
  expect(lines[1]).toContain('10.0.0.4:1');
  expect(lines[3]).toBe('the newest 2 of 5 open connections; --limit lists more');
});

test('a proxy without connections says so', async () => {
  const { address } = await startAdmin();
  expect((await shown(address)).text).toBe('no connection is open\n');
});

test('--json prints what the proxy answered', async () => {
  const { proxy, address } = await startAdmin();
  proxy.open(liveRecord());
  expect(JSON.parse((await shown(address, { json: true })).text)).toMatchObject({
    total: 1,
    connections: [{ id: 'c-1' }],
  });
});

test('--watch shows them again, until it is interrupted', async () => {
  const { proxy, address } = await startAdmin();
  const output = new FakeOutput(200);
  const interrupt = new AbortController();
  const first = output.written();
  const watching = showConnections({ admin: address, limit: 50, watch: true }, output, interrupt.signal);
  await first;
  proxy.open(liveRecord());
  const second = output.written();
  await second;
  interrupt.abort();
  await watching;
  expect(output.text.startsWith('\u001b[H\u001b[Jno connection is open\n')).toBe(true);
  expect(output.text).toContain('1 open');
});

test('names from outside cannot upset the terminal', async () => {
  const { proxy, address } = await startAdmin();
  proxy.open(liveRecord({ client: '\u001b]0;owned\u0007', peer: 'x' }));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  expect((await shown(address)).text.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f]/);
});

test('the command reads its flags', async () => {
  const { address } = await startAdmin();
  const program = new Command().exitOverride();
  register(program);
  const parse = (...args: string[]): Promise<unknown> =>
    program.parseAsync(['node', 'meshproxy', 'connections', ...args]);
  await expect(parse('--admin', formatAddress(address), '--limit', '0')).rejects.toMatchObject({ code: 'usage' });
  await expect(parse('--admin', '9901')).rejects.toMatchObject({ code: 'bad-address' });
});

test('no proxy there: one line with the address, why, and what to do', async () => {
  const server = createServer();
  const address = await listening(server);
  server.close();
  await once(server, 'close');
  await expect(shown(address)).rejects.toMatchObject({
    code: 'admin',
    message: `no meshproxy answers on ${formatAddress(address)}: connection refused: nothing listens there (ECONNREFUSED)`,
    hint: expect.stringContaining('--admin ADDRESS'),
  });
  await expect(shown(parseAddress('unix:/no/such.sock'))).rejects.toMatchObject({
    code: 'admin',
    message: expect.stringMatching(/^no meshproxy answers on unix:\/no\/such\.sock: no such file/),
  });
});

test('something that accepts and says nothing is given up on', async () => {
  const address = await listening(createServer());
  await expect(shown(address)).rejects.toMatchObject({
    code: 'admin',
    message: expect.stringContaining('no answer within 5 s'),
  });
});

test.each([
  ['speaks another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['closes at once', ''],
])('something that %s is told as no meshproxy', async (_, greeting) => {
  const address = await listening(createServer((socket) => void socket.on('error', () => {}).end(greeting)));
  await expect(shown(address)).rejects.toMatchObject({ code: 'admin' });
});

test.each([
  ['an error', 404, '<html>\u001b[2J no', /it answered 404 to \/connections\?limit=50: "<html>\\u001b\[2J no"/],
  ['no JSON', 200, 'hello', /its answer is not what this version understands: "hello"/],
  ['other JSON', 200, '{"connections":[{"id":1}]}', /its answer is not what this version understands/],
])('another web server that answers %s is told as such', async (_, status, body, words) => {
  const server = createHttpServer((_request, response) => void response.writeHead(status).end(body));
  await expect(shown(await listening(server))).rejects.toMatchObject({
    code: 'admin',
    message: expect.stringMatching(words),
  });
});

test('an endless answer is given up on', async () => {
  const server = createHttpServer((_request, response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(1024 ** 2)));
    };
    response.on('drain', more);
    more();
  });
  await expect(shown(await listening(server))).rejects.toMatchObject({ code: 'admin' });
  server.closeAllConnections();
});

test('an answer with more in it than this version knows is understood', async () => {
  const { proxy, address } = await startAdmin();
  proxy.open(liveRecord());
  const known = (await shown(address, { json: true })).text;
  const newer = { ...JSON.parse(known), later: true };
  newer.connections[0].later = { more: 1 };
  const server = createHttpServer((_request, response) => void response.end(JSON.stringify(newer)));
  expect((await shown(await listening(server))).lines.at(-1)).toBe('1 open');
});

test('it asks over a unix socket, and by a name', async () => {
  const name = `unix:@meshproxy-test-${process.pid}-${Math.random().toString(36).slice(2)}`;
  if (process.platform === 'linux')
    expect((await shown((await startAdmin(name)).address)).text).toContain('no connection');
  const { address } = await startAdmin();
  if (address.kind !== 'ip') throw new Error('it listens elsewhere');
  expect((await shown(parseAddress(`localhost:${address.port}`))).text).toContain('no connection');
  expect((await shown(parseAddress(`:${address.port}`))).text).toContain('no connection');
});
