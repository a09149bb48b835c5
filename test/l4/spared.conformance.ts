/** What a transport owes where the peer of a relay breaks before anything was exchanged with it. */
import type net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { SocketAddress } from '../../src/core/address.js';
import type { Connection, Pace, RelayEvents, SocketOptions, Transport } from '../../src/l4/transport.js';
import { connectTo, readAll, readExactly, startServer, type TestServer, withResolvers } from '../fakes/net.js';

const OPTIONS: SocketOptions = { keepaliveMs: 60_000, bufferSize: 64 * 1024 };
const never = new AbortController().signal;
const SPARES: RelayEvents = { spares: true, onFirstByte() {}, onPeerFirstByte() {}, onHalfClose() {} };

export function describeSpared(transport: Transport): void {
  describe(`a relay of ${transport.engine} whose peer breaks before anything was exchanged`, () => {
    const cleanups: (() => unknown)[] = [];
    afterEach(async () => {
      for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
    });

    async function server(): Promise<TestServer & { readonly address: SocketAddress }> {
      const started = await startServer();
      cleanups.push(() => started.close());
      return started;
    }

    async function accepted(): Promise<{ near: Connection; client: net.Socket }> {
      const { promise, resolve } = withResolvers<Connection>();
      const listener = await transport.listen({ kind: 'ip', host: '127.0.0.1', port: 0 }, OPTIONS, resolve);
      const client = await connectTo(listener.address);
      const near = await promise;
      cleanups.push(
        () => listener.close(),
        () => client.destroy(),
        () => near.reset(),
      );
      return { near, client };
    }

    /** The client, one relay of it to a server that is connected, and what ends that. */
    async function relayed(events = SPARES, before: (far: Connection, near: Connection) => void = () => {}) {
      const upstream = await server();
      const { near, client } = await accepted();
      const far = await transport.dial(upstream.address, OPTIONS, never);
      const behind = await upstream.accept();
      before(far, near);
      return { near, far, client, behind, end: near.relay(far, events) };
    }

    async function another(near: Connection) {
      const upstream = await server();
      const far = await transport.dial(upstream.address, OPTIONS, never);
      const end = near.relay(far, SPARES);
      return { behind: await upstream.accept(), end };
    }

    it('leaves this side whole, to be relayed to another, again and again', async () => {
      const { near, far, client, behind, end } = await relayed();
      behind.resetAndDestroy();
      expect(await end).toMatchObject({ kind: 'spared', cause: { code: 'ECONNRESET' } });
      expect(far.remote).toBeDefined();
      const second = await another(near);
      second.behind.resetAndDestroy();
      expect(await second.end).toMatchObject({ kind: 'spared' });
      const third = await another(near);
      client.end('question');
      expect(await readAll(third.behind)).toEqual({ bytes: Buffer.from('question'), end: 'end' });
      third.behind.end('answer');
      expect(await readAll(client)).toEqual({ bytes: Buffer.from('answer'), end: 'end' });
      expect(await third.end).toEqual({ kind: 'completed' });
      expect([near.bytesRead, near.bytesWritten]).toEqual([8, 6]);
    });

    it('keeps what the client sends between two relays', async () => {
      const { near, client, behind, end } = await relayed();
      behind.resetAndDestroy();
      await end;
      client.write('meanwhile');
      await near.peek(9, never);
      const second = await another(near);
      expect((await readExactly(second.behind, 9)).toString()).toBe('meanwhile');
    });

    it('keeps that the client has ended', async () => {
      const { near, client, behind, end } = await relayed();
      client.end();
      expect((await readAll(behind)).end).toBe('end');
      behind.resetAndDestroy();
      expect(await end).toMatchObject({ kind: 'spared' });
      const second = await another(near);
      expect(await readAll(second.behind)).toEqual({ bytes: Buffer.alloc(0), end: 'end' });
      second.behind.end('answer');
      expect(await readAll(client)).toEqual({ bytes: Buffer.from('answer'), end: 'end' });
      expect(await second.end).toEqual({ kind: 'completed' });
    });

    it('finds out in the next relay that the client has gone meanwhile', async () => {
      const { near, client, behind, end } = await relayed();
      behind.resetAndDestroy();
      await end;
      client.resetAndDestroy();
      const second = await another(near);
      expect((await readAll(second.behind)).end).toBe('reset');
      expect(await second.end).toMatchObject({ kind: 'reset', by: 'this' });
    });

    it('is spared where it had broken before the relay began', async () => {
      const upstream = await server();
      const { near, client } = await accepted();
      const far = await transport.dial(upstream.address, OPTIONS, never);
      (await upstream.accept()).resetAndDestroy();
      await far.peek(1, never).catch(() => {});
      client.write('asked');
      await near.peek(5, never);
      expect(await near.relay(far, SPARES)).toMatchObject({ kind: 'spared' });
      const second = await another(near);
      expect((await readExactly(second.behind, 5)).toString()).toBe('asked');
    });

    it('has a pace of its own again', async () => {
      let asked = 0;
      const took = () => {
        asked += 1;
        return 0;
      };
      const pace: Pace = { took, mostAtOnce: 1 << 20 };
      const { near, client, behind, end } = await relayed(SPARES, (_, it) => {
        it.pace = pace;
      });
      behind.resetAndDestroy();
      await end;
      expect(asked).toBe(0);
      const second = await another(near);
      client.write('paced');
      await readExactly(second.behind, 5);
      expect(asked).toBe(1);
    });

    it.each([
      ['a byte of the client had reached it', 'client'],
      ['a byte had come from it', 'server'],
    ])('is not spared once %s', async (_, who) => {
      const { client, behind, end } = await relayed();
      const [from, to] = who === 'client' ? [client, behind] : [behind, client];
      from.write('x');
      await readExactly(to, 1);
      behind.resetAndDestroy();
      expect((await readAll(client)).end).toBe('reset');
      expect(await end).toMatchObject({ kind: 'reset', by: 'peer' });
    });

    it('is not spared where something of ours waits to be sent to the client', async () => {
      const upstream = await server();
      const { near, client } = await accepted();
      const far = await transport.dial(upstream.address, OPTIONS, never);
      const behind = await upstream.accept();
      near.write(Buffer.alloc(16 * 1024 * 1024));
      const end = near.relay(far, SPARES);
      behind.resetAndDestroy();
      expect(await end).toMatchObject({ kind: 'reset', by: 'peer' });
      expect((await readAll(client)).end).toBe('reset');
    });

    it('is not spared where that is not asked for', async () => {
      const { client, behind, end } = await relayed({ ...SPARES, spares: false });
      behind.resetAndDestroy();
      expect((await readAll(client)).end).toBe('reset');
      expect(await end).toMatchObject({ kind: 'reset', by: 'peer' });
    });

    it('is our own end where we reset it', async () => {
      const { near, client, end } = await relayed();
      near.reset();
      expect((await readAll(client)).end).toBe('reset');
      expect(await end).toEqual({ kind: 'local' });
    });
  });
}
