import { createRequire } from 'node:module';
import { afterEach, describe, expect, it } from 'vitest';
import type { IpAddress } from '../../../src/core/address.js';
import { bindShared } from '../../../src/l4/native/bind.js';
import { LinuxKernel } from '../../../src/l4/native/linux-kernel.js';
import { createNativeTransport } from '../../../src/l4/native/transport.js';
import type { Connection, RelayEnd } from '../../../src/l4/transport.js';
import { connectTo, readAll, withResolvers } from '../../fakes/net.js';

const OPTIONS = { keepaliveMs: 0, bufferSize: 65536 };
/** Bare sockets. */
const system = new LinuxKernel();
const MSG_PEEK = 2;
const look: (fd: number, bytes: Uint8Array, length: number, flags: number) => number = createRequire(import.meta.url)(
  'koffi',
)
  .load(null)
  .func('long recv(int, void *, size_t, int)');
const LOOPBACK: IpAddress = { kind: 'ip', host: '127.0.0.1', port: 0 };

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the native engine, where a side breaks', () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  /** A client of the engine, and the server's bare socket behind it: Node's reads ahead. */
  async function relayed(spares = false) {
    const transport = createNativeTransport({
      onBug(error) {
        throw error;
      },
    });
    const upstream = await bindShared(LOOPBACK, OPTIONS, 1);
    const end = withResolvers<RelayEnd>();
    const near = withResolvers<Connection>();
    const listener = await transport.listen(LOOPBACK, OPTIONS, async (accepted) => {
      near.resolve(accepted);
      const far = await transport.dial(upstream.address as IpAddress, OPTIONS, new AbortController().signal);
      end.resolve(await accepted.relay(far, { spares, onFirstByte() {}, onPeerFirstByte() {}, onHalfClose() {} }));
    });
    const client = await connectTo(listener.address);
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
    return { client, server, near: await near.promise, end: end.promise };
  }

  // A server that turns a request down half read: the kernel sends its answer, and a reset for what it has not read.
  it.each([20, 100_000])('hands an answer of %i bytes on that came right before the reset', async (length) => {
    for (let round = 0; round < 10; round += 1) {
      const { client, server, end } = await relayed();
      client.write('a request');
      while (look(server, Buffer.alloc(1), 1, MSG_PEEK) <= 0) await turn();
      expect(system.send(server, Buffer.alloc(length, 'no'))).toBe(length);
      system.close(server);
      const { bytes, end: how } = await readAll(client);
      expect(how).toBe('reset');
      expect(await end).toMatchObject({ kind: 'reset', by: 'peer' });
      expect(bytes.length).toBe(length);
    }
  });

  it('keeps what was read of a client whose server turns out to be broken by the write', async () => {
    const { client, server, near, end } = await relayed(true);
    // One after the other, and no turn of the engine between: it hears of the client first.
    client.write('a request');
    system.abort(server);
    expect(await end).toMatchObject({ kind: 'spared' });
    expect(near.bytesRead).toBe(9);
    expect(Buffer.from(await near.peek(9, new AbortController().signal)).toString()).toBe('a request');
    near.reset();
  });
});
