/**
 * What TLS on a connection owes: all that a relay without it does, with close_notify for FIN, and never a clean end of a
 * stream that was cut. Run for each engine on either side of the same TLS connection.
 */
import { createHash, randomBytes } from 'node:crypto';
import type net from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NativeConnection } from '../../src/l4/native/connection.js';
import { LinuxKernel } from '../../src/l4/native/linux-kernel.js';
import type { StreamConnection } from '../../src/l4/streams/connection.js';
import { descriptorOf } from '../../src/l4/streams/socket.js';
import type { Connection, Transport } from '../../src/l4/transport.js';
import { fill, readAll, readExactly } from '../fakes/net.js';
import { ALICE, BOB, never, OPTIONS, outcome, quiet, TlsWorld } from './tls-world.js';

const MB = 1024 * 1024;
/** More than any buffer on the way holds. */
const LARGE = 24 * MB;

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Fills what is below TLS with zeros, until the kernel takes no more of them; how many it took. */
async function stuff(connection: Connection): Promise<number> {
  const fd =
    connection instanceof NativeConnection ? connection.fd : descriptorOf((connection as StreamConnection).raw);
  const kernel = new LinuxKernel({});
  let taken = 0;
  for (let still = 0; still < 50; still += 1) {
    for (let sent = 1; sent > 0; ) {
      // The last gaps too: an alert is 24 bytes.
      for (const size of [64 * 1024, 1]) {
        sent = Math.max(0, kernel.send(fd ?? -1, Buffer.alloc(size)));
        taken += sent;
        if (sent > 0) still = 0;
      }
    }
    await turns(1);
  }
  kernel.closePolling();
  return taken;
}

export function describeTls(dialer: Transport, acceptor: Transport): void {
  describe(`TLS from ${dialer.engine} to ${acceptor.engine}`, () => {
    let world: TlsWorld;
    beforeAll(() => {
      world = new TlsWorld();
    });
    afterEach(() => world.cleanUp());
    afterAll(() => world.maker.close());

    describe('handshake', () => {
      it('tells each side who the other is', async () => {
        const { peers } = await world.secured(dialer, acceptor);
        const [ofDialer, ofAcceptor] = peers;
        expect(ofDialer.certificate?.subjectAltName).toBe(`URI:${BOB}`);
        expect(ofAcceptor.certificate?.subjectAltName).toBe(`URI:${ALICE}`);
        expect([ofDialer.version, ofAcceptor.version]).toEqual(['TLSv1.3', 'TLSv1.3']);
        expect([ofDialer.protocol, ofAcceptor.protocol]).toEqual([undefined, undefined]);
      });

      it('does without a certificate of the client where none is asked for', async () => {
        const client = world.client({ credential: undefined });
        const server = world.server({ peerCertificate: 'none' });
        const { peers } = await world.secured(dialer, acceptor, undefined, client, server);
        expect(peers[1].certificate).toBeUndefined();
        expect(peers[0].certificate?.subjectAltName).toBe(`URI:${BOB}`);
      });

      it('agrees on the protocol that the server prefers (ALPN)', async () => {
        const client = world.client({ alpn: ['h2', 'mesh/1', 'mesh/2'] });
        const server = world.server({ alpn: ['mesh/2', 'mesh/1'] });
        const { peers } = await world.secured(dialer, acceptor, undefined, client, server);
        // A server of Node's takes part in ALPN only by refusing whoever offers others (RFC 7301 section 3.2): ours does not.
        const agreed = acceptor.engine === 'native' ? 'mesh/2' : undefined;
        expect(peers.map((peer) => peer.protocol)).toEqual([agreed, agreed]);
      });

      it('goes on without a protocol where none is in common, and where the client offers none', async () => {
        const server = world.server({ alpn: ['mesh/1'] });
        for (const alpn of [['h2', 'http/1.1'], []]) {
          const { peers } = await world.secured(dialer, acceptor, undefined, world.client({ alpn }), server);
          expect(peers.map((peer) => peer.protocol)).toEqual([undefined, undefined]);
        }
      });

      it('comes about where every byte arrives by itself', async () => {
        const split = (chunk: Buffer) => Array.from(chunk, (byte) => Buffer.of(byte));
        const { dialed, accepted } = await world.secured(dialer, acceptor, split);
        dialed.write(Buffer.from('hello'));
        expect(Buffer.from(await accepted.peek(5, never)).toString()).toBe('hello');
      });

      it('takes what was peeked and not consumed as its beginning', async () => {
        const { dialed, accepted } = await world.ends(dialer, acceptor);
        dialed.write(Buffer.from('HEADER '));
        const shaken = outcome(dialer, dialed, world.client());
        await accepted.peek(100, never);
        accepted.consume(7);
        expect((await outcome(acceptor, accepted, world.server())).peer?.version).toBe('TLSv1.3');
        expect((await shaken).words).toBe('');
      });

      it('serves two versions of a credential side by side', async () => {
        const newer = world.workload('spiffe://example.org/ns/shop/sa/bob-renewed');
        const [one, other] = [world.server(), world.server({ credential: newer })];
        const before = await world.secured(dialer, acceptor, undefined, world.client(), one);
        const after = await world.secured(dialer, acceptor, undefined, world.client(), other);
        const again = await world.secured(dialer, acceptor, undefined, world.client(), one);
        const names = [before, after, again].map(({ peers }) => peers[0].certificate?.subjectAltName);
        expect(names).toEqual([`URI:${BOB}`, `URI:${BOB}-renewed`, `URI:${BOB}`]);
        before.dialed.write(Buffer.from('alive'));
        expect(Buffer.from(await before.accepted.peek(5, never)).toString()).toBe('alive');
      });
    });

    describe('a secured connection', () => {
      it('shows what has come, drops what is consumed, and sends first what was written', async () => {
        const { dialed, accepted } = await world.secured(dialer, acceptor);
        dialed.write(Buffer.from('HEAD'));
        dialed.write(Buffer.from('ER body'));
        expect(Buffer.from(await accepted.peek(11, never)).toString()).toBe('HEADER body');
        accepted.consume(7);
        const upstream = await world.plainServer();
        const far = await world.dial(acceptor, upstream.address);
        accepted.write(Buffer.from('NEW '));
        void accepted.relay(far, quiet);
        const server = await upstream.accept();
        expect((await readExactly(server, 4)).toString()).toBe('body');
        server.write('answer');
        expect(Buffer.from(await dialed.peek(10, never)).toString()).toBe('NEW answer');
      });

      it('rejects a peek when the other side resets, cuts the stream, or it is given up', async () => {
        const reset = await world.secured(dialer, acceptor);
        const first = reset.accepted.peek(1, never);
        reset.dialed.reset();
        await expect(first).rejects.toMatchObject({ code: 'disconnected' });
        const cut = await world.secured(dialer, acceptor);
        const second = cut.accepted.peek(1, never);
        cut.wire.target.end();
        await expect(second).rejects.toMatchObject({
          code: 'disconnected',
          cause: { message: expect.stringContaining('close_notify') },
        });
        const { accepted } = await world.secured(dialer, acceptor);
        const giveUp = new AbortController();
        const third = accepted.peek(1, giveUp.signal);
        giveUp.abort();
        await expect(third).rejects.toMatchObject({ code: 'aborted' });
      });
    });

    describe('relay', () => {
      it('carries 20 MB both ways at once, whole, then both ends', async () => {
        const { client, server, dialed, accepted } = await world.hop(dialer, acceptor);
        const [up, down] = [randomBytes(20 * MB + 17), randomBytes(20 * MB + 4711)];
        client.end(up);
        server.end(down);
        const [atServer, atClient] = await Promise.all([readAll(server), readAll(client)]);
        expect([atServer.bytes.length, atServer.end]).toEqual([up.length, 'end']);
        expect([atClient.bytes.length, atClient.end]).toEqual([down.length, 'end']);
        expect([digest(atServer.bytes), digest(atClient.bytes)]).toEqual([digest(up), digest(down)]);
        expect([await dialed, await accepted]).toEqual([{ kind: 'completed' }, { kind: 'completed' }]);
      });

      it('carries many short messages, one by one and in bursts', async () => {
        const { client, server } = await world.hop(dialer, acceptor);
        for (let round = 0; round < 500; round += 1) {
          client.write(`ping ${round} `);
          const length = `ping ${round} `.length;
          expect((await readExactly(server, length)).toString()).toBe(`ping ${round} `);
          server.write(Buffer.alloc(1 + (round % 300), round));
          expect((await readExactly(client, 1 + (round % 300))).at(-1)).toBe(round % 256);
        }
        const burst = Array.from({ length: 3000 }, (_, index) => `${index};`);
        for (const message of burst) client.write(message);
        client.end();
        expect((await readAll(server)).bytes.toString()).toBe(burst.join(''));
      });

      it('counts plain bytes', async () => {
        const { client, server, dialed, accepted, connections } = await world.hop(dialer, acceptor);
        client.end(Buffer.alloc(1000));
        await readAll(server);
        server.end(Buffer.alloc(50_000));
        await readAll(client);
        await Promise.all([dialed, accepted]);
        const [, far, near] = connections;
        expect([far.bytesRead, far.bytesWritten]).toEqual([50_000, 1000]);
        expect([near.bytesRead, near.bytesWritten]).toEqual([1000, 50_000]);
      });

      it("passes a client's half-close on, and the answer comes back after it", async () => {
        const { client, server, dialed, accepted } = await world.hop(dialer, acceptor);
        client.end('question');
        expect(await readAll(server)).toEqual({ bytes: Buffer.from('question'), end: 'end' });
        await turns(20);
        const answer = randomBytes(2 * MB);
        server.end(answer);
        const got = await readAll(client);
        expect([digest(got.bytes), got.end]).toEqual([digest(answer), 'end']);
        expect([await dialed, await accepted]).toEqual([{ kind: 'completed' }, { kind: 'completed' }]);
      });

      it("passes a server's half-close on, and the client may go on sending", async () => {
        const { client, server, dialed, accepted } = await world.hop(dialer, acceptor);
        server.end('goodbye');
        expect(await readAll(client)).toEqual({ bytes: Buffer.from('goodbye'), end: 'end' });
        await turns(20);
        const more = randomBytes(2 * MB);
        client.end(more);
        const got = await readAll(server);
        expect([digest(got.bytes), got.end]).toEqual([digest(more), 'end']);
        expect([await dialed, await accepted]).toEqual([{ kind: 'completed' }, { kind: 'completed' }]);
      });

      it('passes empty streams on', async () => {
        const { client, server, dialed, accepted } = await world.hop(dialer, acceptor);
        client.end();
        server.end();
        const ends = await Promise.all([readAll(client), readAll(server)]);
        expect(ends.map(({ end, bytes }) => [end, bytes.length])).toEqual([
          ['end', 0],
          ['end', 0],
        ]);
        expect([await dialed, await accepted]).toEqual([{ kind: 'completed' }, { kind: 'completed' }]);
      });

      it.each(['client', 'server'] as const)('passes a reset by the %s on as a reset', async (who) => {
        const hop = await world.hop(dialer, acceptor);
        const [from, to] = who === 'client' ? [hop.client, hop.server] : [hop.server, hop.client];
        from.write('half a mess');
        await readExactly(to, 11);
        from.resetAndDestroy();
        expect((await readAll(to)).end).toBe('reset');
        expect(await hop.dialed).toMatchObject({ kind: 'reset', by: who === 'client' ? 'this' : 'peer' });
        expect(await hop.accepted).toMatchObject({ kind: 'reset', by: who === 'client' ? 'this' : 'peer' });
      });

      it.each(['client', 'server'] as const)(
        'passes a reset by the %s on while its bytes are held back',
        async (who) => {
          const hop = await world.hop(dialer, acceptor);
          const [from, to] = who === 'client' ? [hop.client, hop.server] : [hop.server, hop.client];
          await fill(from, Buffer.alloc(256 * 1024));
          from.resetAndDestroy();
          expect((await readAll(to)).end).toBe('reset');
          await Promise.all([hop.dialed, hop.accepted]);
        },
      );

      it('resets both sides when it is reset itself', async () => {
        const hop = await world.hop(dialer, acceptor);
        hop.client.write('x');
        await readExactly(hop.server, 1);
        hop.connections[0].reset();
        const ends = await Promise.all([readAll(hop.client), readAll(hop.server)]);
        expect(ends.map(({ end }) => end)).toEqual(['reset', 'reset']);
        expect(await hop.dialed).toEqual({ kind: 'local' });
        expect(await hop.accepted).toMatchObject({ kind: 'reset', by: 'this' });
      });

      it.each(['client', 'server'] as const)(
        'never makes a stream look complete that is reset while its end is queued (from the %s)',
        async (who) => {
          const hop = await world.hop(dialer, acceptor);
          const [from, to] = who === 'client' ? [hop.client, hop.server] : [hop.server, hop.client];
          from.end(Buffer.alloc(LARGE));
          await readExactly(to, 1000);
          hop.connections[who === 'client' ? 1 : 2].reset();
          const { bytes, end } = await readAll(to);
          expect(bytes.length).toBeLessThan(LARGE);
          expect(end).toBe('reset');
          await Promise.all([hop.dialed, hop.accepted]);
        },
      );

      it.each(['client', 'server'] as const)('holds the %s back while nobody reads, and loses nothing', async (who) => {
        const hop = await world.hop(dialer, acceptor);
        const [from, to] = who === 'client' ? [hop.client, hop.server] : [hop.server, hop.client];
        const [c0, c1, c2, c3] = hop.connections;
        const taken = await fill(from, Buffer.alloc(256 * 1024, 3));
        const held =
          who === 'client'
            ? [c0.bytesRead - c1.bytesWritten, c2.bytesRead - c3.bytesWritten]
            : [c3.bytesRead - c2.bytesWritten, c1.bytesRead - c0.bytesWritten];
        for (const bytes of held) expect(bytes).toBeLessThanOrEqual(8 * OPTIONS.bufferSize);
        expect(taken).toBeLessThan(LARGE);
        from.end();
        const { bytes, end } = await readAll(to);
        expect([bytes.length, end]).toEqual([from.bytesWritten, 'end']);
        expect(bytes.every((byte) => byte === 3)).toBe(true);
        (who === 'client' ? hop.server : hop.client).end();
        expect([await hop.dialed, await hop.accepted]).toEqual([{ kind: 'completed' }, { kind: 'completed' }]);
      });
    });

    it.each(['up', 'down'] as const)('delivers an end for which there was no room when it came (%s)', async (way) => {
      let junk = 0;
      const hop = await world.hop(dialer, acceptor, (chunk, direction) => {
        if (direction !== way) return [chunk];
        const dropped = Math.min(junk, chunk.length);
        junk -= dropped;
        return [chunk.subarray(dropped)];
      });
      const [from, to] = way === 'up' ? [hop.client, hop.server] : [hop.server, hop.client];
      const [reader, sender] =
        way === 'up' ? [hop.wire.client, hop.connections[1]] : [hop.wire.target, hop.connections[2]];
      for (const one of [from, to]) one.write('all');
      await Promise.all([readExactly(from, 3), readExactly(to, 3)]);
      reader.pause();
      junk = await stuff(sender);
      from.end();
      if (sender instanceof NativeConnection) await expect.poll(() => sender.blocked).toBe(true);
      else await turns(200);
      expect(junk).toBeGreaterThan(0);
      reader.resume();
      expect(await readAll(to)).toEqual({ bytes: Buffer.alloc(0), end: 'end' });
      expect(junk).toBe(0);
      to.end();
      expect([await hop.dialed, await hop.accepted]).toEqual([{ kind: 'completed' }, { kind: 'completed' }]);
    });

    describe('a stream that ends without close_notify', () => {
      const cut = (hop: { wire: { client: net.Socket; target: net.Socket } }, way: 'up' | 'down'): net.Socket =>
        way === 'up' ? hop.wire.target : hop.wire.client;

      it.each(['up', 'down'] as const)('is a reset for who reads it (%s)', async (way) => {
        const hop = await world.hop(dialer, acceptor);
        const [from, to] = way === 'up' ? [hop.client, hop.server] : [hop.server, hop.client];
        from.write('half a mess');
        await readExactly(to, 11);
        cut(hop, way).end();
        expect((await readAll(to)).end).toBe('reset');
        const end = await (way === 'up' ? hop.accepted : hop.dialed);
        expect(end).toMatchObject({ kind: 'tls', by: way === 'up' ? 'this' : 'peer' });
        expect(end.kind === 'tls' && end.cause.message).toContain('without close_notify');
      });

      it.each(['up', 'down'] as const)('also where its last bytes come with the end (%s)', async (way) => {
        let hold = false;
        const late: Buffer[] = [];
        const hop = await world.hop(dialer, acceptor, (chunk, direction) => {
          if (!hold || direction !== way) return [chunk];
          late.push(chunk);
          return [];
        });
        const [from, to] = way === 'up' ? [hop.client, hop.server] : [hop.server, hop.client];
        from.write('first');
        await readExactly(to, 5);
        hold = true;
        from.write('last');
        while (Buffer.concat(late).length < 20) await turns(1);
        cut(hop, way).end(Buffer.concat(late));
        const { end } = await readAll(to);
        expect(end).toBe('reset');
        expect(await (way === 'up' ? hop.accepted : hop.dialed)).toMatchObject({ kind: 'tls' });
      });

      it.each(['up', 'down'] as const)('also where bytes are held back for a slow reader (%s)', async (way) => {
        const hop = await world.hop(dialer, acceptor);
        const [from, to] = way === 'up' ? [hop.client, hop.server] : [hop.server, hop.client];
        await fill(from, Buffer.alloc(256 * 1024));
        cut(hop, way).end();
        const { end } = await readAll(to);
        expect(end).toBe('reset');
        expect(await (way === 'up' ? hop.accepted : hop.dialed)).toMatchObject({ kind: 'tls' });
      });

      it.each(['up', 'down'] as const)('also in the middle of a record (%s)', async (way) => {
        let keep = Number.POSITIVE_INFINITY;
        const hop = await world.hop(dialer, acceptor, (chunk, direction) => {
          if (direction !== way) return [chunk];
          const part = chunk.subarray(0, Math.max(0, keep));
          keep -= chunk.length;
          return [part];
        });
        const [from, to] = way === 'up' ? [hop.client, hop.server] : [hop.server, hop.client];
        from.write('first');
        await readExactly(to, 5);
        keep = 10;
        from.write('never to be seen');
        while (keep > 0) await turns(1);
        cut(hop, way).end();
        const { bytes, end } = await readAll(to);
        expect([bytes.length, end]).toEqual([0, 'reset']);
        expect(await (way === 'up' ? hop.accepted : hop.dialed)).toMatchObject({ kind: 'tls' });
      });
    });

    it.each(['up', 'down'] as const)('ends with `tls` where a byte was changed on the way (%s)', async (way) => {
      let change = false;
      const hop = await world.hop(dialer, acceptor, (chunk, direction) => {
        if (change && direction === way) chunk[chunk.length - 1] = (chunk.at(-1) ?? 0) ^ 1;
        return [chunk];
      });
      const [from, to] = way === 'up' ? [hop.client, hop.server] : [hop.server, hop.client];
      from.write('first');
      await readExactly(to, 5);
      change = true;
      from.write('second');
      const { bytes, end } = await readAll(to);
      expect([bytes.length, end]).toEqual([0, 'reset']);
      const broken = await (way === 'up' ? hop.accepted : hop.dialed);
      expect(broken).toMatchObject({ kind: 'tls', by: way === 'up' ? 'this' : 'peer' });
      expect(broken.kind === 'tls' && broken.cause.message).toMatch(/bad record mac/);
    });
  });
}
