import { afterEach, describe, expect, it } from 'vitest';
import { NativeListener } from '../../../src/l4/native/listener.js';
import type { Connection } from '../../../src/l4/transport.js';
import { engineOn } from './engine.js';
import { FakeKernel } from './fake-kernel.js';
import { FakeSocket } from './fake-socket.js';

describe('a native listener', () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  function start(accept: (connection: Connection) => void) {
    const kernel = new FakeKernel();
    const bugs: unknown[] = [];
    const listener = new NativeListener(
      engineOn(kernel, (error) => bugs.push(error)),
      { address: { kind: 'ip', host: '10.0.0.1', port: 1 }, fd: kernel.listenerFd, accept, release: () => {} },
    );
    cleanups.push(() => listener.close());
    return { kernel, bugs, listener };
  }

  it('leaves clients waiting while there is no descriptor, does not try all the time, and takes them when there is one', async () => {
    const accepted: Connection[] = [];
    const { kernel } = start((connection) => accepted.push(connection));
    cleanups.push(() => {
      for (const connection of accepted) connection.reset();
    });
    let tries = 0;
    const accept = kernel.accept.bind(kernel);
    kernel.accept = (fd) => {
      tries += 1;
      return accept(fd);
    };
    kernel.shortOfDescriptors = 2;
    for (let count = 0; count < 3; count += 1) kernel.arrive(new FakeSocket());
    await expect.poll(() => accepted.length).toBe(3);
    // Two that failed, three clients, and one that found the queue empty.
    expect(tries).toBe(6);
  });

  it('accepts no more in a turn than it is told to, and the others in the turns after it', () => {
    const accepted: Connection[] = [];
    const { kernel, listener } = start((connection) => accepted.push(connection));
    for (let count = 0; count < 5; count += 1) kernel.arrive(new FakeSocket());
    listener.configure({ keepaliveMs: 0, bufferSize: 4096, acceptsPerTurn: 2 });
    const turns = [1, 2, 3].map(() => {
      listener.onEvents();
      return accepted.length;
    });
    expect(turns).toEqual([2, 4, 5]);
    for (const connection of accepted) connection.reset();
  });

  it('does not go on by itself after a rest where it was paused or closed meanwhile', async () => {
    const accepted: Connection[] = [];
    const { kernel, listener } = start((connection) => accepted.push(connection));
    kernel.shortOfDescriptors = 1;
    kernel.arrive(new FakeSocket());
    await expect.poll(() => kernel.shortOfDescriptors).toBe(0);
    listener.pause();
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(accepted).toEqual([]);
    expect(kernel.watched).toBe(0);
    listener.resume();
    await expect.poll(() => accepted.length).toBe(1);
    accepted[0]?.reset();
  });

  it('lets Node have its turn after it told of a shortage: timers that were set then are known of', () => {
    const kernel = new FakeKernel();
    const engine = engineOn(kernel, () => {});
    const calls: string[] = [];
    engine.reactor.callingOut = () => calls.push('calling out');
    const listener = new NativeListener(engine, {
      address: { kind: 'ip', host: '10.0.0.1', port: 1 },
      fd: kernel.listenerFd,
      accept: () => {},
      exhausted: () => {
        calls.push('exhausted');
        listener.pause();
      },
      release: () => {},
    });
    cleanups.push(() => listener.close());
    kernel.shortOfDescriptors = 1;
    kernel.arrive(new FakeSocket());
    listener.onEvents();
    expect(calls).toEqual(['calling out', 'exhausted']);
  });

  it('makes no connection of what another thread takes, and one of what another thread has accepted', async () => {
    const kernel = new FakeKernel();
    const accepted: Connection[] = [];
    const shared: number[] = [];
    const listener = new NativeListener(
      engineOn(kernel, () => {}),
      {
        address: { kind: 'ip', host: '10.0.0.1', port: 1 },
        fd: kernel.listenerFd,
        accept: (connection) => accepted.push(connection),
        share: (fd) => {
          if (shared.length === 1) return false;
          shared.push(fd);
          return true;
        },
        release: () => {},
      },
    );
    cleanups.push(() => listener.close());
    kernel.arrive(new FakeSocket());
    kernel.arrive(new FakeSocket());
    await expect.poll(() => accepted.length).toBe(1);
    const [fd] = shared;
    if (fd === undefined) throw new Error('unreachable: the first was shared');
    expect(kernel.socketAt(fd)?.closed).toBe('no');
    listener.pause();
    listener.take(fd);
    expect(accepted).toHaveLength(2);
    expect(accepted[1]?.remote).toEqual({ kind: 'ip', host: '10.0.0.2', port: 2 });
    for (const connection of accepted) connection.reset();
    expect([kernel.open, kernel.violations]).toEqual([0, []]);
  });

  it('resets a connection whose owner throws, tells of it, and goes on accepting', async () => {
    const accepted: Connection[] = [];
    const { kernel, bugs } = start((connection) => {
      accepted.push(connection);
      if (accepted.length === 1) throw new Error('a bug');
    });
    const [first, second] = [new FakeSocket(), new FakeSocket()];
    kernel.arrive(first);
    kernel.arrive(second);
    await expect.poll(() => accepted.length).toBe(2);
    expect(bugs).toEqual([new Error('a bug')]);
    expect([first.closed, second.closed]).toEqual(['aborted', 'no']);
    accepted[1]?.reset();
    expect(kernel.violations).toEqual([]);
  });
});
