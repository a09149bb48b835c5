import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { SocketAddress } from '../../src/core/address.js';
import { encodeProxyHeader } from '../../src/l4/proxy-header.js';
import { TestPlane, type TestPlaneOptions } from '../fakes/data-plane.js';
import { readAll, readExactly, startServer } from '../fakes/net.js';

const TARGET = 100;
const INTERVAL = 500;
const LATE = TARGET + 1;

async function start(options: TestPlaneOptions): Promise<TestPlane> {
  const echo = await startServer((socket) => socket.pipe(socket));
  const plane = await TestPlane.start([echo.address], options);
  onTestFinished(async () => {
    await plane.close();
    await echo.close();
  });
  await plane.limit({ shedTarget: TARGET });
  // Nobody has waited since before it was there.
  plane.clock.advance(10_000);
  return plane;
}

function from(host: string, plane: TestPlane): net.Socket {
  if (plane.address.kind !== 'ip') throw new Error('it listens on an IP address');
  const { host: target, port } = plane.address;
  const socket = net.connect({ host: target, port, localAddress: host, allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  return socket;
}

async function served(socket: net.Socket): Promise<void> {
  socket.write('hello');
  expect((await readExactly(socket, 5)).toString()).toBe('hello');
}

async function refused(socket: net.Socket): Promise<void> {
  expect(await readAll(socket)).toMatchObject({ end: 'reset' });
}

/** So many of one source, one after the other, for two intervals and more. */
async function flood(plane: TestPlane, host: string): Promise<void> {
  for (let times = 0; times < 22; times += 1) {
    const socket = from(host, plane);
    await Promise.race([served(socket), refused(socket)].map((one) => one.catch(() => {})));
    socket.destroy();
    plane.clock.advance(INTERVAL / 10);
  }
}

describe('load shedding', () => {
  it('refuses at once who waits longer than the target, and leaves alone what is open', async () => {
    let backlogMs = 0;
    const plane = await start({ backlogMs: () => backlogMs });
    const open = from('127.0.0.2', plane);
    await served(open);
    backlogMs = LATE;
    await flood(plane, '127.0.0.2');
    plane.refusals.splice(0);
    await refused(from('127.0.0.2', plane));
    expect(plane.refusals).toEqual(['overload']);
    await served(open);
    backlogMs = TARGET;
    await served(from('127.0.0.2', plane));
  });

  it('lets a quiet client in while a noisy one is refused', async () => {
    const plane = await start({ backlogMs: () => LATE });
    await flood(plane, '127.0.0.2');
    for (let times = 0; times < 3; times += 1) {
      await refused(from('127.0.0.2', plane));
      await served(from('127.0.0.3', plane));
    }
  });

  it('goes by the client that a PROXY protocol header names, and ends its connection in words', async () => {
    const plane = await start({ backlogMs: () => LATE, listener: { acceptProxyProtocol: true } });
    const by = async (host: string): Promise<net.Socket> => {
      const socket = from('127.0.0.1', plane);
      const source: SocketAddress = { kind: 'ip', host, port: 1 };
      socket.write(encodeProxyHeader('v2', source, { kind: 'ip', host: '10.0.0.1', port: 2 }));
      return socket;
    };
    for (let times = 0; times < 22; times += 1) {
      const socket = await by('192.0.2.1');
      await Promise.race([served(socket), refused(socket)].map((one) => one.catch(() => {})));
      socket.destroy();
      plane.clock.advance(INTERVAL / 10);
    }
    await plane.until(() => plane.live.size === 0);
    plane.records.splice(0);
    await refused(await by('192.0.2.1'));
    expect(await plane.record()).toMatchObject({ ending: 'shed', client: '192.0.2.1:1' });
    await served(await by('192.0.2.2'));
    expect(plane.refusals).toEqual([]);
  });

  it('holds nothing against those who waited because it was paused', async () => {
    const plane = await start({ backlogMs: () => 400 });
    plane.allowed = 1;
    let current = from('127.0.0.2', plane);
    await served(current);
    for (let times = 0; times < 10; times += 1) {
      const next = from('127.0.0.2', plane);
      await once(next, 'connect');
      plane.clock.advance(INTERVAL / 2);
      current.destroy();
      await served(next);
      current = next;
    }
    expect(plane.refusals).toEqual([]);
  });

  it('is off where it is turned off', async () => {
    const plane = await start({ backlogMs: () => 5000 });
    await plane.limit({ shedTarget: 0 });
    await flood(plane, '127.0.0.2');
    expect(plane.refusals).toEqual([]);
  });
});
