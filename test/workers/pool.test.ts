import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { BroadcastChannel, Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.js';
import type { ConfigInput } from '../../src/config/schema.js';
import { type Address, formatAddress } from '../../src/core/address.js';
import { systemClock } from '../../src/core/clock.js';
import { abortOwned, bindShared } from '../../src/l4/native/bind.js';
import { nativeSupport } from '../../src/l4/native/support.js';
import { NOBODY } from '../../src/pki/identity-files.js';
import { staleReport } from '../../src/telemetry/totals.js';
import type { PlaneSetup } from '../../src/workers/plane.js';
import { type WorkerDeath, WorkerPool } from '../../src/workers/pool.js';
import { WORKER } from '../fakes/engines.js';
import { connectTo, readAll, readExactly, startServer } from '../fakes/net.js';

/** Whether the echo server's greeting comes, and not a reset. */
function isGreeted(client: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    if (client.destroyed) return resolve(false);
    client.once('data', () => resolve(true));
    client.once('close', () => resolve(false));
    client.resume();
  });
}

/** All that the server behind it says to one who says nothing. */
async function ask(address: Address): Promise<string> {
  const client = await connectTo(address);
  client.end();
  return (await readAll(client)).bytes.toString();
}

function isTaken(address: Address): Promise<boolean> {
  return connectTo(address).then(
    (client) => {
      client.destroy();
      return true;
    },
    () => false,
  );
}

const WANTED = { listeners: ['web'], services: [{ name: 'web', endpoints: [] }] };
const MORTAL = new URL('mortal.mjs', import.meta.url);

describe.skipIf(!nativeSupport().ok)('a pool of workers', () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  async function echo(): Promise<string> {
    const server = await startServer((socket) => {
      socket.write('!');
      socket.pipe(socket);
    });
    cleanups.push(() => server.close());
    return formatAddress(server.address);
  }

  class Running {
    readonly deaths: WorkerDeath[] = [];
    readonly pauses: boolean[] = [];
    readonly lines: string[] = [];
    readonly clients: Socket[] = [];
    readonly pool: WorkerPool;
    /** Of workers that are started from now on. */
    entry: URL;

    constructor(setup: PlaneSetup, workers: number, entry: URL) {
      this.entry = entry;
      const entryNow = () => this.entry;
      this.pool = new WorkerPool({
        clock: systemClock,
        workers,
        initial: setup,
        get entry() {
          return entryNow();
        },
        bind: bindShared,
        abandon: (owned) => abortOwned(owned, 1),
        onPause: (paused) => this.pauses.push(paused),
        onLines: (lines) => this.lines.push(...lines),
        onLast: () => {},
        onDeath: (death) => this.deaths.push(death),
      });
    }

    get address(): Address {
      const [listener] = this.pool.listeners();
      if (!listener) throw new Error('there is no listener');
      return listener.address;
    }

    async apply(setup: PlaneSetup): Promise<void> {
      await (await this.pool.prepare(setup)).commit();
    }

    /** A client that is served: the echo server has greeted it. */
    async client(): Promise<Socket> {
      const socket = await connectTo(this.address);
      await readExactly(socket, 1);
      this.clients.push(socket);
      return socket;
    }

    /** The worker that serves each client, by the client's own address. */
    async served(): Promise<Map<string, number>> {
      const lists = await this.pool.list({ limit: 1000 });
      const connections = lists.flatMap((list) => list.connections);
      return new Map(connections.map(({ peer, worker = -1 }) => [peer, worker]));
    }
  }

  function setupOf(upstream: string, rest: Partial<ConfigInput> = {}): PlaneSetup {
    const config = parseConfig({
      listeners: { web: { address: '127.0.0.1:0' } },
      services: { web: { upstreams: [upstream] } },
      ...rest,
    });
    const { limits, accessLog, log } = config;
    return {
      zone: undefined,
      listeners: Object.entries(config.listeners).map(([name, settings]) => ({ name, settings })),
      services: Object.entries(config.services).map(([name, settings]) => ({
        name,
        settings,
        endpoints: settings.upstreams.map((address) => {
          if (address.kind !== 'ip') throw new Error('the tests have addresses only');
          return { id: formatAddress(address), addresses: [address] };
        }),
      })),
      limits: {
        maxConnections: limits.maxConnections,
        maxMemory: Number.POSITIVE_INFINITY,
        shedTarget: 0,
        sockets: { keepaliveMs: limits.keepalive, bufferSize: limits.bufferSize },
      },
      identity: NOBODY,
      accessLog,
      logLevel: log.level,
    };
  }

  async function start(rest: Partial<ConfigInput> = {}, { workers = 2, entry = WORKER } = {}): Promise<Running> {
    const setup = setupOf(await echo(), rest);
    const running = new Running(setup, workers, entry);
    cleanups.push(() => running.pool.close());
    await running.apply(setup);
    return running;
  }

  /** Clients until each worker has at least one. */
  async function clientsOfAll(running: Running, workers: number): Promise<Map<number, Socket>> {
    const clients = new Map<number, Socket>();
    while (clients.size < workers) {
      const client = await running.client();
      const worker = (await running.served()).get(`127.0.0.1:${client.localPort}`);
      if (worker !== undefined) clients.set(worker, client);
    }
    return clients;
  }

  function kill(worker: number): void {
    const orders = new BroadcastChannel('mortal');
    orders.postMessage({ worker, order: 'die' });
    orders.close();
  }

  /** Resolves when that worker does nothing any more. */
  async function stall(worker: number): Promise<void> {
    const orders = new BroadcastChannel('mortal');
    const stalled = new Promise((resolve) => {
      orders.onmessage = resolve;
    });
    orders.postMessage({ worker, order: 'stall' });
    await stalled;
    orders.close();
  }

  it('serves clients in all of its workers', async () => {
    const running = await start();
    expect([...(await clientsOfAll(running, 2)).keys()].sort()).toEqual([0, 1]);
  });

  it('gives no worker more than its share, whichever of them the kernel gives a client to', async () => {
    const running = await start();
    const shares = async (): Promise<number[]> => {
      const workers = [...(await running.served()).values()];
      return [0, 1].map((worker) => workers.filter((one) => one === worker).length);
    };
    for (let count = 0; count < 16; count += 1) await running.client();
    await Promise.all(Array.from({ length: 16 }, () => running.client()));
    const [first = 0, second = 0] = await shares();
    expect(first + second).toBe(32);
    expect(Math.max(first, second)).toBeLessThanOrEqual(19);
    for (const client of running.clients.splice(0)) {
      client.end('all of it');
      const { bytes, end } = await readAll(client);
      expect([bytes.toString(), end]).toEqual(['all of it', 'end']);
    }
    await expect.poll(() => running.pool.open).toBe(0);
  });

  it('carries exactly as many connections as the limit says, however they come', async () => {
    const running = await start({ limits: { maxConnections: 10 } }, { workers: 3 });
    for (let round = 0; round < 5; round += 1) {
      const clients = await Promise.all(Array.from({ length: 40 }, () => connectTo(running.address)));
      const served = await Promise.all(clients.map(isGreeted));
      expect(served.filter(Boolean)).toHaveLength(10);
      expect(running.pool.open).toBe(10);
      for (const client of clients) client.destroy();
      await expect.poll(() => running.pool.open).toBe(0);
    }
  });

  it('keeps to the limit of a listener over all workers', async () => {
    const running = await start({ listeners: { web: { address: '127.0.0.1:0', maxConnections: 4 } } }, { workers: 3 });
    const clients = await Promise.all(Array.from({ length: 20 }, () => connectTo(running.address)));
    const served = await Promise.all(clients.map(isGreeted));
    expect(served.filter(Boolean)).toHaveLength(4);
    for (const client of clients) client.destroy();
  });

  it('replaces a worker that dies; connections of the others live on, its own are reset', async () => {
    const running = await start({}, { entry: MORTAL });
    const clients = await clientsOfAll(running, 2);
    const [lost, kept] = [clients.get(0), clients.get(1)];
    if (!lost || !kept) throw new Error('unreachable: each worker has a client');
    const before = [...(await running.served()).values()].filter((worker) => worker === 0).length;
    kill(0);
    expect((await readAll(lost)).end).toBe('reset');
    await expect.poll(() => running.deaths).toMatchObject([{ worker: 0, connections: before, restartMs: 0 }]);
    expect(running.deaths[0]?.reason).toContain('told to die');
    expect(running.pool.deaths).toBe(1);
    kept.write('?');
    expect((await readExactly(kept, 1)).toString()).toBe('?');
    expect([...(await clientsOfAll(running, 2)).keys()].sort()).toEqual([0, 1]);
    kill(0);
    // That it has just been replaced costs a moment; who comes meanwhile waits in the kernel's queue.
    await expect.poll(() => running.deaths).toMatchObject([{}, { worker: 0, restartMs: 100 }]);
    const late = await Promise.all(Array.from({ length: 10 }, () => running.client()));
    expect(late).toHaveLength(10);
  });

  it('hands nothing to a worker that has died, and to the next one in its place again', async () => {
    const running = await start({}, { entry: MORTAL });
    const before = readdirSync('/proc/self/fd').length;
    for (let round = 1; round <= 2; round += 1) {
      await clientsOfAll(running, 2);
      // Some are just being handed over.
      const arriving = Array.from({ length: 64 }, () => connectTo(running.address));
      kill(round % 2);
      running.clients.push(...(await Promise.all(arriving)));
      await Promise.all(arriving.map(async (client) => isGreeted(await client)));
      await expect.poll(() => running.deaths).toHaveLength(round);
    }
    for (let count = 0; count < 20; count += 1) await running.client();
    for (const client of running.clients) client.destroy();
    await expect.poll(() => running.pool.open).toBe(0);
    await expect.poll(() => readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before);
  });

  it('tries again later where the system gives it no thread for a new worker', async () => {
    const setup = setupOf(await echo());
    const running = new Running(setup, 1, MORTAL);
    cleanups.push(() => running.pool.close());
    await running.apply(setup);
    // Refused by the constructor of a thread, as one is that the system has no room for.
    running.entry = new URL('http://127.0.0.1/');
    await running.client();
    kill(0);
    await expect.poll(() => running.deaths).toMatchObject([{ restartMs: 0 }, { restartMs: 100 }]);
    running.entry = MORTAL;
    await running.client();
  });

  it('does not say that a worker is replaced that dies during a drain', async () => {
    const running = await start({}, { entry: MORTAL });
    await clientsOfAll(running, 2);
    const drained = running.pool.drain(60_000);
    kill(0);
    await expect.poll(() => running.deaths).toHaveLength(1);
    expect(running.deaths[0]).not.toHaveProperty('restartMs');
    for (const client of running.clients) client.destroy();
    expect(await drained).toBe(0);
  });

  it('shows what a stalled worker said last, reloads without it, and ends it by force', async () => {
    const running = await start({}, { entry: MORTAL });
    const clients = await clientsOfAll(running, 2);
    const [stuck, served] = [clients.get(0), clients.get(1)];
    if (!stuck || !served) throw new Error('unreachable: each worker has a client');
    const [before] = await running.pool.report(WANTED);
    await stall(0);
    const [after, other] = await running.pool.report(WANTED);
    expect(before?.workers).toMatchObject([{ worker: 0, answered: true }]);
    expect(after).toEqual(before && staleReport(before));
    expect(other?.workers).toMatchObject([{ worker: 1, answered: true }]);
    await running.apply(setupOf('127.0.0.1:1', { accessLog: 'off' }));
    served.write('?');
    expect((await readExactly(served, 1)).toString()).toBe('?');
    await running.pool.close();
    expect((await readAll(stuck)).end).toBe('reset');
    expect(running.pool.open).toBe(0);
  });

  it('takes other endpoints and other listeners, and touches no live connection', async () => {
    const running = await start();
    const live = await running.client();
    const other = await startServer((socket) => socket.end('other'));
    cleanups.push(() => other.close());
    const { address } = other;
    running.pool.update('web', [{ id: 'other', addresses: [address] }]);
    await expect.poll(() => ask(running.address)).toBe('other');
    const old = running.address;
    await running.apply(
      setupOf(formatAddress(address), { listeners: { more: { address: '127.0.0.1:0', service: 'web' } } }),
    );
    await expect(connectTo(old)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(await ask(running.address)).toBe('other');
    live.end('still here');
    expect((await readAll(live)).bytes.toString()).toBe('still here');
  });

  it('drains: accepts no more, waits for what is open, then resets it and says how many', async () => {
    const running = await start();
    const clients = await clientsOfAll(running, 2);
    const [finishing, staying] = [clients.get(0), clients.get(1)];
    if (!finishing || !staying) throw new Error('unreachable: each worker has a client');
    const [address, { open }] = [running.address, running.pool];
    const drained = running.pool.drain(3_600_000);
    await expect.poll(() => isTaken(address)).toBe(false);
    finishing.end('bye');
    expect((await readAll(finishing)).bytes.toString()).toBe('bye');
    await expect.poll(() => running.pool.open).toBe(open - 1);
    running.pool.cutAll();
    expect(await drained).toBe(open - 1);
    expect((await readAll(staying)).end).toBe('reset');
  });

  it('refuses a setup with an address that is taken, and leaves all as it was', async () => {
    const running = await start();
    const taken = await startServer();
    cleanups.push(() => taken.close());
    const before = readdirSync('/proc/self/fd').length;
    const setup = setupOf('127.0.0.1:1', {
      listeners: {
        first: { address: '127.0.0.1:0', service: 'web' },
        second: { address: formatAddress(taken.address), service: 'web' },
      },
    });
    await expect(running.pool.prepare(setup)).rejects.toMatchObject({ code: 'listen' });
    expect(readdirSync('/proc/self/fd').length).toBe(before);
    await running.client();
  });

  it('sends lines of the access log in batches', async () => {
    const running = await start();
    const clients = await Promise.all(Array.from({ length: 20 }, () => running.client()));
    for (const client of clients) client.end();
    await expect.poll(() => running.lines).toHaveLength(20);
    expect(JSON.parse(running.lines[0] ?? '')).toMatchObject({ level: 'info', connection: { listener: 'web' } });
  });

  it('carries bytes and takes new clients while the main thread is stalled', async () => {
    const running = await start();
    if (running.address.kind !== 'ip') throw new Error('unreachable');
    // Client and upstream in a thread of their own: the one of this test is to stand still.
    const traffic = new Worker(new URL('traffic.mjs', import.meta.url), { workerData: { port: running.address.port } });
    cleanups.push(() => traffic.terminate());
    const [{ upstream }] = await once(traffic, 'message');
    running.pool.update('web', [{ id: 'traffic', addresses: [{ kind: 'ip', host: '127.0.0.1', port: upstream }] }]);
    await expect.poll(async () => (await running.pool.report(WANTED)).length).toBe(2);
    const counts = new Int32Array(new SharedArrayBuffer(8));
    traffic.postMessage(counts);
    await expect.poll(() => Atomics.load(counts, 0)).toBeGreaterThan(0);
    const [answered, connected] = counts;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);
    expect(Atomics.load(counts, 0)).toBeGreaterThan((answered ?? 0) + 20);
    expect(Atomics.load(counts, 1)).toBeGreaterThan((connected ?? 0) + 20);
  });

  it('leaves no descriptor and no thread behind, however often it is made and closed', async () => {
    const cycle = async (): Promise<void> => {
      const running = await start({}, { workers: 1 });
      await running.client();
      await running.pool.close();
      // What this test itself holds, servers and clients, is let go each time: one that a pool forgets is seen.
      for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
      for (const client of running.clients) if (!client.closed) await once(client, 'close');
    };
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const threads = (): number => readdirSync('/proc/self/task').length;
    // The first ones bring what stays for good: Node's own threads and their descriptors.
    for (let times = 0; times < 3; times += 1) await cycle();
    const before = { descriptors: descriptors(), threads: threads() };
    for (let times = 0; times < 6; times += 1) await cycle();
    await expect.poll(() => descriptors() - before.descriptors).toBeLessThanOrEqual(0);
    await expect.poll(() => threads() - before.threads).toBeLessThanOrEqual(0);
  });
});
