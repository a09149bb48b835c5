import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import type net from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Address } from '../../../src/core/address.js';
import { abortOwned, type BoundGroup, bindShared } from '../../../src/l4/native/bind.js';
import { EAGAIN } from '../../../src/l4/native/kernel.js';
import { LinuxKernel } from '../../../src/l4/native/linux-kernel.js';
import { connectTo, readAll, startServer } from '../../fakes/net.js';

const OPTIONS = { keepaliveMs: 0, bufferSize: 65536 };
const LOOPBACK: Address = { kind: 'ip', host: '127.0.0.1', port: 0 };
const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));

describe('binding', () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  async function bind(address: Address, count: number): Promise<BoundGroup> {
    const group = await bindShared(address, OPTIONS, count);
    cleanups.push(group.close);
    return group;
  }

  async function connect(address: Address): Promise<net.Socket> {
    const socket = await connectTo(address);
    cleanups.push(() => socket.destroy());
    return socket;
  }

  function socketPath(): Address & { kind: 'unix' } {
    const folder = mkdtempSync(join(tmpdir(), 'meshproxy-'));
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
    return { kind: 'unix', path: join(folder, 'a.sock') };
  }

  /** How many connections wait behind each, which are taken and closed. */
  function drain(fds: readonly number[]): number[] {
    const kernel = new LinuxKernel();
    const counts = fds.map((fd) => {
      let count = 0;
      for (let taken = kernel.accept(fd); taken !== -EAGAIN; taken = kernel.accept(fd)) {
        count += 1;
        kernel.close(taken);
      }
      return count;
    });
    kernel.closePolling();
    return counts;
  }

  it('spreads the connections to one port over all that share it', async () => {
    const { address, fds } = await bind(LOOPBACK, 4);
    expect(new Set(fds).size).toBe(4);
    const clients = 200;
    await Promise.all(Array.from({ length: clients }, () => connect(address)));
    const counts = drain(fds);
    expect(counts.reduce((sum, count) => sum + count)).toBe(clients);
    // By a hash of both ends: a quarter each is 50, and 20 is more than four standard deviations below.
    for (const count of counts) expect(count).toBeGreaterThan(20);
  });

  it.each([1, 3])('refuses a port that another group of %i serves, which could be shared', async (count) => {
    const { address } = await bind(LOOPBACK, 2);
    await expect(bindShared(address, OPTIONS, count)).rejects.toMatchObject({ code: 'listen' });
    const other = await startServer();
    cleanups.push(() => other.close());
    await expect(bindShared(other.address, OPTIONS, count)).rejects.toMatchObject({
      code: 'listen',
      message: expect.stringContaining('already in use'),
    });
  });

  it('leaves nothing open where it fails, and nothing when it is closed', async () => {
    const server = await startServer();
    cleanups.push(() => server.close());
    const kernel = new LinuxKernel();
    cleanups.push(() => kernel.closePolling());
    const nextFree = (): number => {
      const fd = kernel.socket('ipv4');
      kernel.close(fd);
      return fd;
    };
    const before = nextFree();
    await bindShared(server.address, OPTIONS, 3).catch(() => {});
    expect(nextFree()).toBe(before);
    const group = await bindShared(LOOPBACK, OPTIONS, 3);
    expect(nextFree()).toBeGreaterThan(before);
    group.close();
    group.close();
    expect(nextFree()).toBe(before);
    await expect(connectTo(group.address)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it.runIf(hasIpv6)('takes IPv4 and IPv6 where no host is named, and IPv6 alone where one is', async () => {
    const any = await bind({ kind: 'any', port: 0 }, 2);
    const port = any.address.kind === 'any' ? any.address.port : 0;
    expect(port).toBeGreaterThan(0);
    await connect({ kind: 'ip', host: '127.0.0.1', port });
    await connect({ kind: 'ip', host: '::1', port });
    expect(drain(any.fds).reduce((sum, count) => sum + count)).toBe(2);
    const one = await bind({ kind: 'ip', host: '::1', port: 0 }, 1);
    const onlyIpv6 = one.address.kind === 'ip' ? one.address.port : 0;
    await connect({ kind: 'ip', host: '::1', port: onlyIpv6 });
    await expect(connectTo({ kind: 'ip', host: '127.0.0.1', port: onlyIpv6 })).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
  });

  it('has one socket for all on a path, and removes its file when it is closed', async () => {
    const address = socketPath();
    const group = await bind(address, 3);
    expect(new Set(group.fds).size).toBe(1);
    await connect(address);
    expect(drain(group.fds)[0]).toBe(1);
    expect(existsSync(address.path)).toBe(true);
    group.close();
    expect(existsSync(address.path)).toBe(false);
  });

  it('takes the place of a socket file that nobody serves, and of no other', async () => {
    const address = socketPath();
    const script = `require('net').createServer().listen(${JSON.stringify(address.path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script], { stdio: 'ignore' });
    expect(existsSync(address.path)).toBe(true);
    await bind(address, 2);
    await expect(bindShared(address, OPTIONS, 2)).rejects.toMatchObject({ code: 'listen' });
    await connect(address);
  });

  it('lets clients wait behind the sockets while no thread takes them', async () => {
    const { address, fds } = await bind(LOOPBACK, 2);
    const first = await connect(address);
    await connect(address);
    first.write('hello');
    expect(drain(fds).reduce((sum, count) => sum + count)).toBe(2);
  });

  it('resets what a thread has left behind, by the marks it made, and nothing else', async () => {
    const owned = new Uint8Array(1024);
    const { address, fds } = await bind(LOOPBACK, 1);
    const [died, lives] = [new LinuxKernel({ owned, mark: 1 }), new LinuxKernel({ owned, mark: 2 })];
    cleanups.push(() => lives.closePolling());
    const clients = [await connect(address), await connect(address)];
    const [first, second] = [died.accept(fds[0] ?? -1), lives.accept(fds[0] ?? -1)];
    const pipe = died.openPipe();
    expect([owned[first], owned[second], owned[pipe?.readEnd ?? 0], owned[pipe?.writeEnd ?? 0]]).toEqual([1, 2, 1, 1]);
    abortOwned(owned, 1);
    expect(owned.includes(1)).toBe(false);
    expect((await readAll(clients[0] as net.Socket)).end).toBe('reset');
    lives.close(second);
    expect((await readAll(clients[1] as net.Socket)).end).toBe('end');
    expect(owned.includes(2)).toBe(true);
  });
});
