import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createNativeTransport } from '../../../src/l4/native/transport.js';
import { streamsTransport } from '../../../src/l4/streams/transport.js';
import type { TlsCall, TlsSetup } from '../../../src/l4/tls.js';
import type { Transport } from '../../../src/l4/transport.js';
import { hasOpenssl } from '../../e2e/mesh-certificates.js';
import { readExactly } from '../../fakes/net.js';
import { ALICE, BOB, outcome, quiet, TlsWorld } from '../tls-world.js';

const onBug = (error: unknown): never => {
  throw error;
};
const native = createNativeTransport({ onBug });
/** Another thread of the same proxy, as far as TLS is concerned: it has contexts of its own, and remembers certificates of its own. */
vi.resetModules();
const anew = await import('../../../src/l4/native/transport.js');
const other = anew.createNativeTransport({ onBug });

/** A chain of two certificates of P-256 and a signature; what goes instead of it is a few hundred bytes. */
const LEAST_OF_A_FULL_ONE = 1000;

describe('a TLS session', () => {
  let world: TlsWorld;
  beforeAll(() => {
    if (hasOpenssl) world = new TlsWorld();
  });
  beforeEach((context) => context.skip(!hasOpenssl, 'openssl is not on PATH'));
  afterEach(() => world?.cleanUp());
  afterAll(() => world?.maker.close());

  function setups(ticketKeys = randomBytes(80)): { client: TlsSetup; server: TlsSetup } {
    return { client: world.client({ ticketKeys }), server: world.server({ ticketKeys }) };
  }

  interface Calls {
    readonly client?: TlsCall;
    readonly server?: TlsCall;
    readonly acceptor?: Transport;
    readonly dialer?: Transport;
  }

  /** A connection that carries some bytes and is cut off. Whether the server showed its certificate, and who they were to each other. */
  async function meet(
    { client, server }: { client: TlsSetup; server: TlsSetup },
    { client: asking = {}, server: answering = {}, dialer = native, acceptor = native }: Calls = {},
  ) {
    let down = 0;
    const { dialed, accepted } = await world.ends(dialer, acceptor, (chunk, direction) => {
      if (direction === 'down') down += chunk.length;
      return [chunk];
    });
    const [ofServer, ofClient] = await Promise.all([
      outcome(dialer, dialed, client, { sessionKey: 'bob', ...asking }),
      outcome(acceptor, accepted, server, answering),
    ]);
    const isFull = down > LEAST_OF_A_FULL_ONE;
    if (ofServer.peer && ofClient.peer) {
      const near = await world.accepted(dialer);
      const upstream = await world.plainServer();
      const far = await world.dial(acceptor, upstream.address);
      void near.connection.relay(dialed, quiet);
      void accepted.relay(far, quiet);
      near.client.write('ping');
      const socket = await upstream.accept();
      await readExactly(socket, 4);
      socket.write('pong');
      await readExactly(near.client, 4);
      near.client.resetAndDestroy();
    }
    return { isFull, ofServer, ofClient };
  }

  it('is resumed, and both are known as who they were, by certificate and root', async () => {
    const both = setups();
    const first = await meet(both);
    expect(first.isFull).toBe(true);
    for (let times = 0; times < 3; times += 1) {
      const again = await meet(both);
      expect(again.isFull).toBe(false);
      expect(again.ofServer.peer?.certificate?.subjectAltName).toBe(`URI:${BOB}`);
      expect(again.ofClient.peer?.certificate?.subjectAltName).toBe(`URI:${ALICE}`);
      expect(again.ofServer.peer?.root).toBe(first.ofServer.peer?.root);
      expect(again.ofClient.peer?.root).toBe(first.ofClient.peer?.root);
      expect(first.ofClient.peer?.root).toMatch(/^[0-9a-f]{64}$/);
    }
  });

  it('is resumed by another thread of the server, which has the same ticket keys, once that has verified the client', async () => {
    const both = setups();
    const { ofClient } = await meet(both);
    const first = await meet(both, { acceptor: other });
    expect(first.isFull).toBe(true);
    const again = await meet(both, { acceptor: other });
    expect(again.isFull).toBe(false);
    expect(again.ofClient.peer?.certificate?.subjectAltName).toBe(`URI:${ALICE}`);
    expect(again.ofClient.peer?.root).toBe(ofClient.peer?.root);
    expect((await meet(both)).isFull).toBe(false);
  });

  it('is not resumed within another version of either identity, nor with another server', async () => {
    const [before, after] = [setups(), setups()];
    await meet(before);
    expect((await meet({ client: before.client, server: after.server })).isFull).toBe(true);
    expect((await meet({ client: after.client, server: before.server })).isFull).toBe(true);
    expect((await meet(before, { client: { sessionKey: 'carol' } })).isFull).toBe(true);
    // What is remembered of a server is what was agreed on with it last.
    expect((await meet(before)).isFull).toBe(true);
    expect((await meet(before)).isFull).toBe(false);
  });

  it('is not resumed with a server that would not be wanted today, who is refused in full, with words', async () => {
    const both = setups();
    await meet(both);
    const { ofServer } = await meet(both, { client: { judge: () => 'it is revoked since' } });
    expect(ofServer.words).toContain('it is revoked since');
    expect((await meet(both)).isFull).toBe(true);
  });

  it('is not resumed with a client that would not be let in today, who is refused in full, with words', async () => {
    const both = setups();
    await meet(both);
    const { ofClient } = await meet(both, { server: { judge: () => 'it is revoked since' } });
    expect(ofClient.words).toContain('it is revoked since');
    expect(ofClient.peer).toBeUndefined();
  });

  it('is not resumed where one side resumes none', async () => {
    const both = setups();
    const without = { client: world.client(), server: world.server() };
    await meet({ client: both.client, server: without.server });
    expect((await meet({ client: both.client, server: without.server })).isFull).toBe(true);
    for (let times = 0; times < 2; times += 1) {
      expect((await meet({ client: without.client, server: both.server })).isFull).toBe(true);
      expect((await meet(both, { dialer: streamsTransport })).isFull).toBe(true);
      expect((await meet(both, { acceptor: streamsTransport })).isFull).toBe(true);
    }
  });
});
