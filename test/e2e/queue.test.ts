import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ServicesView } from '../../src/admin/views.js';
import type { IpAddress } from '../../src/core/address.js';
import { nativeSupport } from '../../src/l4/native/support.js';
import { connectTo, readAll, readExactly, startServer } from '../fakes/net.js';
import { Program } from './program.js';

const ENGINES = nativeSupport().ok ? ['native', 'streams'] : ['streams'];

/** Answers `served` and holds the connection until it is told who may go; knows how many there were at most. */
class Held {
  readonly names: string[] = [];
  readonly sockets: net.Socket[] = [];
  most = 0;
  #open = 0;
  address: IpAddress | undefined;

  async start(): Promise<IpAddress> {
    const server = await startServer((socket) => {
      this.#open += 1;
      this.most = Math.max(this.most, this.#open);
      socket.once('data', (name) => {
        this.names.push(name.toString());
        this.sockets.push(socket);
        socket.write('served');
      });
    });
    onTestFinished(() => server.close());
    return server.address;
  }

  /** The one that was answered first goes. */
  release(): void {
    // What it waits for from here on is only the end of it.
    this.#open -= 1;
    this.sockets.shift()?.end();
  }
}

/** Its end is not before the server's. */
async function from(host: string, to: IpAddress, name: string): Promise<net.Socket> {
  const socket = net.connect({ host: to.host, port: to.port, localAddress: host });
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(name);
  return socket;
}

function ip(address: Awaited<ReturnType<Program['loopback']>>): IpAddress {
  if (address.kind !== 'ip') throw new Error('it listens on an IP address');
  return address;
}

async function waiting(program: Program, count: number): Promise<void> {
  const { connections } = await program.json<{ connections: { phase: string }[] }>('/connections');
  if (connections.filter(({ phase }) => phase === 'waiting').length !== count) {
    await expect
      .poll(async () => {
        const now = await program.json<{ connections: { phase: string }[] }>('/connections');
        return now.connections.filter(({ phase }) => phase === 'waiting').length;
      })
      .toBe(count);
  }
}

describe.each(ENGINES)('on %s, a service with as many connections as it may have', (engine) => {
  const args = (workers: number, ...more: string[]): string[] => {
    const threads = engine === 'native' ? ['--workers', String(workers)] : [];
    return ['--engine', engine, ...threads, ...more];
  };

  it('has the others wait, over all workers, and serves every one of them', async () => {
    const server = new Held();
    const program = Program.inFrontOf(
      [await server.start()],
      args(2, '--max-connections-per-service', '4', '--queue-timeout', '30s', '--queue-target', 'off'),
    );
    const address = await program.loopback();
    const clients = Array.from({ length: 40 }, async () => {
      const socket = await connectTo(address);
      onTestFinished(() => void socket.destroy());
      socket.write('it');
      expect((await readExactly(socket, 6)).toString()).toBe('served');
      socket.end();
      return (await readAll(socket)).end;
    });
    let released = 0;
    const release = setInterval(() => {
      // The first not before there are as many as there may be.
      if (server.names.length < Math.max(4, released + 1)) return;
      released += 1;
      server.release();
    }, 1);
    onTestFinished(() => clearInterval(release));
    expect(new Set(await Promise.all(clients))).toEqual(new Set(['end']));
    expect(server.most).toBe(4);
    await expect.poll(() => program.accessLines.length).toBe(40);
    expect(program.accessLines.filter(({ queuedMs }) => queuedMs !== undefined).length).toBeGreaterThanOrEqual(36);
  });

  it('lets clients in by turns: one with many connections does not keep another waiting', async () => {
    const server = new Held();
    const program = Program.inFrontOf(
      [await server.start()],
      args(1, '--max-connections-per-service', '1', '--queue-timeout', '30s', '--queue-target', 'off'),
    );
    const address = ip(await program.loopback());
    for (let times = 0; times < 20; times += 1) (await from('127.0.0.2', address, 'noisy')).resume();
    await waiting(program, 19);
    (await from('127.0.0.3', address, 'quiet')).resume();
    await waiting(program, 20);
    for (let turns = 1; turns <= 3; turns += 1) {
      await expect.poll(() => server.names.length).toBe(turns);
      server.release();
    }
    await expect.poll(() => server.names.length).toBe(4);
    expect(server.names.slice(0, 4).toSorted()).toEqual(['noisy', 'noisy', 'noisy', 'quiet']);
  });

  it('lets a client wait although another has filled the queue, which gives one up', async () => {
    const server = new Held();
    const full = ['--max-connections-per-service', '1', '--max-pending', '3', '--queue-target', 'off'];
    const program = Program.inFrontOf([await server.start()], args(1, ...full, '--queue-timeout', '30s'));
    const address = ip(await program.loopback());
    for (let times = 0; times < 4; times += 1) (await from('127.0.0.2', address, 'noisy')).resume();
    await waiting(program, 3);
    (await from('127.0.0.3', address, 'quiet')).resume();
    await program.said(/service default refused a connection/);
    expect(program.accessLines).toMatchObject([
      { client: expect.stringContaining('127.0.0.2:'), ending: 'service-full' },
    ]);
    for (let turns = 1; turns <= 3; turns += 1) {
      await expect.poll(() => server.names.length).toBe(turns);
      server.release();
    }
    await expect.poll(() => server.names).toContain('quiet');
  });

  it('tells in metrics and /services what all workers together have of it', async () => {
    const server = new Held();
    const bounds = ['--max-connections-per-service', '2', '--max-pending', '2', '--max-retries', '5'];
    const program = Program.inFrontOf(
      [await server.start()],
      args(2, ...bounds, '--queue-timeout', '30s', '--queue-target', 'off'),
    );
    const address = ip(await program.loopback());
    const gauge = (name: string) => program.metric(`meshproxy_service_${name}`, { service: 'default' });
    for (let times = 0; times < 3; times += 1) (await from('127.0.0.1', address, 'it')).resume();
    await waiting(program, 1);
    expect(await gauge('breaker_open')).toBe(0);
    (await from('127.0.0.1', address, 'it')).resume();
    await waiting(program, 2);
    const limits = { maxConnections: 2, maxWaiting: 2, maxRetrying: 5 };
    const { services } = await program.json<ServicesView>('/services');
    // Four connections allow none of their own (20 %): the least rate, 3 a second for ten seconds, does.
    const retryBudget = { spent: 0, allowed: 30 };
    expect(services[0]?.breaker).toEqual({
      connections: 2,
      waiting: 2,
      retrying: 0,
      open: true,
      retryBudget,
      ...limits,
    });
    expect([await gauge('connections'), await gauge('waiting'), await gauge('breaker_open')]).toEqual([2, 2, 1]);
    expect([await gauge('connections_limit'), await gauge('waiting_limit')]).toEqual([2, 2]);
    expect([await gauge('retrying'), await gauge('retrying_limit'), await gauge('retry_budget')]).toEqual([0, 5, 30]);
    for (let released = 1; released <= 4; released += 1) {
      await expect.poll(() => server.sockets.length).toBeGreaterThan(0);
      server.release();
    }
    await expect.poll(() => gauge('connections')).toBe(0);
    expect([await gauge('waiting'), await gauge('breaker_open')]).toEqual([0, 0]);
  });

  it('refuses who waited in vain or comes when as many wait as may, and says so', async () => {
    const server = new Held();
    const program = Program.inFrontOf(
      [await server.start()],
      args(
        1,
        '--max-connections-per-service',
        '1',
        '--max-pending',
        '2',
        '--queue-timeout',
        '2s',
        '--queue-target',
        'off',
      ),
    );
    const address = ip(await program.loopback());
    const served = await from('127.0.0.1', address, 'served');
    expect((await readExactly(served, 6)).toString()).toBe('served');
    const others = [1, 2, 3].map(async () => (await readAll(await connectTo(address))).end);
    expect(await Promise.all(others)).toEqual(['reset', 'reset', 'reset']);
    await expect.poll(() => program.accessLines.length).toBe(3);
    const endings = program.accessLines.map(({ ending }) => ending).toSorted();
    expect(endings).toEqual(['queue-timeout', 'queue-timeout', 'service-full']);
    await program.said(
      /service default refused a connection: as many connections as its maxConnections and maxPending/,
    );
    expect(await program.metric('meshproxy_connections_closed_total', { ending: 'service-full' })).toBe(1);
    expect(server.names).toEqual(['served']);
  });
});
