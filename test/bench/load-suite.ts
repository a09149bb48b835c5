import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  compiler,
  LOAD_PROGRAMS,
  type LoadEngine,
  type LoadOptions,
  type LoadProgram,
  loadEngine,
} from '../../bench/load/engine.js';
import { Checksum } from '../../bench/load/node/checksum.js';
import { type LoadResult, parseLoadResult } from '../../bench/load/result.js';
import { histogramOf } from '../../bench/measure/latency.js';
import { type Child, run, start } from '../../bench/system/children.js';
import { freePort, listening } from '../../bench/system/ports.js';

/** For a program that hangs. */
const LIMIT_MS = 30_000;

const hasCompiler = !('missing' in (await compiler()));
const kinds = hasCompiler ? (['native', 'node'] as const) : (['node'] as const);

/** Both makes of the load programs, against good servers and bad ones. */
export function loadSuite(): void {
  describe.each(kinds)('load programs, %s', (kind) => {
    let engine: LoadEngine;
    const ending: (() => Promise<unknown> | unknown)[] = [];

    beforeAll(async () => {
      engine = await loadEngine(kind, () => {});
    });

    afterEach(async () => {
      for (const end of ending.splice(0).reverse()) await end();
    });

    async function serving(mode: 'echo' | 'sink'): Promise<number> {
      const port = await freePort();
      const server = await start(engine.command('server', { mode, port }));
      ending.push(() => server.stop());
      await listening(port, server.ended);
      return port;
    }

    /** A server written for one test. */
    async function faulty(serve: (socket: Socket) => void): Promise<number> {
      const server: Server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
        socket.on('error', () => {});
        serve(socket);
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      ending.push(() => server.close());
      const address = server.address();
      return typeof address === 'object' && address !== null ? address.port : 0;
    }

    async function load(program: LoadProgram, options: LoadOptions): Promise<LoadResult> {
      return parseLoadResult(await run(engine.command(program, options), LIMIT_MS));
    }

    it('request/response counts each request and its latency once', async () => {
      const result = await load('rr', { port: await serving('echo'), connections: 8, size: 64, seconds: 0.2 });
      expect(result.units).toBeGreaterThan(0);
      expect(result.errors).toBe(0);
      expect(histogramOf(result.latencies).totalCount).toBe(result.units);
      expect(result.seconds).toBeGreaterThanOrEqual(0.2);
    });

    it('a new connection per request counts connections', async () => {
      const result = await load('connect', { port: await serving('echo'), connections: 4, size: 64, seconds: 0.2 });
      expect(result.units).toBeGreaterThan(0);
      expect(result.errors).toBe(0);
      expect(histogramOf(result.latencies).totalCount).toBe(result.units);
    });

    it('a connection that is closed without an answer is an error', async () => {
      const port = await faulty((socket) => socket.once('data', () => socket.destroy()));
      const result = await load('connect', { port, connections: 2, size: 64, seconds: 0.1 });
      expect(result.units).toBe(0);
      expect(result.errors).toBeGreaterThan(0);
    });

    it('an answer that is not the request ends the client with a message', async () => {
      const port = await faulty((socket) => socket.on('data', (data) => socket.write(Buffer.alloc(data.length, 0xff))));
      await expect(load('rr', { port, connections: 1, size: 64, seconds: 0.1 })).rejects.toThrow('answer');
    });

    it('bulk is accepted when the sink got just what was sent, to the last byte', async () => {
      const result = await load('bulk', { port: await serving('sink'), seconds: 0.2 });
      expect(result.units).toBeGreaterThan(0);
      expect(result.errors).toBe(0);
    });

    it('bulk fails when one byte on the way was another', async () => {
      const port = await faulty((socket) => {
        const checksum = new Checksum();
        let spoilt = false;
        socket.on('data', (data) => {
          if (!spoilt) data[0] = (data[0] ?? 0) ^ 1;
          spoilt = true;
          checksum.update(data);
        });
        socket.on('end', () => socket.end(checksum.digest()));
      });
      await expect(load('bulk', { port, seconds: 0.1 })).rejects.toThrow('the sink');
    });

    it('a constant rate sends what the rate makes, however slow the answers', async () => {
      const result = await load('open-loop', {
        port: await serving('echo'),
        connections: 4,
        size: 64,
        seconds: 0.5,
        rate: 1_000,
      });
      expect(result.units).toBe(500);
      expect(result.errors).toBe(0);
      expect(histogramOf(result.latencies).totalCount).toBe(500);
    });

    it('a stall of the server shows in every message that was due during it', async () => {
      const stallMs = 400;
      let stalled = false;
      const port = await faulty((socket) => {
        socket.on('data', (data) => {
          socket.write(data);
          if (stalled) return;
          stalled = true;
          // The whole process stands still, as in a long collection of garbage.
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stallMs);
        });
      });
      const result = await load('open-loop', { port, connections: 4, size: 64, seconds: 1, rate: 1_000 });
      const late = result.latencies.filter(([ns]) => ns > 100e6).reduce((sum, [, count]) => sum + count, 0);
      // 1 000 a second: those due in the first 300 ms of the stall waited more than 100 ms each.
      expect(late).toBeGreaterThanOrEqual(250);
      expect(histogramOf(result.latencies).totalCount).toBe(1_000);
    });

    it('a message that is never answered is an error, and its wait counts', async () => {
      let seen = 0;
      const port = await faulty((socket) => {
        socket.on('data', (data) => {
          // The first of the two messages comes back, the second does not.
          socket.write(data.subarray(0, Math.max(0, 64 - seen)));
          seen += data.length;
        });
      });
      const result = await load('open-loop', { port, connections: 1, size: 64, seconds: 0.02, rate: 100 });
      expect(result).toMatchObject({ units: 1, errors: 1 });
      expect(Math.max(...result.latencies.map(([ns]) => ns))).toBeGreaterThan(4e9);
    });

    it('idle connections stay open until the client is told to end', async () => {
      const sockets = new Set<Socket>();
      const port = await faulty((socket) => {
        sockets.add(socket);
        socket.pipe(socket);
        socket.on('close', () => sockets.delete(socket));
      });
      const client: Child = await start(engine.command('idle', { port, connections: 20, size: 64 }));
      ending.push(() => client.stop());
      await client.said('ready', LIMIT_MS);
      expect(sockets.size).toBe(20);
      const closed = Promise.all([...sockets].map((socket) => once(socket, 'close')));
      await client.stop();
      await closed;
      expect(sockets.size).toBe(0);
    });

    it('an option that is no number ends any of them with a line that names it', async () => {
      for (const program of LOAD_PROGRAMS) {
        const command = engine.command(program, { port: Number.NaN });
        await expect(run(command, LIMIT_MS)).rejects.toThrow('--port');
      }
    });
  });

  describe.runIf(hasCompiler)('the two makes of the load programs', () => {
    it('agree on the checksum: the client of one is satisfied by the sink of the other', async () => {
      const engines = [await loadEngine('native', () => {}), await loadEngine('node', () => {})] as const;
      for (const [client, sink] of [engines, [engines[1], engines[0]] as const]) {
        const port = await freePort();
        const server = await start(sink.command('server', { mode: 'sink', port }));
        try {
          await listening(port, server.ended);
          const output = await run(client.command('bulk', { port, seconds: 0.1 }), LIMIT_MS);
          expect(parseLoadResult(output).units).toBeGreaterThan(0);
        } finally {
          await server.stop();
        }
      }
    });
  });
}
