/** Plain TCP clients and servers for tests, which tell a reset from an end without being fooled by libuv. */
import { once } from 'node:events';
import net from 'node:net';
import type { Address, IpAddress, SocketAddress, UnixAddress } from '../../src/core/address.js';
import { errnoOf } from '../../src/core/errors.js';
import { unixPath } from '../../src/core/unix-socket.js';
import { endOfStreamError } from '../../src/l4/streams/socket.js';

/** How the far side of a socket ended its stream. */
export type StreamEnd = 'end' | 'reset';

export interface TestServer<A extends SocketAddress = IpAddress> {
  readonly address: A;
  readonly sockets: readonly net.Socket[];
  /** The next connection that has not been asked for yet. */
  accept(): Promise<net.Socket>;
  close(): void;
}

type Handler = (socket: net.Socket) => void;

/** A server on loopback that does nothing by itself, or what `handler` does. `port` 0 takes any free one. */
export async function startServer(handler?: Handler, host = '127.0.0.1', port = 0): Promise<TestServer> {
  const { server, ...rest } = createServer(handler);
  server.listen(port, host);
  await once(server, 'listening');
  const bound = server.address() as net.AddressInfo;
  return { ...rest, address: { kind: 'ip', host, port: bound.port } };
}

/** The same on a unix socket; a leading `@` marks an abstract one. */
export async function startUnixServer(path: string, handler?: Handler): Promise<TestServer<UnixAddress>> {
  const { server, ...rest } = createServer(handler);
  server.listen(unixPath(path));
  await once(server, 'listening');
  return { ...rest, address: { kind: 'unix', path } };
}

function createServer(handler?: Handler) {
  const sockets: net.Socket[] = [];
  const queue: net.Socket[] = [];
  const waiting: ((socket: net.Socket) => void)[] = [];
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: !handler }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    if (handler) handler(socket);
    else {
      const next = waiting.shift();
      if (next) next(socket);
      else queue.push(socket);
    }
  });
  return {
    server,
    sockets,
    accept(): Promise<net.Socket> {
      const socket = queue.shift();
      return socket ? Promise.resolve(socket) : new Promise((resolve) => waiting.push(resolve));
    },
    close(): void {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/**
 * A client socket that is paused and never throws by itself; rejects where nobody listens. One that was reset as soon
 * as it was accepted counts as connected: whether its client notices in time is chance.
 */
export async function connectTo(address: Address): Promise<net.Socket> {
  const options: net.NetConnectOpts =
    address.kind === 'unix'
      ? { path: unixPath(address.path) }
      : { host: address.kind === 'ip' ? address.host : '127.0.0.1', port: address.port };
  const socket = net.connect({ ...options, allowHalfOpen: true } as net.NetConnectOpts);
  socket.pause();
  await once(socket, 'connect').catch((error: unknown) => {
    if (errnoOf(error) !== 'ECONNRESET') throw error;
  });
  socket.on('error', () => {});
  return socket;
}

/** Reads to the end of the stream and tells what came, and how it ended. */
export function readAll(socket: net.Socket): Promise<{ bytes: Buffer; end: StreamEnd }> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const done = (end: StreamEnd) => resolve({ bytes: Buffer.concat(chunks), end });
    if (socket.errored) return done('reset');
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.once('end', () => done(endOfStreamError(socket) ? 'reset' : 'end'));
    socket.once('error', () => done('reset'));
    socket.once('close', () => done('reset'));
    socket.resume();
  });
}

/** Reads exactly `count` bytes, then holds the sender back again. */
export function readExactly(socket: net.Socket, count: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let got: Buffer = Buffer.alloc(0);
    const stop = () => {
      socket.pause();
      socket.off('data', onData);
      socket.off('end', onEnd);
      socket.off('error', onEnd);
    };
    const onData = (chunk: Buffer) => {
      got = Buffer.concat([got, chunk]);
      if (got.length < count) return;
      stop();
      if (got.length > count) socket.unshift(got.subarray(count));
      resolve(got.subarray(0, count));
    };
    const onEnd = () => {
      stop();
      reject(new Error(`the stream ended after ${got.length} of ${count} bytes`));
    };
    socket.on('data', onData);
    socket.once('end', onEnd);
    socket.once('error', onEnd);
    socket.resume();
  });
}

/** Resolves once nothing more goes into `socket`: everything between it and the reader is full. Returns the bytes taken. */
export async function fill(socket: net.Socket, chunk: Buffer, stillFor = 5): Promise<number> {
  let taken = -1;
  let still = 0;
  // Still for several turns of the event loop, each of which gave every socket here its chance to move bytes.
  while (still < stillFor * 200) {
    while (socket.writableLength < chunk.length) socket.write(chunk);
    await new Promise((resolve) => setImmediate(resolve));
    const now = socket.bytesWritten - socket.writableLength;
    still = now === taken ? still + 1 : 0;
    taken = now;
  }
  return taken;
}

/** Writes as much as is taken, and more whenever there is room again, until the socket is closed. */
export function push(socket: net.Socket): void {
  const chunk = Buffer.alloc(256 * 1024);
  const pushMore = () => {
    while (socket.writable && socket.write(chunk));
  };
  socket.on('drain', pushMore);
  pushMore();
}

/** `Promise.withResolvers`, which Node 20 does not have. */
export function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
