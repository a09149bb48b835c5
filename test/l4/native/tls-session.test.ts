import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EAGAIN, EINTR, RDHUP, type Relaying } from '../../../src/l4/native/kernel.js';
import { pin } from '../../../src/l4/native/libc.js';
import { type OpenSsl, SSL_ERROR_WANT_READ } from '../../../src/l4/native/openssl.js';
import type { TlsContext } from '../../../src/l4/native/tls-context.js';
import { TlsSession } from '../../../src/l4/native/tls-session.js';
import { createNativeTransport } from '../../../src/l4/native/transport.js';
import { fill } from '../../fakes/net.js';
import { KEY_UPDATE_ASKED } from '../../fakes/tls13.js';
import { forgedHop } from '../tls-forged.conformance.js';
import { TlsWorld } from '../tls-world.js';

/** OpenSSL that takes in all that it is given, and has nothing for anybody. */
const greedy = new Proxy(
  {},
  {
    get: (_, name) => {
      if (name === 'SSL_read' || name === 'SSL_do_handshake') return () => -1;
      if (name === 'SSL_new') return () => 1;
      return name === 'SSL_get_error' ? () => SSL_ERROR_WANT_READ : () => 0;
    },
  },
) as OpenSsl;

/** A session whose socket is never read to the end, each read bringing `size` bytes. */
function flooded(size: number): { session: TlsSession; reads: () => number } {
  let reads = 0;
  const receiveSealed = (): number => {
    reads += 1;
    return size;
  };
  const kernel = { received: pin(100).bytes, sealed: pin(64 * 1024).bytes, receiveSealed } as unknown as Relaying;
  const context = { ssl: greedy, pointer: 1, setup: { role: 'server' } } as TlsContext;
  return { session: new TlsSession(kernel, 3, context, {}, new Uint8Array(0), false), reads: () => reads };
}

describe('a session whose peer never stops sending, and nothing that is for anybody', () => {
  it.each([64 * 1024, 1000, 27])('lets others have their turn, and goes on behind them (%i bytes a read)', (size) => {
    const { session, reads } = flooded(size);
    for (let turn = 1; turn < 5; turn += 1) {
      const before = reads();
      // A read that is not filled has emptied the socket, until more arrives.
      session.noteArrival(RDHUP);
      expect(session.receive()).toBe(-EINTR);
      expect(session.costly).toBe(true);
      expect((reads() - before) * size).toBeLessThan(100_000);
    }
  });

  it('waits for an arrival where a read has emptied the socket', () => {
    const { session } = flooded(1000);
    expect(session.receive()).toBe(-EAGAIN);
    expect(session.costly).toBe(false);
  });

  it('lets others have their turn in the middle of a handshake too', () => {
    const { session, reads } = flooded(64 * 1024);
    expect([session.shakeHands(), session.shakeHands()]).toEqual(['unfinished', 'unfinished']);
    expect(reads()).toBeLessThan(100);
  });
});

describe('a peer that asks for new keys again and again, and reads nothing', () => {
  let world: TlsWorld;
  beforeAll(() => {
    world = new TlsWorld();
  });
  afterEach(() => world.cleanUp());
  afterAll(() => world.maker.close());

  it('is cut off, with words', async () => {
    const native = createNativeTransport({
      onBug(error) {
        throw error;
      },
    });
    const { records, wire, server, end } = await forgedHop(world, native, 'server');
    await fill(server, Buffer.alloc(256 * 1024));
    const updates = Array.from({ length: 8000 }, () => records.updateKeys(KEY_UPDATE_ASKED));
    wire.write(Buffer.concat(updates));
    expect(await end).toMatchObject({
      kind: 'tls',
      by: 'this',
      cause: { message: 'TLS: it asks for new keys again and again, and reads nothing' },
    });
  });
});
