import { afterEach, describe, expect, it } from 'vitest';
import type { IpAddress } from '../../../src/core/address.js';
import { bindShared } from '../../../src/l4/native/bind.js';
import { NativeConnection } from '../../../src/l4/native/connection.js';
import { LinuxKernel } from '../../../src/l4/native/linux-kernel.js';
import { createNativeTransport } from '../../../src/l4/native/transport.js';
import type { RelayEnd } from '../../../src/l4/transport.js';
import { connectTo, withResolvers } from '../../fakes/net.js';

const OPTIONS = { keepaliveMs: 0, bufferSize: 65536 };
const LOOPBACK: IpAddress = { kind: 'ip', host: '127.0.0.1', port: 0 };
const EAGAIN = 11;
/** Bare sockets: Node's read ahead. */
const system = new LinuxKernel();

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a sender whose reader has stopped', () => {
  const cleanups: (() => unknown)[] = [];
  /** Of a test that failed: nothing of it goes on. */
  let over = false;
  afterEach(async () => {
    over = true;
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  /** A client that has sent until nobody was told of its bytes any more, and the server's socket, of which nothing was read yet. */
  async function heldBack() {
    over = false;
    const transport = createNativeTransport({
      onBug(error) {
        throw error;
      },
    });
    const upstream = await bindShared(LOOPBACK, OPTIONS, 1);
    const end = withResolvers<RelayEnd>();
    const accepted = withResolvers<NativeConnection>();
    const listener = await transport.listen(LOOPBACK, OPTIONS, async (near) => {
      if (near instanceof NativeConnection) accepted.resolve(near);
      const far = await transport.dial(upstream.address as IpAddress, OPTIONS, new AbortController().signal);
      end.resolve(await near.relay(far, { onFirstByte() {}, onPeerFirstByte() {}, onHalfClose() {} }));
    });
    const client = await connectTo(listener.address);
    client.on('error', () => {});
    cleanups.push(
      () => upstream.close(),
      () => listener.close(),
      () => client.destroy(),
    );
    let server = -1;
    while (server < 0) {
      await turn();
      server = system.accept(upstream.fds[0] ?? -1);
    }
    const near = await accepted.promise;
    let sent = 0;
    while (!near.deaf) {
      // What Node holds back itself is sent as well, later on.
      if (client.writableLength < 1_000_000) {
        client.write(Buffer.alloc(100_000, 'x'));
        sent += 100_000;
      }
      await turn();
    }
    return { client, server, sent: () => sent, end: end.promise };
  }

  /** All that the server gets, until its end, or its error as a negative errno. */
  async function drain(server: number): Promise<{ bytes: number; last: number }> {
    for (let bytes = 0; ; ) {
      if (over) throw new Error('given up');
      const got = system.receive(server);
      if (got > 0) bytes += got;
      else if (got === -EAGAIN) await turn();
      else return { bytes, last: got };
    }
  }

  it('is heard again when that goes on, to its last byte and its end', async () => {
    const { client, server, sent, end } = await heldBack();
    client.end(Buffer.alloc(300_000, 'y'));
    expect(await drain(server)).toEqual({ bytes: sent() + 300_000, last: 0 });
    system.close(server);
    expect(await end).toEqual({ kind: 'completed' });
  });

  it('that resets is noticed at once, though nothing of it is read', async () => {
    const { client, server, end } = await heldBack();
    client.resetAndDestroy();
    expect(await end).toMatchObject({ kind: 'reset', by: 'this' });
    expect((await drain(server)).last).toBeLessThan(0);
    system.close(server);
  });
});
