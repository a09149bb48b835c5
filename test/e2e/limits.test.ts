import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type Address, parseAddress } from '../../src/core/address.js';
import type { Refusal } from '../../src/telemetry/record.js';
import { connectTo, readAll, readExactly, type StreamEnd, startServer, type TestServer } from '../fakes/net.js';
import { Program } from './program.js';

const GREETING = 'hello';

async function startGreeter(): Promise<TestServer> {
  const server = await startServer((socket) => {
    socket.write(GREETING);
    socket.pipe(socket);
  });
  onTestFinished(() => server.close());
  return server;
}

async function open(address: Address): Promise<Socket> {
  const socket = await connectTo(address);
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** A connection that is served. */
async function openServed(address: Address): Promise<Socket> {
  const socket = await open(address);
  expect((await readExactly(socket, GREETING.length)).toString()).toBe(GREETING);
  return socket;
}

/** What a connection that is refused sees of it. */
async function openRefused(address: Address): Promise<{ bytes: number; end: StreamEnd }> {
  const { bytes, end } = await readAll(await open(address));
  return { bytes: bytes.length, end };
}

function refused(program: Program, listener: string, reason: Refusal): Promise<number> {
  return program.metric('meshproxy_connections_refused_total', { listener, reason });
}

describe('a maximum of connections', () => {
  it('in all: one more is reset at once, counted and told; once one has ended there is room again', async () => {
    const args = ['--listen', '127.0.0.1:0', '--max-connections', '3'];
    const program = Program.inFrontOf([(await startGreeter()).address], args);
    const [first, second] = [await program.loopback(), await program.loopback('default-2')];
    const served = [await openServed(first), await openServed(second), await openServed(first)];
    expect(await openRefused(first)).toEqual({ bytes: 0, end: 'reset' });
    expect(await openRefused(second)).toEqual({ bytes: 0, end: 'reset' });
    expect(await refused(program, 'default', 'max-connections')).toBe(1);
    expect(await refused(program, 'default-2', 'max-connections')).toBe(1);
    await program.said(/listener default refused a connection: as many connections as limits\.maxConnections allows/);
    expect(program.accessLines).toEqual([]);
    served[0]?.end();
    await program.accessLine();
    await openServed(second);
    expect(await program.metric('meshproxy_connections_active')).toBe(3);
  });

  it('of each listener: another listener has its own', async () => {
    const args = ['--listen', '127.0.0.1:0', '--max-connections-per-listener', '1'];
    const program = Program.inFrontOf([(await startGreeter()).address], args);
    const [first, second] = [await program.loopback(), await program.loopback('default-2')];
    await openServed(first);
    expect(await openRefused(first)).toEqual({ bytes: 0, end: 'reset' });
    await openServed(second);
    expect(await refused(program, 'default', 'listener-max-connections')).toBe(1);
    expect(await refused(program, 'default-2', 'listener-max-connections')).toBe(0);
    await program.said(/as many connections as the listener's maxConnections allows are open/);
  });
});

describe('a maximum of memory', () => {
  it('lets no connection in while the process uses more, and says so', async () => {
    // Less than a Node process needs to come up.
    const program = Program.inFrontOf([(await startGreeter()).address], ['--max-memory', '64MiB']);
    const address = await program.loopback();
    expect(program.usage().resident).toBeGreaterThan(64 * 1024 ** 2);
    expect(await openRefused(address)).toEqual({ bytes: 0, end: 'reset' });
    expect(await refused(program, 'default', 'max-memory')).toBe(1);
    await program.said(/this process uses as much memory as limits\.maxMemory allows/);
  });
});

describe('the limit of open files', () => {
  const hasPrlimit = spawnSync('prlimit', ['--version']).status === 0;
  beforeEach((context) => context.skip(!hasPrlimit, 'prlimit is not on PATH: it is part of util-linux'));

  /** Node itself has some hundred files open while it loads the program. */
  const LIMIT = 160;
  const FEW = ['prlimit', `--nofile=${LIMIT}`];
  const CLIENTS = 250;

  it.each([
    ['', 0],
    [', with a crowd at the admin', 60],
  ])(
    'makes those wait who come when no descriptor is left, and all of them are served in the end%s',
    async (_, crowd) => {
      const program = Program.inFrontOf([(await startGreeter()).address], [], { prefix: FEW });
      const address = await program.loopback();
      const admin = parseAddress((await program.admin()).replace('http://', ''));
      const held = await Promise.all(Array.from({ length: crowd }, () => open(admin)));
      for (const socket of held) socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
      const served: Socket[] = [];
      const ends: StreamEnd[] = [];
      for (let i = 0; i < CLIENTS; i += 1) {
        const socket = await open(address);
        void once(socket, 'data').then(() => served.push(socket));
        void readAll(socket).then(({ end }) => ends.push(end));
      }
      await program.said(/accepting is paused: \d+ connections use the descriptors of this process; raise its limit/);
      const carried = await program.metric('meshproxy_connections_active');
      await expect.poll(() => served.length).toBe(carried);
      expect(carried).toBeGreaterThan(LIMIT / 10);
      expect(carried).toBeLessThan(LIMIT / 2);
      expect(await program.metric('meshproxy_listener_paused', { listener: 'default' })).toBe(1);
      // Those who wait have been told nothing: neither an end nor a reset.
      expect(ends).toEqual([]);
      expect(program.usage().descriptors).toBeLessThan(LIMIT);

      for (let done = 0; done < CLIENTS; done += 1) {
        await expect.poll(() => served.length).toBeGreaterThan(done);
        served[done]?.end();
      }
      await expect.poll(() => ends.length).toBe(CLIENTS);
      expect(new Set(ends)).toEqual(new Set(['end']));
      await program.said(/accepting goes on: there are descriptors again/);
      await expect.poll(() => program.accessLines.length).toBe(CLIENTS);
      expect(new Set(program.accessLines.map(({ ending }) => ending))).toEqual(new Set(['completed']));
      expect(await program.metric('meshproxy_connections_refused_total')).toBe(0);
      expect(await program.metric('meshproxy_listener_paused', { listener: 'default' })).toBe(0);
    },
  );

  it('is named, with what is needed, where the program could not even be loaded', async () => {
    const args = ['--listen', '127.0.0.1:0', '--upstream', '127.0.0.1:9'];
    const program = new Program(args, { prefix: ['prlimit', '--nofile=64'] });
    expect(await program.exit()).toBe(1);
    expect(program.lines).toEqual([
      'meshproxy: this process may have only 64 files open, and needs 100 to start',
      expect.stringContaining('raise its limit of open files'),
    ]);
  });

  it('turns away those who come to a unix socket, which the engine streams cannot make wait', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meshproxy-limits-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const listen = `unix:${join(folder, 'in.sock')}`;
    const args = ['--engine', 'streams'];
    const program = Program.inFrontOf([(await startGreeter()).address], args, { prefix: FEW, listen });
    const address = await program.address();
    const sockets: Socket[] = [];
    let answered = 0;
    let closed = 0;
    for (let i = 0; i < CLIENTS; i += 1) {
      const socket = await open(address);
      sockets.push(socket);
      void once(socket, 'data').then(
        () => {
          answered += 1;
        },
        () => {},
      );
      void readAll(socket).then(() => {
        closed += 1;
      });
    }
    await expect.poll(() => answered + closed).toBe(CLIENTS);
    expect(await refused(program, 'default', 'descriptors')).toBe(closed);
    expect(answered).toBe(await program.metric('meshproxy_connections_active'));
    await program.said(/refused a connection: this process has no descriptor left: raise its limit of open files/);
    for (const socket of sockets) socket.destroy();
    await expect.poll(() => program.metric('meshproxy_connections_active')).toBe(0);
    await openServed(address);
  });
});
