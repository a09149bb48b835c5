import type net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { formatAddress, type SocketAddress } from '../../src/core/address.js';
import { MeshproxyError } from '../../src/core/errors.js';
import { encodeProxyHeader } from '../../src/l4/proxy-header.js';
import { streamsTransport } from '../../src/l4/streams/transport.js';
import { silent, TestPlane, type TestPlaneOptions } from '../fakes/data-plane.js';
import { connectTo, readAll, readExactly, startServer, type TestServer, withResolvers } from '../fakes/net.js';

const NOBODY: SocketAddress = { kind: 'ip', host: '127.0.0.1', port: 1 };

describe('the life of a connection', () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  async function server(handler?: (socket: net.Socket) => void): Promise<TestServer> {
    const started = await startServer(handler);
    cleanups.push(() => started.close());
    return started;
  }

  async function start(upstreams: readonly SocketAddress[], options?: TestPlaneOptions): Promise<TestPlane> {
    const plane = await TestPlane.start(upstreams, options);
    cleanups.push(() => plane.close());
    return plane;
  }

  async function client(plane: TestPlane): Promise<net.Socket> {
    const socket = await connectTo(plane.address);
    cleanups.push(() => socket.destroy());
    return socket;
  }

  it('is recorded: who, where to and why, how many bytes, how it ended', async () => {
    const upstream = await server((socket) => socket.pipe(socket));
    const plane = await start([upstream.address]);
    const socket = await client(plane);
    const { localPort } = socket;
    socket.end('twelve bytes');
    expect((await readAll(socket)).bytes.toString()).toBe('twelve bytes');
    expect(await plane.record()).toMatchObject({
      listener: 'web',
      service: 'web',
      client: `127.0.0.1:${localPort}`,
      endpoint: `127.0.0.1:${upstream.address.port}`,
      phase: 'ended',
      ending: 'completed',
      bytesReceived: 12,
      bytesSent: 12,
      attempts: [{ why: 'round robin, 1 of 1' }],
    });
    expect(plane.live.size).toBe(0);
  });

  it('tells while its endpoint does not answer how long that has been, and what it learns so goes for the next pick', async () => {
    const hangs = await server(() => {});
    const answers = await server((socket) => socket.write('served'));
    const plane = await start([answers.address], { service: { balance: 'ewma', ewmaInitial: '1ms' } });
    const open = async (): Promise<void> => {
      const before = hangs.sockets.length + answers.sockets.length;
      (await client(plane)).write('anybody there?');
      await plane.until(() => hangs.sockets.length + answers.sockets.length > before);
    };
    // By open connections alone, the other one would have its turn for long.
    for (let times = 0; times < 40; times += 1) await open();
    plane.update([answers.address, hangs.address]);
    await open();
    expect(hangs.sockets).toHaveLength(1);
    await plane.until(() => [...plane.live].every(({ bytesReceived }) => bytesReceived > 0));
    plane.clock.advance(5000);
    for (let times = 0; times < 10; times += 1) await open();
    expect(hangs.sockets).toHaveLength(1);
  });

  it('takes the endpoints in turn', async () => {
    const answers = await Promise.all(['a', 'b', 'c'].map((name) => server((socket) => socket.end(name))));
    const plane = await start(answers.map(({ address }) => address));
    let seen = '';
    for (let i = 0; i < 6; i += 1) {
      const socket = await client(plane);
      socket.end();
      seen += (await readAll(socket)).bytes.toString();
    }
    expect(seen).toBe('abcabc');
  });

  it('tries the next endpoint where one refuses, and the client notices nothing', async () => {
    const upstream = await server((socket) => socket.end('served'));
    const plane = await start([NOBODY, upstream.address]);
    const socket = await client(plane);
    socket.end();
    expect(await readAll(socket)).toEqual({ bytes: Buffer.from('served'), end: 'end' });
    const record = await plane.record();
    expect(record.attempts.map(({ error }) => error)).toEqual([expect.stringContaining('refused'), undefined]);
    expect(record.ending).toBe('completed');
  });

  it('tries the next endpoint where one does not answer within the connect timeout', async () => {
    const upstream = await server((socket) => socket.end('served'));
    const plane = await start([NOBODY, upstream.address], {
      dial: (address, options, signal) =>
        address === NOBODY ? silent(address, options, signal) : streamsTransport.dial(address, options, signal),
    });
    const socket = await client(plane);
    socket.end();
    await plane.until(() => plane.clock.pending > 0);
    plane.clock.advance(1999);
    expect(plane.attempts).toEqual([]);
    plane.clock.advance(1);
    expect((await readAll(socket)).bytes.toString()).toBe('served');
    expect((await plane.record()).attempts[0]?.error).toBe('127.0.0.1:1: no answer within 2s');
  });

  it('gives up at the connect deadline, however many endpoints are left, and resets the client', async () => {
    const many = Array.from({ length: 20 }, (_, i): SocketAddress => ({ kind: 'ip', host: '192.0.2.1', port: i + 1 }));
    const plane = await start(many, { dial: silent, service: { connectDeadline: '3s' } });
    const socket = await client(plane);
    for (const wait of [2000, 1000]) {
      const before = plane.attempts.length;
      await plane.until(() => plane.clock.pending > 0);
      plane.clock.advance(wait);
      await plane.until(() => plane.attempts.length > before);
    }
    expect((await readAll(socket)).end).toBe('reset');
    expect((await plane.record()).ending).toBe('connect-failed');
    expect(plane.attempts.length).toBe(2);
  });

  it('tries no more endpoints than it may', async () => {
    const many = Array.from({ length: 20 }, (_, i): SocketAddress => ({ kind: 'ip', host: '127.0.0.1', port: i + 1 }));
    const plane = await start(many, { service: { connectAttempts: 3 } });
    const socket = await client(plane);
    // The second endpoint is tried at once, the third after a while.
    await plane.until(() => plane.attempts.length === 2 && plane.clock.pending > 0);
    plane.clock.advance(25);
    await readAll(socket);
    expect(await plane.record()).toMatchObject({ ending: 'connect-failed' });
    expect(plane.attempts.length).toBe(3);
  });

  it('waits longer before each further endpoint, and a client that is cut off meanwhile ends it', async () => {
    const many = Array.from({ length: 20 }, (_, i): SocketAddress => ({ kind: 'ip', host: '127.0.0.1', port: i + 1 }));
    const plane = await start(many);
    const socket = await client(plane);
    const waits: number[] = [];
    for (let attempts = 2; attempts < 7; attempts += 1) {
      await plane.until(() => plane.attempts.length === attempts && plane.clock.pending > 0);
      let waited = 0;
      for (; plane.clock.pending > 0; waited += 1) plane.clock.advance(1);
      waits.push(waited);
    }
    for (const [index, longest] of [25, 50, 100, 200, 250].entries()) {
      expect(waits[index]).toBeGreaterThanOrEqual(longest / 2);
      expect(waits[index]).toBeLessThanOrEqual(longest + 1);
    }
    await plane.until(() => plane.attempts.length === 7 && plane.clock.pending > 0);
    plane.plane.cutAll();
    await readAll(socket);
    expect(await plane.record()).toMatchObject({ ending: 'drain-deadline' });
  });

  describe('to an endpoint that accepts and then resets', () => {
    const FAIL = (socket: net.Socket): void => void socket.resetAndDestroy();
    const both = async (handler?: (socket: net.Socket) => void, options?: TestPlaneOptions) => {
      const [bad, good] = [await server(handler), await server((socket) => socket.pipe(socket))];
      return { bad, good, plane: await start([bad.address, good.address], options) };
    };
    const relaying = (plane: TestPlane, count = 1): Promise<void> =>
      plane.until(() => [...plane.live].filter(({ phase }) => phase === 'relaying').length === count);

    it('goes to another one as long as the client has sent nothing', async () => {
      const { bad, good, plane } = await both();
      const socket = await client(plane);
      await relaying(plane);
      FAIL(await bad.accept());
      await plane.until(() => good.sockets.length === 1);
      socket.end('served');
      expect((await readAll(socket)).bytes.toString()).toBe('served');
      const record = await plane.record();
      expect(record).toMatchObject({
        ending: 'completed',
        endpoint: `127.0.0.1:${good.address.port}`,
        bytesReceived: 6,
        bytesSent: 6,
      });
      expect(record.attempts.map(({ error }) => error)).toEqual([
        expect.stringMatching(/^127\.0\.0\.1:\d+: broke off before it had answered: .*ECONNRESET/),
        undefined,
      ]);
    });

    it('goes to another one however long it had been connected', async () => {
      const { bad, good, plane } = await both();
      const socket = await client(plane);
      await relaying(plane);
      plane.clock.advance(10 * 60_000);
      FAIL(await bad.accept());
      await plane.until(() => good.sockets.length === 1);
      socket.end('served');
      expect((await readAll(socket)).bytes.toString()).toBe('served');
      // Only connecting counts, and there was no time in that.
      expect(await plane.record()).toMatchObject({ ending: 'completed', connectMs: 0 });
    });

    it('is reset where there is no other one', async () => {
      const bad = await server();
      const plane = await start([bad.address]);
      const socket = await client(plane);
      await relaying(plane);
      FAIL(await bad.accept());
      expect((await readAll(socket)).end).toBe('reset');
      expect(await plane.record()).toMatchObject({ ending: 'upstream-reset' });
    });

    it('is reset once a byte of the client has reached it', async () => {
      const { good, plane } = await both((socket) => void socket.once('data', () => FAIL(socket)));
      const socket = await client(plane);
      socket.write('once only');
      expect((await readAll(socket)).end).toBe('reset');
      expect(await plane.record()).toMatchObject({ ending: 'upstream-reset' });
      expect(good.sockets).toHaveLength(0);
    });

    it('goes to another one with all that the client has sent, where the service allows a replay', async () => {
      const { plane } = await both(
        (socket) => {
          let got = 0;
          socket.on('data', (chunk) => {
            got += chunk.length;
            if (got === 9) FAIL(socket);
          });
        },
        { service: { replay: '64KiB' } },
      );
      const socket = await client(plane);
      socket.write('twi');
      await plane.until(() => [...plane.live][0]?.bytesReceived === 3);
      socket.end('ce, ok');
      expect((await readAll(socket)).bytes.toString()).toBe('twice, ok');
      expect(await plane.record()).toMatchObject({ ending: 'completed', bytesReceived: 9, bytesSent: 9 });
    });

    it('goes to another one, too, where it ends in order and has not answered; unless the client has ended before', async () => {
      const closes = (socket: net.Socket): void => void socket.once('data', () => socket.end());
      const { bad, good, plane } = await both(closes, { service: { replay: '64KiB' } });
      const asking = await client(plane);
      asking.write('asked');
      expect((await readExactly(asking, 5)).toString()).toBe('asked');
      asking.end();
      const answered = await plane.record();
      expect(answered).toMatchObject({ ending: 'completed', bytesReceived: 5, bytesSent: 5 });
      expect(answered.attempts.map(({ error }) => error)).toEqual([
        expect.stringContaining('broke off before it had answered: it ended the connection, and had sent nothing'),
        undefined,
      ]);
      expect([bad.sockets.length, good.sockets.length]).toEqual([1, 1]);
      const sending = await client(plane);
      sending.end('no answer wanted');
      await readAll(sending);
      const sent = await plane.record();
      expect(sent).toMatchObject({ ending: 'completed', bytesReceived: 16 });
      expect(sent.attempts).toHaveLength(1);
    });

    it('replays no more than it may', async () => {
      const { good, plane } = await both((socket) => void socket.once('data', () => FAIL(socket)), {
        service: { replay: 4 },
      });
      const socket = await client(plane);
      socket.write('12345');
      expect((await readAll(socket)).end).toBe('reset');
      await plane.record();
      expect(good.sockets).toHaveLength(0);
    });

    it('carries whatever comes first, whoever speaks first, and the end of either', async () => {
      const greeter = await server((socket) => {
        socket.write('220 ');
        socket.pipe(socket);
      });
      const plane = await start([greeter.address, greeter.address], { service: { replay: '64KiB' } });
      const first = await client(plane);
      expect((await readExactly(first, 4)).toString()).toBe('220 ');
      first.end('bye');
      expect((await readAll(first)).bytes.toString()).toBe('bye');
      const silent = await client(plane);
      silent.end();
      expect((await readAll(silent)).bytes.toString()).toBe('220 ');
      await plane.until(() => plane.live.size === 0);
      expect(plane.records.map(({ ending }) => ending)).toEqual(['completed', 'completed']);
    });

    it('is cut by the idle timeout, and when it is told to, before anybody has spoken', async () => {
      const quiet = await server();
      const plane = await start([quiet.address, quiet.address], { service: { idleTimeout: '5s' } });
      const [idle, cut] = [await client(plane), await client(plane)];
      await relaying(plane, 2);
      [...plane.live][1]?.cut('drain-deadline');
      expect((await readAll(cut)).end).toBe('reset');
      await plane.clock.advanceAsync(6250);
      expect((await readAll(idle)).end).toBe('reset');
      await plane.until(() => plane.records.length === 2);
      expect(plane.records.map(({ ending }) => ending)).toEqual(['drain-deadline', 'idle-timeout']);
    });
  });

  it('pays for what was read before its endpoint was certain, where there is a bandwidth limit', async () => {
    const upstream = await server((socket) => void socket.once('data', () => socket.write('answer')));
    const listener = { maxBandwidth: '64KiB/s' };
    const plane = await start([upstream.address, upstream.address], { listener, service: { replay: '64KiB' } });
    const socket = await client(plane);
    socket.write(Buffer.alloc(48 * 1024));
    expect((await readExactly(socket, 6)).toString()).toBe('answer');
    await plane.until(() => [...plane.live].some(({ throttles }) => throttles !== undefined));
    const [live] = plane.live;
    // It read 48 KiB at once of the 64 that it may in a second.
    expect(live?.throttles?.received.isHeld(plane.clock.now() + 500)).toBe(true);
    expect(live?.throttles?.received.isHeld(plane.clock.now() + 750)).toBe(false);
    socket.resetAndDestroy();
  });

  describe('of a service with as many connections as it may have', () => {
    const FULL = { maxConnections: 1, queueTarget: 'off' } as const;

    it('waits for a free place, says for how long, and is served', async () => {
      const upstream = await server((socket) => void socket.write('served'));
      const plane = await start([upstream.address], { service: FULL });
      const first = await client(plane);
      expect((await readExactly(first, 6)).toString()).toBe('served');
      const second = await client(plane);
      await plane.until(() => [...plane.live].some(({ phase }) => phase === 'waiting'));
      plane.clock.advance(2000);
      first.resetAndDestroy();
      expect((await readExactly(second, 6)).toString()).toBe('served');
      second.resetAndDestroy();
      await plane.until(() => plane.records.length === 2);
      expect(plane.records[1]).toMatchObject({ queuedMs: 2000, endpoint: `127.0.0.1:${upstream.address.port}` });
      expect(plane.records[0]?.queuedMs).toBeUndefined();
    });

    it.each([
      [{}, 5000, 'queue-timeout', undefined],
      [{ queueTimeout: 'off' }, 0, 'service-full', '1 connections are open, and none may wait'],
    ] as const)('is refused where it may not wait, or waited in vain: %j', async (more, waitMs, ending, detail) => {
      const upstream = await server();
      const plane = await start([upstream.address], { service: { ...FULL, ...more } });
      await client(plane);
      await plane.until(() => upstream.sockets.length === 1);
      const second = await client(plane);
      if (waitMs > 0) await plane.until(() => [...plane.live].some(({ phase }) => phase === 'waiting'));
      await plane.clock.advanceAsync(waitMs);
      expect((await readAll(second)).end).toBe('reset');
      const record = await plane.record();
      expect(record).toMatchObject({ ending, attempts: [] });
      expect(record.detail).toBe(detail);
      expect(upstream.sockets).toHaveLength(1);
    });

    it('can be cut off while it waits, and takes nobody a place', async () => {
      const upstream = await server((socket) => socket.write('served'));
      const plane = await start([upstream.address], { service: FULL });
      const first = await client(plane);
      await readExactly(first, 6);
      const second = await client(plane);
      await plane.until(() => [...plane.live].some(({ phase }) => phase === 'waiting'));
      [...plane.live][1]?.cut('drain-deadline');
      expect((await readAll(second)).end).toBe('reset');
      first.resetAndDestroy();
      await plane.until(() => plane.live.size === 0);
      expect((await readExactly(await client(plane), 6)).toString()).toBe('served');
    });

    it('leaves its place however it ends', async () => {
      const upstream = await server((socket) => socket.resetAndDestroy());
      const plane = await start([upstream.address, NOBODY], { service: { ...FULL, ejectAfter: 'off' } });
      for (let times = 1; times <= 6; times += 1) {
        await readAll(await client(plane));
        await plane.until(() => plane.records.length === times);
      }
      expect(plane.records.every(({ queuedMs }) => queuedMs === undefined)).toBe(true);
    });
  });

  it('tries no other endpoint once the retry budget is used up, and says so', async () => {
    const upstream = await server((socket) => socket.end('served'));
    const plane = await start([NOBODY, upstream.address], {
      service: { retryBudget: '0%', retryMinRate: 1, ejectAfter: 'off' },
    });
    // One a second, of the last ten. A connection that is tried again takes both turns, so that each begins with the first.
    for (let times = 0; times < 10; times += 1) {
      expect((await readAll((await client(plane)).end())).bytes.toString()).toBe('served');
    }
    expect((await readAll(await client(plane))).end).toBe('reset');
    await plane.until(() => plane.records.length === 11);
    expect(plane.records[10]).toMatchObject({
      ending: 'connect-failed',
      detail: 'no other endpoint was tried: the retry budget (0% of connections, at least 1 a second) is used up',
      attempts: [{ endpoint: '127.0.0.1:1' }],
    });
    plane.clock.advance(10_000);
    expect((await readAll((await client(plane)).end())).bytes.toString()).toBe('served');
    expect((await readAll((await client(plane)).end())).bytes.toString()).toBe('served');
  });

  it('tries no other endpoint while as many connections as may are being tried again, and says so', async () => {
    const upstream = await server((socket) => socket.end('served'));
    const held = withResolvers<void>();
    const plane = await start([NOBODY, upstream.address], {
      service: { maxRetries: 1, ejectAfter: 'off' },
      dial: async (address, ...rest) => {
        if (formatAddress(address) !== formatAddress(NOBODY)) await held.promise;
        return streamsTransport.dial(address, ...rest);
      },
    });
    const first = await client(plane);
    await plane.until(() => [...plane.live][0]?.attempts.length === 1);
    expect((await readAll(await client(plane))).end).toBe('reset');
    await plane.until(() => plane.records.length === 1);
    expect(plane.records[0]).toMatchObject({
      ending: 'connect-failed',
      detail: 'no other endpoint was tried: 1 other connections are being tried again, and no more may be',
    });
    held.resolve();
    expect((await readAll(first.end())).bytes.toString()).toBe('served');
    expect((await readAll((await client(plane)).end())).bytes.toString()).toBe('served');
  });

  it('does not try an endpoint that was removed while another was tried', async () => {
    const live = await server((socket) => socket.end('live'));
    const removed: SocketAddress = { kind: 'ip', host: '127.0.0.1', port: 2 };
    const plane: TestPlane = await start([NOBODY, removed], {
      dial: (address, ...rest) => {
        plane.update([live.address]);
        return streamsTransport.dial(address, ...rest);
      },
    });
    expect((await readAll((await client(plane)).end())).bytes.toString()).toBe('live');
    const { attempts } = await plane.record();
    expect(attempts.map(({ endpoint }) => endpoint)).toEqual(['127.0.0.1:1', `127.0.0.1:${live.address.port}`]);
  });

  it.each(['drain', 'reset'] as const)(
    'to an endpoint that is removed while it is connected to does as the service says: %s',
    async (onEndpointRemoved) => {
      const [one, other] = [await server((socket) => socket.end('one')), await server()];
      const plane: TestPlane = await start([one.address], {
        service: { onEndpointRemoved },
        dial: (address, ...rest) => {
          plane.update([other.address]);
          return streamsTransport.dial(address, ...rest);
        },
      });
      const { bytes, end } = await readAll((await client(plane)).end());
      const drains = onEndpointRemoved === 'drain';
      expect([bytes.toString(), end]).toEqual(drains ? ['one', 'end'] : ['', 'reset']);
      expect((await plane.record()).ending).toBe(drains ? 'completed' : 'endpoint-removed');
    },
  );

  it('resets the client where the service has no endpoint', async () => {
    const plane = await start([]);
    expect((await readAll(await client(plane))).end).toBe('reset');
    expect(await plane.record()).toMatchObject({ ending: 'no-endpoint', detail: 'service web has no endpoint' });
  });

  it('does not blame the endpoint, nor try another, where this machine is short of descriptors', async () => {
    const plane = await start([NOBODY, { ...NOBODY, port: 2 }], {
      dial: () => Promise.reject(new MeshproxyError('exhausted', 'no descriptor left')),
    });
    await readAll(await client(plane));
    expect(await plane.record()).toMatchObject({ ending: 'exhausted' });
    expect(plane.attempts.length).toBe(1);
    expect(plane.plane.listeners()[0]?.paused).toBe(true);
    plane.clock.advance(500);
    expect(plane.plane.listeners()[0]?.paused).toBe(false);
  });

  it('reports what should not happen, and ends that connection only', async () => {
    const plane = await start([NOBODY], { dial: () => Promise.reject(new TypeError('not what was promised')) });
    expect((await readAll(await client(plane))).end).toBe('reset');
    expect(await plane.record()).toMatchObject({ ending: 'internal-error' });
    expect(plane.bugs).toEqual([expect.any(TypeError)]);
    expect((await readAll(await client(plane))).end).toBe('reset');
  });

  describe('accepting the PROXY protocol', () => {
    const listener = { acceptProxyProtocol: true };
    const source: SocketAddress = { kind: 'ip', host: '203.0.113.7', port: 5555 };
    const destination: SocketAddress = { kind: 'ip', host: '198.51.100.1', port: 443 };

    it.each(['v1', 'v2'] as const)(
      'learns the client from the header and passes on only what follows (%s)',
      async (version) => {
        const upstream = await server((socket) => socket.pipe(socket));
        const plane = await start([upstream.address], { listener });
        const socket = await client(plane);
        const { localPort } = socket;
        const header = encodeProxyHeader(version, source, destination);
        socket.write(header.subarray(0, 3));
        socket.write(header.subarray(3));
        socket.end('hello');
        expect((await readAll(socket)).bytes.toString()).toBe('hello');
        expect(await plane.record()).toMatchObject({
          client: '203.0.113.7:5555',
          destination: '198.51.100.1:443',
          peer: `127.0.0.1:${localPort}`,
          bytesReceived: 5,
          ending: 'completed',
        });
      },
    );

    it('keeps the socket’s own addresses for a health check (LOCAL)', async () => {
      const upstream = await server((socket) => socket.pipe(socket));
      const plane = await start([upstream.address], { listener });
      const socket = await client(plane);
      const { localPort } = socket;
      socket.end(Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex'));
      await readAll(socket);
      expect((await plane.record()).client).toBe(`127.0.0.1:${localPort}`);
    });

    it('refuses a client that speaks without a header, and tells what it said', async () => {
      const plane = await start([NOBODY], { listener });
      const socket = await client(plane);
      socket.write('GET / HTTP/1.1\r\n\r\n');
      expect((await readAll(socket)).end).toBe('reset');
      expect(await plane.record()).toMatchObject({
        ending: 'bad-proxy-header',
        detail: expect.stringContaining('GET /'),
      });
      expect(plane.attempts).toEqual([]);
    });

    it('refuses a client that sends no complete header in time', async () => {
      const plane = await start([NOBODY], { listener });
      const socket = await client(plane);
      socket.write('PROXY TCP4 ');
      await plane.until(() => plane.clock.pending > 0);
      plane.clock.advance(5000);
      expect((await readAll(socket)).end).toBe('reset');
      expect(await plane.record()).toMatchObject({ ending: 'proxy-header-timeout' });
    });

    it('notices a client that closes, or resets, before its header is complete', async () => {
      const plane = await start([NOBODY], { listener });
      (await client(plane)).end('PROXY');
      expect((await plane.record()).ending).toBe('closed-before-header');
      const second = await client(plane);
      await plane.until(() => plane.live.size === 1);
      second.resetAndDestroy();
      expect((await plane.record()).ending).toBe('client-reset');
    });
  });

  describe('sending the PROXY protocol', () => {
    it('names the client and where it had connected to (v1)', async () => {
      const upstream = await server();
      const plane = await start([upstream.address], { service: { sendProxyProtocol: 'v1' } });
      const socket = await client(plane);
      socket.end('body');
      const expected = `PROXY TCP4 127.0.0.1 127.0.0.1 ${socket.localPort} ${socket.remotePort}\r\nbody`;
      expect((await readAll(await upstream.accept())).bytes.toString()).toBe(expected);
    });

    it('passes on what it was told by the header that it accepted (v2)', async () => {
      const upstream = await server();
      const plane = await start([upstream.address], {
        listener: { acceptProxyProtocol: true },
        service: { sendProxyProtocol: 'v2' },
      });
      const source: SocketAddress = { kind: 'ip', host: '2001:db8::7', port: 5555 };
      const destination: SocketAddress = { kind: 'ip', host: '2001:db8::1', port: 443 };
      const socket = await client(plane);
      socket.write(encodeProxyHeader('v1', source, destination));
      socket.end('x');
      const { bytes } = await readAll(await upstream.accept());
      expect(bytes).toEqual(Buffer.concat([encodeProxyHeader('v2', source, destination), Buffer.from('x')]));
    });
  });

  describe('timeouts', () => {
    it('leaves an idle connection alone unless asked', async () => {
      const upstream = await server();
      const plane = await start([upstream.address]);
      const socket = await client(plane);
      const behind = await upstream.accept();
      await plane.until(() => [...plane.live][0]?.phase === 'relaying');
      plane.clock.advance(48 * 3_600_000);
      behind.write('still there');
      expect((await readExactly(socket, 11)).toString()).toBe('still there');
    });

    it('resets a connection on which nothing moved for the idle timeout, and only then', async () => {
      const upstream = await server((socket) => socket.pipe(socket));
      const plane = await start([upstream.address], { service: { idleTimeout: '10s' } });
      const socket = await client(plane);
      for (let i = 0; i < 5; i += 1) {
        socket.write('x');
        await readExactly(socket, 1);
        plane.clock.advance(9000);
      }
      socket.write('x');
      await readExactly(socket, 1);
      plane.clock.advance(12_500);
      expect((await readAll(socket)).end).toBe('reset');
      expect((await plane.record()).ending).toBe('idle-timeout');
    });

    it('resets a half-closed connection whose other side neither sends nor ends', async () => {
      const upstream = await server();
      const plane = await start([upstream.address], { service: { halfCloseTimeout: '1m' } });
      const socket = await client(plane);
      socket.end();
      const behind = await upstream.accept();
      await readAll(behind);
      behind.write('part');
      await readExactly(socket, 4);
      plane.clock.advance(75_000);
      expect((await readAll(socket)).end).toBe('reset');
      expect((await plane.record()).ending).toBe('half-close-timeout');
    });
  });

  describe('limits', () => {
    it('refuses one more than the listener carries, at once, and counts it', async () => {
      const upstream = await server((socket) => socket.pipe(socket));
      const plane = await start([upstream.address], { listener: { maxConnections: 2 } });
      const first = await client(plane);
      await client(plane);
      await plane.until(() => plane.live.size === 2);
      expect((await readAll(await client(plane))).end).toBe('reset');
      expect(plane.refusals).toEqual(['listener-max-connections']);
      first.end();
      await readAll(first);
      await plane.record();
      const again = await client(plane);
      again.end('room again');
      expect((await readAll(again)).bytes.toString()).toBe('room again');
    });

    it('refuses where memory is short, and what is open goes on', async () => {
      const upstream = await server((socket) => socket.pipe(socket));
      const plane = await start([upstream.address]);
      const open = await client(plane);
      await plane.until(() => plane.live.size === 1);
      await plane.limit({ maxMemory: 1 });
      expect((await readAll(await client(plane))).end).toBe('reset');
      expect(plane.refusals).toEqual(['max-memory']);
      open.end('goes on');
      expect((await readAll(open)).bytes.toString()).toBe('goes on');
    });
  });

  describe('drain', () => {
    it('lets connections finish, and accepts no more', async () => {
      const upstream = await server((socket) => socket.pipe(socket));
      const plane = await start([upstream.address]);
      const socket = await client(plane);
      await plane.until(() => plane.live.size === 1);
      const drained = plane.plane.drain(30_000);
      await expect(connectTo(plane.address)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      socket.end('last words');
      expect((await readAll(socket)).bytes.toString()).toBe('last words');
      expect(await drained).toBe(0);
    });

    it('resets what is left at the deadline, in whatever step it is', async () => {
      const upstream = await server();
      const plane = await start([upstream.address, NOBODY], {
        dial: (address, options, signal) =>
          address === NOBODY ? silent(address, options, signal) : streamsTransport.dial(address, options, signal),
      });
      const relaying = await client(plane);
      await upstream.accept();
      const connecting = await client(plane);
      await plane.until(() => plane.live.size === 2 && [...plane.live][0]?.phase === 'relaying');
      const timers = plane.clock.pending;
      const drained = plane.plane.drain(1000);
      await plane.until(() => plane.clock.pending > timers);
      plane.clock.advance(999);
      expect(plane.live.size).toBe(2);
      plane.clock.advance(1);
      expect(await drained).toBe(2);
      expect([(await readAll(relaying)).end, (await readAll(connecting)).end]).toEqual(['reset', 'reset']);
      expect([(await plane.record()).ending, (await plane.record()).ending]).toEqual([
        'drain-deadline',
        'drain-deadline',
      ]);
    });
  });
});
