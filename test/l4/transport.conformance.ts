/**
 * What every transport owes, byte for byte, FIN for FIN, RST for RST. `describeTransport` runs unchanged against each
 * implementation; a new one brings nothing but itself.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { lstatSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Address, parseAddress } from '../../src/core/address.js';
import type { Connection, Listener, Pace, RelayEnd, SocketOptions, Transport } from '../../src/l4/transport.js';
import { connectTo, fill, readAll, readExactly, startServer, type TestServer, withResolvers } from '../fakes/net.js';

const OPTIONS: SocketOptions = { keepaliveMs: 60_000, bufferSize: 64 * 1024 };
const LOOPBACK: Address = { kind: 'ip', host: '127.0.0.1', port: 0 };
const never = new AbortController().signal;

/** More than any buffer on the way holds: a sender of this much is held back by a reader that does not read. */
const LARGE = 24 * 1024 * 1024;

export function describeTransport(transport: Transport): void {
  describe(`transport ${transport.engine}`, () => {
    const cleanups: (() => unknown)[] = [];
    afterEach(async () => {
      for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
    });

    async function listen(accept: (connection: Connection) => void, address = LOOPBACK): Promise<Listener> {
      const listener = await transport.listen(address, OPTIONS, accept);
      cleanups.push(() => listener.close());
      return listener;
    }

    async function server(handler?: (socket: net.Socket) => void): Promise<TestServer> {
      const started = await startServer(handler);
      cleanups.push(() => started.close());
      return started;
    }

    /** A connection accepted by the transport, and the client that made it. */
    async function accepted(): Promise<{ connection: Connection; client: net.Socket }> {
      const { promise, resolve } = withResolvers<Connection>();
      const listener = await listen(resolve);
      const client = await connectTo(listener.address);
      const connection = await promise;
      cleanups.push(
        () => client.destroy(),
        () => connection.reset(),
      );
      return { connection, client };
    }

    /** client <-> transport <-> server, joined by a relay. */
    async function relayed(paces: { readonly near?: Pace; readonly far?: Pace } = {}) {
      const upstream = await server();
      const { connection: near, client } = await accepted();
      const far = await transport.dial(upstream.address, OPTIONS, never);
      near.pace = paces.near;
      far.pace = paces.far;
      const events: string[] = [];
      const end = near.relay(far, {
        onFirstByte: () => {},
        onPeerFirstByte: () => events.push('first byte'),
        onHalfClose: () => events.push('half-close'),
      });
      return { client, server: await upstream.accept(), near, far, end, events };
    }

    describe('relay', () => {
      it('carries bytes both ways unchanged, then both ends', async () => {
        const { client, server, end, events } = await relayed();
        const up = randomBytes(1_000_003);
        const down = randomBytes(2_000_017);
        client.end(up);
        server.end(down);
        const [atServer, atClient] = await Promise.all([readAll(server), readAll(client)]);
        expect(atServer.bytes.equals(up)).toBe(true);
        expect(atClient.bytes.equals(down)).toBe(true);
        expect([atServer.end, atClient.end]).toEqual(['end', 'end']);
        expect(await end).toEqual({ kind: 'completed' });
        expect(events.toSorted()).toEqual(['first byte', 'half-close']);
      });

      it('counts what it carried', async () => {
        const { client, server, near, far, end } = await relayed();
        client.end(Buffer.alloc(1000));
        await readAll(server);
        server.end(Buffer.alloc(50_000));
        await readAll(client);
        await end;
        expect([near.bytesRead, near.bytesWritten]).toEqual([1000, 50_000]);
        expect([far.bytesRead, far.bytesWritten]).toEqual([50_000, 1000]);
      });

      it('tells what a reader has not taken yet, and that it takes it', async () => {
        const { client, server, near, end } = await relayed();
        server.end(Buffer.alloc(8 * 1024 * 1024));
        client.end();
        await readAll(server);
        const half = 4 * 1024 * 1024;
        const taken = (): number => near.bytesWritten - near.bytesUnsent;
        expect(near.bytesUnsent).toBeGreaterThan(0);
        expect(taken()).toBeLessThan(2 * half);
        await readExactly(client, half);
        // The kernel's acknowledgement comes a little after the bytes.
        while (taken() < half) await new Promise((resolve) => setImmediate(resolve));
        await readAll(client);
        await end;
      });

      it('passes a client half-close on to the server, and the answer comes back after it', async () => {
        const { client, server, end, events } = await relayed();
        client.end('question');
        expect((await readAll(server)).bytes.toString()).toBe('question');
        expect(events).toContain('half-close');
        server.end('answer');
        expect(await readAll(client)).toEqual({ bytes: Buffer.from('answer'), end: 'end' });
        expect(await end).toEqual({ kind: 'completed' });
      });

      it('passes a server half-close on to the client, who may go on sending', async () => {
        const { client, server, end } = await relayed();
        server.end('greeting and goodbye');
        expect((await readAll(client)).end).toBe('end');
        client.end('still here');
        expect(await readAll(server)).toEqual({ bytes: Buffer.from('still here'), end: 'end' });
        expect(await end).toEqual({ kind: 'completed' });
      });

      it('lets a server speak first', async () => {
        const { client, server } = await relayed();
        server.write('220 ready');
        expect((await readExactly(client, 9)).toString()).toBe('220 ready');
      });

      it('delivers everything that was sent before a half-close to a reader that starts late', async () => {
        const { client, server, end } = await relayed();
        server.end(Buffer.alloc(LARGE, 7));
        client.end();
        await readAll(server);
        const { bytes, end: how } = await readAll(client);
        expect([bytes.length, how]).toEqual([LARGE, 'end']);
        expect(await end).toEqual({ kind: 'completed' });
      });

      it('holds a sender back while the reader does not read, and loses nothing', async () => {
        const { client, server, near, far } = await relayed();
        const taken = await fill(server, Buffer.alloc(256 * 1024, 1));
        // In the transport itself: what it took from the server and has not handed to the client's socket.
        expect(far.bytesRead - near.bytesWritten).toBeLessThanOrEqual(8 * OPTIONS.bufferSize);
        expect(taken).toBeLessThan(LARGE);
        server.end();
        const { bytes } = await readAll(client);
        expect(bytes.length).toBe(server.bytesWritten);
      });

      it('passes a reset by the client on as a reset', async () => {
        const { client, server, end } = await relayed();
        client.write('half a mess');
        await readExactly(server, 11);
        client.resetAndDestroy();
        expect((await readAll(server)).end).toBe('reset');
        expect(await end).toMatchObject({ kind: 'reset', by: 'this' });
      });

      it('passes a reset by the server on as a reset', async () => {
        const { client, server, end } = await relayed();
        server.write('half an ans');
        await readExactly(client, 11);
        server.resetAndDestroy();
        expect((await readAll(client)).end).toBe('reset');
        expect(await end).toMatchObject({ kind: 'reset', by: 'peer' });
      });

      it('passes a reset on as a reset when it comes right behind bytes', async () => {
        for (let round = 0; round < 20; round += 1) {
          const { client, server } = await relayed();
          server.write(Buffer.alloc(1 + round * 20_011));
          server.resetAndDestroy();
          expect((await readAll(client)).end, `round ${round}`).toBe('reset');
        }
      });

      it('passes a reset on as a reset while bytes are queued for a reader that does not read', async () => {
        const { client, server, end } = await relayed();
        await fill(server, Buffer.alloc(256 * 1024));
        server.resetAndDestroy();
        const [atClient, result] = await Promise.all([readAll(client), end]);
        expect(atClient.end).toBe('reset');
        expect(result).toMatchObject({ kind: 'reset', by: 'peer' });
      });

      it('passes a reset on while it holds the sender back and the reader never reads', async () => {
        const { client, server, end } = await relayed();
        await fill(server, Buffer.alloc(256 * 1024));
        server.resetAndDestroy();
        expect(await end).toMatchObject({ kind: 'reset', by: 'peer' });
        client.destroy();
      });

      it('passes a reset on to a side that has already half-closed', async () => {
        const { client, server, end } = await relayed();
        client.end('question');
        await readAll(server);
        server.resetAndDestroy();
        expect((await readAll(client)).end).toBe('reset');
        expect(await end).toMatchObject({ kind: 'reset', by: 'peer' });
      });

      it('resets both sides when it is reset itself', async () => {
        const { client, server, near, end } = await relayed();
        near.reset();
        const [atClient, atServer] = await Promise.all([readAll(client), readAll(server)]);
        expect([atClient.end, atServer.end]).toEqual(['reset', 'reset']);
        expect(await end).toEqual({ kind: 'local' });
      });

      it('never makes a stream look complete that it cut while its end was still queued', async () => {
        const { client, server, near, end } = await relayed();
        server.end(Buffer.alloc(LARGE));
        client.end();
        await readAll(server);
        await readExactly(client, 1000);
        near.reset();
        const { bytes, end: how } = await readAll(client);
        expect(bytes.length).toBeLessThan(LARGE);
        expect(how).toBe('reset');
        expect(await end).toEqual({ kind: 'local' });
      });

      describe('at a pace', () => {
        const FOREVER = 2 ** 30;

        /** One that rests for so long after each read, and what it was told of. */
        function pace(restMs: (read: number) => number) {
          const told = { reads: 0, bytes: 0, early: 0, until: Number.NEGATIVE_INFINITY };
          const took = (bytes: number): number => {
            // A timer may be a millisecond early, by the other clock.
            if (performance.now() < told.until - 2) told.early += 1;
            told.reads += 1;
            told.bytes += bytes;
            const rest = restMs(told.reads);
            told.until = performance.now() + rest;
            return rest;
          };
          return { told, pace: { took, mostAtOnce: 64 * 1024 } };
        }

        it('reads nothing while it rests, and carries all in the end', async () => {
          const down = pace(() => 3);
          const { client, server, end } = await relayed({ far: down.pace });
          const sent = randomBytes(1024 * 1024);
          server.end(sent);
          client.end();
          const { bytes } = await readAll(client);
          expect(bytes.equals(sent)).toBe(true);
          expect(await end).toEqual({ kind: 'completed' });
          expect(down.told.bytes).toBe(sent.length);
          expect(down.told.reads).toBeGreaterThanOrEqual(sent.length / (256 * 1024));
          // What Node had read before it was held back comes as well.
          expect(down.told.early).toBeLessThanOrEqual(transport.engine === 'native' ? 0 : down.told.reads / 2);
        });

        it('lets the other direction run on, to its end', async () => {
          const up = pace(() => FOREVER);
          const { client, server } = await relayed({ near: up.pace });
          client.write('never again');
          await readExactly(server, 11);
          client.write('this one waits');
          const sent = randomBytes(1024 * 1024);
          server.end(sent);
          const { bytes, end } = await readAll(client);
          expect([bytes.equals(sent), end]).toEqual([true, 'end']);
          expect(up.told.bytes).toBe(11);
        });

        it('passes an end on after its last byte, when the rest is over', async () => {
          const up = pace((read) => (read === 1 ? 30 : 0));
          const { client, server, end } = await relayed({ near: up.pace });
          client.write('first');
          await readExactly(server, 5);
          client.end('last');
          server.end();
          expect((await readAll(server)).bytes.toString()).toBe('last');
          await readAll(client);
          expect(await end).toEqual({ kind: 'completed' });
        });

        it.each(['client', 'server'] as const)('passes a reset by the %s on while it rests', async (who) => {
          const both = { near: pace(() => FOREVER), far: pace(() => FOREVER) };
          const { end, ...sockets } = await relayed({ near: both.near.pace, far: both.far.pace });
          const other = who === 'client' ? 'server' : 'client';
          sockets[who].write('something');
          await readExactly(sockets[other], 9);
          sockets[who].write('more, which is not read');
          await new Promise((resolve) => setImmediate(resolve));
          sockets[who].resetAndDestroy();
          expect((await readAll(sockets[other])).end).toBe('reset');
          expect(await end).toMatchObject({ kind: 'reset', by: who === 'client' ? 'this' : 'peer' });
        });

        it('can be reset while it rests', async () => {
          const up = pace(() => FOREVER);
          const { client, server, near, end } = await relayed({ near: up.pace });
          client.write('something');
          await readExactly(server, 9);
          near.reset();
          expect((await readAll(client)).end).toBe('reset');
          expect(await end).toEqual({ kind: 'local' });
        });
      });

      it.each(['', 'answer'])(
        'hands on what a server said that was done, both ways, before the relay began: %j',
        async (said) => {
          const upstream = await server();
          const { connection: near, client } = await accepted();
          client.end();
          expect(await near.peek(1, never)).toHaveLength(0);
          const far = await transport.dial(upstream.address, OPTIONS, never);
          const behind = await upstream.accept();
          far.end();
          behind.end(said);
          await far.peek(said.length + 1, never);
          await readAll(behind);
          // What closes a socket by itself has done so by then.
          for (let turns = 0; turns < 10; turns += 1) await new Promise((resolve) => setImmediate(resolve));
          const end = near.relay(far, { onFirstByte() {}, onPeerFirstByte() {}, onHalfClose() {} });
          expect(await readAll(client)).toEqual({ bytes: Buffer.from(said), end: 'end' });
          expect(await end).toEqual({ kind: 'completed' });
        },
      );

      it('ends at once where a side had broken before the relay began', async () => {
        const upstream = await server();
        const { connection: near, client } = await accepted();
        const far = await transport.dial(upstream.address, OPTIONS, never);
        const behind = await upstream.accept();
        client.write('x');
        await near.peek(1, never);
        client.resetAndDestroy();
        await near.peek(2, never).catch(() => {});
        const result: RelayEnd = await near.relay(far, { onFirstByte() {}, onPeerFirstByte() {}, onHalfClose() {} });
        expect(result).toMatchObject({ kind: 'reset', by: 'this' });
        expect((await readAll(behind)).end).toBe('reset');
      });
    });

    describe('peek', () => {
      it('shows what has come, more when asked for more, and relays all of it', async () => {
        const upstream = await server();
        const { connection, client } = await accepted();
        client.write('HEL');
        expect(Buffer.from(await connection.peek(1, never)).toString()).toBe('HEL');
        client.write('LO');
        expect(Buffer.from(await connection.peek(5, never)).toString()).toBe('HELLO');
        const far = await transport.dial(upstream.address, OPTIONS, never);
        connection.relay(far, { onFirstByte() {}, onPeerFirstByte() {}, onHalfClose() {} });
        client.end(' WORLD');
        expect((await readAll(await upstream.accept())).bytes.toString()).toBe('HELLO WORLD');
      });

      it('does not miss an end that comes between a peek and the relay', async () => {
        const upstream = await server();
        const { connection, client } = await accepted();
        client.end('abc');
        await connection.peek(3, never);
        const far = await transport.dial(upstream.address, OPTIONS, never);
        const behind = await upstream.accept();
        behind.end();
        for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
        connection.relay(far, { onFirstByte() {}, onPeerFirstByte() {}, onHalfClose() {} });
        expect(await readAll(behind)).toEqual({ bytes: Buffer.from('abc'), end: 'end' });
        expect(await readAll(client)).toEqual({ bytes: Buffer.alloc(0), end: 'end' });
      });

      it('drops what was consumed, and what was written goes first', async () => {
        const upstream = await server();
        const { connection, client } = await accepted();
        client.write('HEADER body');
        await connection.peek(11, never);
        connection.consume(7);
        const far = await transport.dial(upstream.address, OPTIONS, never);
        far.write(Buffer.from('NEW '));
        connection.relay(far, { onFirstByte() {}, onPeerFirstByte() {}, onHalfClose() {} });
        client.end('!');
        expect((await readAll(await upstream.accept())).bytes.toString()).toBe('NEW body!');
      });

      it('resolves with less than asked for at the end of the stream, which is still passed on', async () => {
        const upstream = await server();
        const { connection, client } = await accepted();
        client.end('abc');
        expect(Buffer.from(await connection.peek(10, never)).toString()).toBe('abc');
        const far = await transport.dial(upstream.address, OPTIONS, never);
        const end = connection.relay(far, { onFirstByte() {}, onPeerFirstByte() {}, onHalfClose() {} });
        const behind = await upstream.accept();
        expect(await readAll(behind)).toEqual({ bytes: Buffer.from('abc'), end: 'end' });
        behind.end('def');
        expect(await readAll(client)).toEqual({ bytes: Buffer.from('def'), end: 'end' });
        expect(await end).toEqual({ kind: 'completed' });
      });

      it('rejects when the client resets, and when it is given up', async () => {
        const first = await accepted();
        const waiting = first.connection.peek(1, never);
        first.client.resetAndDestroy();
        await expect(waiting).rejects.toMatchObject({ code: 'disconnected' });
        const second = await accepted();
        const giveUp = new AbortController();
        const pending = second.connection.peek(1, giveUp.signal);
        giveUp.abort();
        await expect(pending).rejects.toMatchObject({ code: 'aborted' });
      });
    });

    describe('dial', () => {
      it('rejects where nothing listens, with the address and the reason', async () => {
        const gone = await startServer();
        gone.close();
        await expect(transport.dial(gone.address, OPTIONS, never)).rejects.toMatchObject({
          code: 'connect',
          message: expect.stringMatching(/127\.0\.0\.1:\d+: connection refused/),
        });
      });

      it('can be given up, before and while', async () => {
        const upstream = await server();
        await expect(transport.dial(upstream.address, OPTIONS, AbortSignal.abort())).rejects.toMatchObject({
          code: 'aborted',
        });
        const controller = new AbortController();
        const pending = transport.dial(upstream.address, OPTIONS, controller.signal);
        controller.abort();
        await expect(pending).rejects.toMatchObject({ code: 'aborted' });
      });
    });

    describe('listen', () => {
      it('tells the address it got, and both ends of what it accepts', async () => {
        const { connection, client } = await accepted();
        expect(connection.remote).toEqual({ kind: 'ip', host: '127.0.0.1', port: client.localPort });
        expect(connection.local).toEqual({ kind: 'ip', host: '127.0.0.1', port: client.remotePort });
      });

      it('says that a port is in use, and what to do', async () => {
        const upstream = await server();
        await expect(transport.listen(upstream.address, OPTIONS, () => {})).rejects.toMatchObject({
          code: 'listen',
          message: expect.stringMatching(/cannot listen on 127\.0\.0\.1:\d+: the address is already in use/),
          hint: expect.stringContaining('choose another port'),
        });
      });

      it('says that an address is not one of this machine', async () => {
        await expect(transport.listen(parseAddress('192.0.2.1:0'), OPTIONS, () => {})).rejects.toMatchObject({
          code: 'listen',
          message: expect.stringContaining('not one of this machine'),
        });
      });

      it('lets clients wait while it is paused, and serves them when it resumes', async () => {
        const connections: Connection[] = [];
        let seen = () => {};
        const listener = await listen((connection) => {
          connections.push(connection);
          cleanups.push(() => connection.reset());
          seen();
        });
        for (let round = 0; round < 3; round += 1) {
          const before = connections.length;
          expect(listener.pause()).toBe(true);
          const client = await connectTo(listener.address);
          cleanups.push(() => client.destroy());
          for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
          expect(connections.length).toBe(before);
          const arrived = new Promise<void>((resolve) => {
            seen = resolve;
          });
          listener.resume();
          await arrived;
          expect(connections.length).toBe(before + 1);
        }
      });

      it('tells how long what it accepts has waited for that', async () => {
        const { promise, resolve } = withResolvers<Connection>();
        const listener = await listen(resolve);
        listener.pause();
        const client = await connectTo(listener.address);
        cleanups.push(() => client.destroy());
        const until = performance.now() + 50;
        // What it sends makes it no younger.
        client.write('still here');
        while (performance.now() < until) await new Promise((turn) => setImmediate(turn));
        listener.resume();
        const connection = await promise;
        cleanups.push(() => connection.reset());
        // A kernel's tick is 10 ms at most.
        expect(connection.backlogMs).toBeGreaterThanOrEqual(process.platform === 'linux' ? 30 : 0);
        connection.reset();
        await expect.poll(() => connection.backlogMs).toBe(0);
      });

      it('takes other options for what it accepts from then on, and turns nobody away meanwhile', async () => {
        const connections: Connection[] = [];
        const listener = await listen((connection) => {
          connections.push(connection);
          cleanups.push(() => connection.reset());
        });
        const clients = Array.from({ length: 20 }, async (_, index) => {
          if (index % 5 === 0) listener.configure({ ...OPTIONS, bufferSize: 4096 * (1 + index) });
          const client = await connectTo(listener.address);
          cleanups.push(() => client.destroy());
          return client;
        });
        await Promise.all(clients);
        while (connections.length < clients.length) await new Promise((resolve) => setImmediate(resolve));
      });

      it('stops accepting when it is closed; what was accepted lives on', async () => {
        const { promise, resolve } = withResolvers<Connection>();
        const listener = await listen(resolve);
        const client = await connectTo(listener.address);
        cleanups.push(() => client.destroy());
        const connection = await promise;
        cleanups.push(() => connection.reset());
        await listener.close();
        await listener.close();
        await expect(connectTo(listener.address)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
        client.write('hi');
        expect((await connection.peek(2, never)).length).toBe(2);
      });
    });

    describe('unix sockets', () => {
      function socketPath(name: string): Address & { kind: 'unix' } {
        const folder = mkdtempSync(join(tmpdir(), 'meshproxy-'));
        cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
        return { kind: 'unix', path: join(folder, name) };
      }

      it.each(['path', 'abstract'])('are listened on and dialled (%s)', async (kind) => {
        const address: Address & { kind: 'unix' } =
          kind === 'path' ? socketPath('a.sock') : { kind: 'unix', path: `@meshproxy-test-${process.pid}` };
        const upstream = await listen((behind) => {
          void behind.peek(4, never).then(async () => {
            const echo = await transport.dial(echoServer.address, OPTIONS, never);
            behind.relay(echo, { onFirstByte() {}, onPeerFirstByte() {}, onHalfClose() {} });
          });
        }, address);
        const echoServer = await server((socket) => socket.pipe(socket));
        const front = await listen((near) => {
          void transport
            .dial(upstream.address as typeof address, OPTIONS, never)
            .then((far) => near.relay(far, { onFirstByte() {}, onPeerFirstByte() {}, onHalfClose() {} }));
        });
        const client = await connectTo(front.address);
        client.end('ping');
        expect(await readAll(client)).toEqual({ bytes: Buffer.from('ping'), end: 'end' });
      });

      it('replaces a socket file that nobody serves, and only that', async () => {
        const address = socketPath('stale.sock');
        const script = `require('net').createServer().listen(${JSON.stringify(address.path)}, () => process.kill(process.pid, 'SIGKILL'))`;
        spawnSync(process.execPath, ['-e', script], { stdio: 'ignore' });
        expect(lstatSync(address.path).isSocket()).toBe(true);
        const listener = await listen(() => {}, address);
        const client = await connectTo(listener.address);
        client.destroy();
      });

      it('refuses a path that is served, or is a file', async () => {
        const address = socketPath('busy.sock');
        await listen(() => {}, address);
        await expect(transport.listen(address, OPTIONS, () => {})).rejects.toMatchObject({ code: 'listen' });
        const file = socketPath('file');
        writeFileSync(file.path, 'precious');
        await expect(transport.listen(file, OPTIONS, () => {})).rejects.toMatchObject({ code: 'listen' });
      });
    });
  });
}
