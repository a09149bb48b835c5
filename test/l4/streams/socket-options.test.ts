import { createRequire } from 'node:module';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Address } from '../../../src/core/address.js';
import type { StreamConnection } from '../../../src/l4/streams/connection.js';
import { descriptorOf } from '../../../src/l4/streams/socket.js';
import { streamsTransport } from '../../../src/l4/streams/transport.js';
import type { Connection } from '../../../src/l4/transport.js';
import { connectTo, startServer, withResolvers } from '../../fakes/net.js';

const LOOPBACK: Address = { kind: 'ip', host: '127.0.0.1', port: 0 };
const never = new AbortController().signal;

/** Linux' numbers: level and name. */
const SO_KEEPALIVE = [1, 9] as const;
const TCP_NODELAY = [6, 1] as const;
const TCP_KEEPIDLE = [6, 4] as const;

type GetSockOpt = (fd: number, level: number, name: number, value: Buffer, length: Buffer) => number;

/** What the kernel says of a socket's option. */
function optionOf(connection: Connection, [level, name]: readonly [number, number]): number {
  const koffi = createRequire(import.meta.url)('koffi') as { load(path: null): { func(of: string): GetSockOpt } };
  const getsockopt = koffi.load(null).func('int getsockopt(int fd, int level, int name, void *value, void *length)');
  const value = Buffer.alloc(4);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length);
  const fd = descriptorOf((connection as StreamConnection).socket) ?? -1;
  expect(getsockopt(fd, level, name, value, length)).toBe(0);
  return value.readInt32LE();
}

/** One connection that was accepted, and one that was dialled. */
async function bothKinds(keepaliveMs: number): Promise<Connection[]> {
  const options = { keepaliveMs, bufferSize: 65_536 };
  const server = await startServer();
  const { promise, resolve } = withResolvers<Connection>();
  const listener = await streamsTransport.listen(LOOPBACK, options, resolve);
  const client = await connectTo(listener.address);
  const connections = [await promise, await streamsTransport.dial(server.address, options, never)];
  onTestFinished(async () => {
    for (const connection of connections) connection.reset();
    client.destroy();
    server.close();
    await listener.close();
  });
  return connections;
}

describe.runIf(process.platform === 'linux')('the sockets of the streams transport', () => {
  it('send small writes at once, and probe a silent peer after the keepalive time', async () => {
    for (const connection of await bothKinds(90_000)) {
      expect(optionOf(connection, TCP_NODELAY)).toBe(1);
      expect(optionOf(connection, SO_KEEPALIVE)).toBe(1);
      expect(optionOf(connection, TCP_KEEPIDLE)).toBe(90);
    }
  });

  it('do not probe where keepalive is off', async () => {
    for (const connection of await bothKinds(0)) {
      expect(optionOf(connection, TCP_NODELAY)).toBe(1);
      expect(optionOf(connection, SO_KEEPALIVE)).toBe(0);
    }
  });
});
