import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { IpAddress } from '../../src/core/address.js';
import { encodeProxyHeader } from '../../src/l4/proxy-header.js';
import { readAll, readExactly, startServer } from '../fakes/net.js';
import { hasOpenssl, TestAuthority } from './mesh-certificates.js';
import { Program } from './program.js';

const MIB = 1024 ** 2;

/** Sends as many bytes as it is asked for by the first eight it gets, and reads whatever it is sent. */
async function source(): Promise<IpAddress> {
  const server = await startServer((socket) => {
    void readExactly(socket, 8).then(
      (count) => {
        socket.resume();
        socket.end(Buffer.alloc(Number(count.readBigUInt64LE()), 7));
      },
      () => {},
    );
  });
  onTestFinished(() => server.close());
  return server.address;
}

function from(port: number, localAddress = '127.0.0.1'): Socket {
  const socket = connect({ host: '127.0.0.1', port, localAddress, allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  return socket;
}

function ask(bytes: number): Buffer {
  const request = Buffer.alloc(8);
  request.writeBigUInt64LE(BigInt(bytes));
  return request;
}

/** Has so many bytes sent, all of which must come; how long that took, ms. */
async function download(socket: Socket, bytes: number): Promise<number> {
  const began = performance.now();
  socket.end(ask(bytes));
  const got = await readAll(socket);
  expect([got.bytes.length, got.end]).toEqual([bytes, 'end']);
  return performance.now() - began;
}

/**
 * Ms for so many bytes at that many a second, within 10 %: a tenth of a second may come in advance. Where the machine has no time for
 * the proxy it may take longer, but never less.
 */
function expectTime(tookMs: number, bytes: number, perSecond: number): void {
  const exact = (1000 * bytes) / perSecond;
  expect(tookMs).toBeGreaterThan(0.9 * (exact - 100));
  expect(tookMs).toBeLessThan(1.1 * exact + 300);
}

async function isRefused(socket: Socket): Promise<boolean> {
  const { end } = await readAll(socket);
  return end === 'reset';
}

async function isServed(socket: Socket): Promise<boolean> {
  socket.end(ask(5));
  return (await readAll(socket)).bytes.length === 5;
}

describe.each(['native', 'streams'])('a bandwidth limit, with the engine %s', (engine) => {
  const start = async (...flags: string[]): Promise<[Program, number]> => {
    const program = Program.inFrontOf([await source()], ['--engine', engine, ...flags]);
    return [program, await program.port()];
  };

  it('of a listener is kept within 10 %, by all connections together, and in both directions at once', async () => {
    const [, port] = await start('--max-bandwidth', '4MiB/s');
    const down = Promise.all([from(port), from(port)].map((socket) => download(socket, 3 * MIB)));
    const up = from(port);
    const began = performance.now();
    up.write(ask(1));
    up.end(Buffer.alloc(6 * MIB));
    await readAll(up);
    expectTime(Math.max(...(await down)), 6 * MIB, 4 * MIB);
    await expect.poll(() => up.destroyed || up.writableFinished).toBe(true);
    expect(performance.now() - began).toBeGreaterThan(1000);
  });

  it('of each client is its own, however many connections another one has', async () => {
    const [program, port] = await start('--max-bandwidth-per-source', '2MiB/s');
    const [alone, ...others] = await Promise.all([
      download(from(port, '127.0.0.2'), 3 * MIB),
      ...Array.from({ length: 4 }, () => download(from(port, '127.0.0.3'), MIB)),
    ]);
    expectTime(alone, 3 * MIB, 2 * MIB);
    // They share what there is evenly: each is done in the last quarter.
    for (const tookMs of others) {
      expectTime(Math.max(...others), 4 * MIB, 2 * MIB);
      expect(tookMs).toBeGreaterThan(0.6 * Math.max(...others));
    }
    expect((await program.accessLine()).ending).toBe('completed');
  });

  it('is not taken for idleness', async () => {
    const [program, port] = await start('--max-bandwidth', '128KiB/s', '--idle-timeout', '100ms');
    expectTime(await download(from(port), 256 * 1024), 256 * 1024, 128 * 1024);
    const { ending, heldBackMs, durationMs } = await program.accessLine();
    expect(ending).toBe('completed');
    expect(heldBackMs).toBeGreaterThan(1000);
    expect(heldBackMs).toBeLessThanOrEqual((durationMs ?? 0) + 1000);
    const told = await program.metric('meshproxy_held_back_seconds_total', { listener: 'default' });
    expect(told).toBeCloseTo((heldBackMs ?? 0) / 1000, 2);
  });

  it('goes by the client that a PROXY protocol header names', async () => {
    const [, port] = await start('--max-bandwidth-per-source', '2MiB/s', '--accept-proxy-protocol');
    const by = (host: string): Socket => {
      const socket = from(port);
      socket.write(encodeProxyHeader('v2', { kind: 'ip', host, port: 1 }, { kind: 'ip', host: '10.0.0.1', port: 2 }));
      return socket;
    };
    const took = await Promise.all(['192.0.2.1', '192.0.2.2'].map((host) => download(by(host), 2 * MIB)));
    for (const tookMs of took) expectTime(tookMs, 2 * MIB, 2 * MIB);
  });

  it('that changes goes for what is open too', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meshproxy-rates-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'meshproxy.json');
    const { port: upstream } = await source();
    const write = (maxBandwidth: string): void => {
      const listeners = { default: { address: '127.0.0.1:0', maxBandwidth } };
      const services = { default: { upstreams: [`127.0.0.1:${upstream}`] } };
      writeFileSync(file, JSON.stringify({ engine, admin: '127.0.0.1:0', listeners, services }));
    };
    write('64KiB/s');
    const program = new Program(['--config', file]);
    const socket = from(await program.port());
    const done = download(socket, 16 * MIB);
    await program.metric('meshproxy_config_version');
    write('1GiB/s');
    program.kill('SIGHUP');
    // At the old limit it would take four minutes.
    expect(await done).toBeLessThan(30_000);
  });

  it.skipIf(!hasOpenssl)('holds for connections with TLS', async () => {
    const authority = new TestAuthority();
    onTestFinished(() => authority.remove());
    authority.leaf('web', { names: ['DNS:web.example'] });
    const flags = ['--tls-accept', 'terminate', ...authority.flags('web')];
    const [, port] = await start('--max-bandwidth', '2MiB/s', ...flags);
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    onTestFinished(() => void socket.destroy());
    expectTime(await download(socket, 3 * MIB), 3 * MIB, 2 * MIB);
  });
});

describe.each(['native', 'streams'])('a limit of connections in a time, with the engine %s', (engine) => {
  let upstream: IpAddress;
  beforeEach(async () => {
    upstream = await source();
  });
  const start = async (...flags: string[]): Promise<[Program, number]> => {
    const program = Program.inFrontOf([upstream], ['--engine', engine, ...flags]);
    return [program, await program.port()];
  };

  it('of a listener refuses what is above it, at once, and says so', async () => {
    const [program, port] = await start('--max-connection-rate', '3/h');
    for (let times = 0; times < 3; times += 1) expect(await isServed(from(port, `127.0.0.${times + 2}`))).toBe(true);
    for (let times = 0; times < 5; times += 1) expect(await isRefused(from(port))).toBe(true);
    const labels = { listener: 'default', reason: 'rate-limit' };
    expect(await program.metric('meshproxy_connections_refused_total', labels)).toBe(5);
    await program.said(
      /refused a connection: it was given as many in a time as the listener's maxConnectionRate allows/,
    );
  });

  it('of each client refuses that one, and no other', async () => {
    const [program, port] = await start('--max-connection-rate-per-source', '2/h', '--max-connection-rate', '6/h');
    for (const host of ['127.0.0.2', '127.0.0.3']) {
      for (let times = 0; times < 2; times += 1) expect(await isServed(from(port, host))).toBe(true);
      for (let times = 0; times < 4; times += 1) expect(await isRefused(from(port, host))).toBe(true);
    }
    const labels = { listener: 'default', reason: 'source-rate-limit' };
    expect(await program.metric('meshproxy_connections_refused_total', labels)).toBe(8);
    // What was refused to one client has used up nothing of what is for all.
    expect(await isServed(from(port, '127.0.0.4'))).toBe(true);
  });

  it('goes by the client that a PROXY protocol header names, and ends its connection', async () => {
    const [program, port] = await start('--max-connection-rate-per-source', '1/h', '--accept-proxy-protocol');
    const by = (host: string): Socket => {
      const socket = from(port);
      socket.write(encodeProxyHeader('v2', { kind: 'ip', host, port: 1 }, { kind: 'ip', host: '10.0.0.1', port: 2 }));
      return socket;
    };
    expect(await isServed(by('192.0.2.1'))).toBe(true);
    expect(await isRefused(by('192.0.2.1'))).toBe(true);
    expect(await isServed(by('192.0.2.2'))).toBe(true);
    await program.accessLine(({ ending, client }) => ending === 'rate-limited' && client.startsWith('192.0.2.1:'));
  });

  it('takes no more memory for thousands of clients', async () => {
    const [program, port] = await start('--max-connection-rate-per-source', '1/h', '--access-log', 'off');
    const visit = async (first: number, count: number): Promise<void> => {
      for (let at = first; at < first + count; at += 20) {
        const hosts = Array.from(
          { length: 20 },
          (_, index) => `127.${10 + ((at + index) >> 14)}.${((at + index) >> 7) & 127}.${1 + ((at + index) & 127)}`,
        );
        const served = await Promise.all(hosts.map((host) => isServed(from(port, host))));
        expect(served).not.toContain(false);
      }
    };
    await visit(0, 1500);
    const before = program.usage().resident;
    await visit(1500, 4500);
    // A map of them would have some hundred bytes for each; what this allows for is the heap's breathing.
    expect(program.usage().resident - before).toBeLessThan(24 * MIB);
  }, 60_000);
});
