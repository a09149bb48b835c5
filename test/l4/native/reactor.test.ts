import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { LinuxKernel } from '../../../src/l4/native/linux-kernel.js';
import { type Handler, Reactor } from '../../../src/l4/native/reactor.js';
import { connectTo, push, startServer } from '../../fakes/net.js';

const BUILD = new URL('../../../build/', import.meta.url).href;
/** Twenty rounds take some tens of ms. Were the loop to wait for its longest in each, as it does with nothing to do, they would take 20 s. */
const IN_TIME_MS = 8000;

describe('the reactor', () => {
  const cleanups: (() => void)[] = [];
  afterEach(() => {
    for (const cleanup of cleanups.splice(0).reverse()) cleanup();
  });

  function start() {
    const kernel = new LinuxKernel();
    const bugs: unknown[] = [];
    const reactor = new Reactor(kernel, (error) => bugs.push(error));
    cleanups.push(() => kernel.closePolling());
    /** A pipe whose reading end is watched by `handler` as long as there is something in it. */
    const watched = (handler: Handler) => {
      const pipe = kernel.openPipe();
      if (pipe === undefined) throw new Error('no pipe');
      reactor.watchReadable(pipe.readEnd, handler);
      let open = true;
      const close = () => {
        if (!open) return;
        open = false;
        reactor.unwatch(pipe.readEnd);
        kernel.closePipe(pipe);
      };
      cleanups.push(close);
      return { ...pipe, close };
    };
    return { kernel, reactor, bugs, watched };
  }

  it('tells of a handler that throws, and serves the others', async () => {
    const { bugs, watched } = start();
    const served = new Promise<void>((resolve) => {
      const broken = watched({
        onEvents() {
          broken.close();
          throw new Error('a bug');
        },
      });
      const sound = watched({
        onEvents() {
          sound.close();
          resolve();
        },
      });
      writeSync(broken.writeEnd, 'x');
      writeSync(sound.writeEnd, 'x');
    });
    await served;
    expect(bugs).toEqual([new Error('a bug')]);
  });

  it('does not tell a descriptor what happened to the one that had its number before, in the same batch', async () => {
    const { watched } = start();
    const told: string[] = [];
    const first = watched({
      onEvents() {
        first.close();
        second.close();
        // The lowest free numbers are taken first: these are the two that have just been closed.
        const reused = [
          watched({ onEvents: () => void told.push('one') }),
          watched({ onEvents: () => void told.push('two') }),
        ];
        expect(reused.map(({ readEnd }) => readEnd)).toEqual([first.readEnd, second.readEnd]);
        setTimeout(() => {
          for (const one of reused) one.close();
        }, 10);
      },
    });
    const second = watched({ onEvents: first.close });
    writeSync(first.writeEnd, 'x');
    writeSync(second.writeEnd, 'x');
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(told).toEqual([]);
  });

  it('ends what threw, and serves the others on', async () => {
    const { bugs, reactor, watched } = start();
    const told: string[] = [];
    const thrower = watched({
      onEvents() {
        throw new Error('one');
      },
      fail() {
        told.push('ended one');
        thrower.close();
        throw new Error('two');
      },
    });
    await new Promise<void>((resolve) => {
      reactor.later({
        goOn() {
          throw new Error('three');
        },
        fail: () => void told.push('ended three'),
      });
      const other = watched({
        onEvents() {
          other.close();
          resolve();
        },
      });
      writeSync(thrower.writeEnd, 'x');
      writeSync(other.writeEnd, 'x');
    });
    await expect.poll(() => told.toSorted()).toEqual(['ended one', 'ended three']);
    expect(bugs.splice(0).map(String).toSorted()).toEqual(['Error: one', 'Error: three', 'Error: two']);
  });

  it('lets the others have their turn while something goes on and on', async () => {
    const { reactor, watched } = start();
    let goes = 0;
    let over = false;
    const unfinished = {
      goOn() {
        goes += 1;
        if (!over) reactor.later(unfinished);
      },
    };
    await new Promise<void>((resolve) => {
      const other = watched({
        onEvents() {
          other.close();
          resolve();
        },
      });
      const keepsWatching = watched({ onEvents() {} });
      reactor.later(unfinished);
      setTimeout(() => writeSync(other.writeEnd, 'x'), 5);
      cleanups.push(() => keepsWatching.close());
    });
    over = true;
    expect(goes).toBeGreaterThan(1);
  });

  it('waits again after it had nothing to watch for a moment', async () => {
    const { kernel, watched } = start();
    let impatient = 0;
    const wait = kernel.wait.bind(kernel);
    kernel.wait = (timeoutMs) => {
      if (timeoutMs === 0) impatient += 1;
      return wait(timeoutMs);
    };
    for (let round = 0; round < 10; round += 1) watched({ onEvents() {} }).close();
    watched({ onEvents() {} });
    await new Promise((resolve) => setTimeout(resolve, 100));
    // Of two turns in the loop at a time each would find the other to be done, thousands of times.
    expect(impatient).toBeLessThan(20);
  });

  describe('of a thread', () => {
    async function startThread() {
      const upstream = await startServer();
      const worker = new Worker(new URL('./thread.mjs', import.meta.url), {
        workerData: { built: BUILD, upstream: upstream.address.port },
      });
      const [{ port, chores }]: [{ port: number; chores: string[] }] = (await once(worker, 'message')) as never;
      cleanups.push(
        () => upstream.close(),
        () => void worker.terminate(),
      );
      const ask = async (chore: string): Promise<number> => {
        worker.postMessage({ chore });
        return (await once(worker, 'message'))[0];
      };
      /** Bytes go through it without end. */
      const makeBusy = async (): Promise<void> => {
        const client = await connectTo({ kind: 'ip', host: '127.0.0.1', port });
        const server = await upstream.accept();
        cleanups.push(() => client.destroy());
        push(client);
        server.resume();
        await once(server, 'data');
      };
      return { worker, chores, ask, makeBusy };
    }

    it('has everything of Node work in time, idle and busy', async () => {
      const { chores, ask, makeBusy } = await startThread();
      for (const chore of chores) expect(await ask(chore), `${chore}, idle`).toBeLessThan(IN_TIME_MS);
      await makeBusy();
      for (const chore of chores) expect(await ask(chore), `${chore}, busy`).toBeLessThan(IN_TIME_MS);
    });

    it('uses no processor while there is nothing to do', async () => {
      const { ask } = await startThread();
      await ask('timer');
      const before = await ask('busy');
      await new Promise((resolve) => setTimeout(resolve, 1000));
      // Of 1000 ms; two messages and a turn or two take well under one.
      expect((await ask('busy')) - before).toBeLessThan(20);
    });

    it('can be ended while it waits, and while it relays', async () => {
      for (const busy of [false, true]) {
        const { worker, makeBusy } = await startThread();
        if (busy) await makeBusy();
        else await new Promise((resolve) => setTimeout(resolve, 20));
        expect(await worker.terminate()).toBe(1);
      }
    });
  });

  it('keeps the process alive for as long as something is watched, and no longer', async () => {
    const script = `
      const { createNativeTransport } = await import(${JSON.stringify(`${BUILD}l4/native/transport.js`)});
      const transport = createNativeTransport({ onBug(error) { throw error; } });
      const address = { kind: 'ip', host: '127.0.0.1', port: 0 };
      const listener = await transport.listen(address, { keepaliveMs: 0, bufferSize: 1 }, (near) => {
        near.peek(1, new AbortController().signal).catch(() => {
          console.log('the last one has gone');
        });
        listener.close();
      });
      console.log(listener.address.port);
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
    });
    await once(child.stdout, 'data');
    const client = await connectTo({ kind: 'ip', host: '127.0.0.1', port: Number(said) });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(child.exitCode).toBe(null);
    client.resetAndDestroy();
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(said).toContain('the last one has gone');
  });
});
