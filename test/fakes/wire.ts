/** A stretch of the network between two sockets, on which a test can split, hold, change, cut and reset what passes. */
import type net from 'node:net';
import type { IpAddress } from '../../src/core/address.js';
import { connectTo, startServer, withResolvers } from './net.js';

export type Direction = 'up' | 'down';

export interface Wire {
  /** What the client of it has sent goes `up`, to the target. */
  readonly client: net.Socket;
  readonly target: net.Socket;
}

export interface Wiring {
  readonly address: IpAddress;
  /** The first connection that was made over it. */
  readonly wire: Promise<Wire>;
  close(): void;
}

/** @param pass what becomes of a chunk: the chunks that arrive in its place, each by a write of its own */
export async function startWire(
  target: IpAddress,
  pass: (chunk: Buffer, direction: Direction) => readonly Buffer[] = (chunk) => [chunk],
): Promise<Wiring> {
  const { promise, resolve } = withResolvers<Wire>();
  const server = await startServer((client) => {
    client.pause();
    client.setNoDelay(true);
    void connectTo(target).then((far) => {
      far.setNoDelay(true);
      carry(client, far, (chunk) => pass(chunk, 'up'));
      carry(far, client, (chunk) => pass(chunk, 'down'));
      resolve({ client, target: far });
    });
  });
  return { address: server.address, wire: promise, close: () => server.close() };
}

function carry(from: net.Socket, to: net.Socket, pass: (chunk: Buffer) => readonly Buffer[]): void {
  from.on('data', (chunk: Buffer) => {
    for (const part of pass(chunk)) {
      if (to.writable && !to.write(part)) from.pause();
    }
  });
  to.on('drain', () => from.resume());
  from.once('end', () => to.end());
  from.once('error', () => to.resetAndDestroy());
  from.once('close', () => {
    if (!from.readableEnded) to.resetAndDestroy();
  });
  from.resume();
}
