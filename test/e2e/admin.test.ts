import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ConnectionsView, LatencyView } from '../../src/admin/views.js';
import { formatAddress } from '../../src/core/address.js';
import { connectTo, readAll, readExactly, startServer, type TestServer } from '../fakes/net.js';
import { parseExposition } from '../fakes/prometheus.js';
import { Program } from './program.js';

async function startEcho(): Promise<TestServer> {
  const server = await startServer((socket) => socket.pipe(socket));
  onTestFinished(() => server.close());
  return server;
}

async function openServed(program: Program): Promise<Socket> {
  const socket = await connectTo(await program.loopback());
  onTestFinished(() => void socket.destroy());
  socket.write('hello');
  await readExactly(socket, 5);
  return socket;
}

/** What a command of the program prints. */
async function printed(...args: readonly string[]): Promise<string> {
  const command = new Program(args);
  expect({ code: await command.exit(), stderr: command.stderr }).toEqual({ code: 0, stderr: '' });
  return command.stdout;
}

describe('the admin listener of a running proxy', () => {
  it('shows a live connection: where it went, why, and what it has carried', async () => {
    const upstream = formatAddress((await startEcho()).address);
    const program = Program.inFrontOf([upstream]);
    const socket = await openServed(program);
    const view = await program.json<ConnectionsView>('/connections');
    expect(view).toMatchObject({
      total: 1,
      connections: [
        {
          phase: 'relaying',
          listener: 'default',
          client: `127.0.0.1:${socket.localPort}`,
          endpoint: upstream,
          why: 'ewma, the only one there is',
          bytesReceived: 5,
          bytesSent: 5,
        },
      ],
    });
    socket.end();
    await readAll(socket);
    await expect.poll(() => program.json('/connections')).toEqual({ total: 0, connections: [] });
  });

  it('counts what was carried, under names that are documented', async () => {
    const upstream = await startEcho();
    const program = Program.inFrontOf([upstream.address]);
    for (let i = 0; i < 3; i += 1) {
      const socket = await openServed(program);
      socket.end();
      await readAll(socket);
    }
    await program.accessLine();
    await expect.poll(() => program.metric('meshproxy_connections_active')).toBe(0);
    expect(await program.metric('meshproxy_connections_opened_total', { listener: 'default' })).toBe(3);
    expect(await program.metric('meshproxy_connections_closed_total', { ending: 'completed' })).toBe(3);
    expect(await program.metric('meshproxy_received_bytes_total')).toBe(15);
    expect(await program.metric('meshproxy_sent_bytes_total')).toBe(15);
    expect(await program.metric('meshproxy_connect_seconds_count', { service: 'default' })).toBe(3);
    const documented = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
    const { help } = parseExposition(await program.text('/metrics'));
    expect([...help.keys()].filter((name) => !documented.includes(`| \`${name}\` |`))).toEqual([]);
  });

  it('tells latencies, the configuration in force and its health, and has a page for people', async () => {
    const program = Program.inFrontOf([(await startEcho()).address], ['--connect-timeout', '7s']);
    const socket = await openServed(program);
    socket.end();
    await program.accessLine();
    const { services } = await program.json<LatencyView>('/latency');
    expect(services).toMatchObject([{ service: 'default', steps: { connect: { sinceStart: { count: 1 } } } }]);
    expect(Object.keys(services[0]?.steps ?? {}).toSorted()).toEqual(['connect', 'duration', 'firstByte']);
    expect(await program.json('/config')).toMatchObject({
      version: 1,
      config: { services: { default: { connectTimeout: '7s', connectDeadline: '10s' } } },
    });
    const statuses = ['/healthz', '/readyz', '/'].map(async (path) => (await program.ask(path)).status);
    expect(await Promise.all(statuses)).toEqual([200, 200, 200]);
    expect(await program.text('/')).toMatch(/<html/);
  });

  it('is read by meshproxy connections and meshproxy latency, which print tables', async () => {
    const upstream = formatAddress((await startEcho()).address);
    const program = Program.inFrontOf([upstream]);
    const socket = await openServed(program);
    const admin = (await program.admin()).replace('http://', '');
    const connections = await printed('connections', '--admin', admin);
    expect(connections).toMatch(/^client +listener +endpoint +phase/);
    expect(connections).toMatch(new RegExp(`127\\.0\\.0\\.1:${socket.localPort} +default +${upstream} +relaying`));
    expect(JSON.parse(await printed('connections', '--json', '--admin', admin))).toMatchObject({ total: 1 });
    socket.end();
    await program.accessLine();
    expect(await printed('latency', '--admin', admin)).toMatch(/service.*p50.*p99(.|\n)*default +connect/);
  });

  it('is not there with --admin off; a command that asks says so in a line', async () => {
    const gone = await startServer();
    gone.close();
    const program = new Program(['--listen', '127.0.0.1:0', '--upstream', '127.0.0.1:1', '--admin', 'off']);
    await program.port();
    const command = new Program(['connections', '--admin', formatAddress(gone.address)]);
    expect(await command.exit()).toBe(1);
    expect(command.lines[0]).toBe(
      `meshproxy: no meshproxy answers on ${formatAddress(gone.address)}: connection refused: nothing listens there (ECONNREFUSED)`,
    );
    program.kill('SIGTERM');
    await program.exit();
    expect(program.stderr).not.toContain('admin on');
  });
});
