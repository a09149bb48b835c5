/** What a peer may do to an established TLS 1.3 connection, and no library does. */
import { randomBytes } from 'node:crypto';
import type net from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Connection, RelayEnd, Transport } from '../../src/l4/transport.js';
import { fill, readAll, readExactly } from '../fakes/net.js';
import {
  ALERT,
  APPLICATION_DATA,
  CLOSE_NOTIFY,
  type Forger,
  forgingClient,
  forgingServer,
  KEY_UPDATE_ASKED,
} from '../fakes/tls13.js';
import { never, outcome, quiet, TlsWorld } from './tls-world.js';

/** Their records fill the largest read of the native engine several times. */
const MANY = 6000;
/** Some megabytes: more than a socket takes at once. */
const MORE_THAN_FITS = 16 * 1024 * 1024;

export interface Forged extends Forger {
  readonly connection: Connection;
}

/** A connection of `transport`, and its peer that forges. */
export async function forge(world: TlsWorld, transport: Transport, role: 'client' | 'server'): Promise<Forged> {
  const roots = world.root.certificate;
  if (role === 'server') {
    const { address, accepted } = await world.listen(transport);
    const secured = accepted.then((connection) => outcome(transport, connection, world.server()));
    const forger = await forgingClient(address, { credential: world.alice, roots });
    world.later(() => forger.close());
    expect((await secured).words).toBe('');
    return { ...forger, connection: await accepted };
  }
  const { address, forger } = await forgingServer({ credential: world.bob, roots });
  const connection = await world.dial(transport, address);
  expect((await outcome(transport, connection, world.client())).words).toBe('');
  const there = await forger;
  world.later(() => there.close());
  return { ...there, connection };
}

export interface ForgedHop extends Forged {
  /** Behind the proxy. */
  readonly server: net.Socket;
  readonly end: Promise<RelayEnd>;
}

export async function forgedHop(world: TlsWorld, transport: Transport, role: 'client' | 'server'): Promise<ForgedHop> {
  const forged = await forge(world, transport, role);
  const upstream = await world.plainServer();
  const far = await world.dial(transport, upstream.address);
  const end = forged.connection.relay(far, quiet);
  return { ...forged, server: await upstream.accept(), end };
}

export function describeForgedTls(transport: Transport): void {
  describe.each(['server', 'client'] as const)(`TLS of ${transport.engine} as a %s, whose peer`, (role) => {
    let world: TlsWorld;
    beforeAll(() => {
      world = new TlsWorld();
    });
    afterEach(() => world.cleanUp());
    afterAll(() => world.maker.close());

    it('changes its keys thousands of times in a row, loses nothing (relay)', async () => {
      const { records, wire, server, end, socket } = await forgedHop(world, transport, role);
      const updates = Array.from({ length: MANY }, () => records.updateKeys());
      wire.write(Buffer.concat([...updates, records.seal(APPLICATION_DATA, Buffer.from('behind them'))]));
      expect((await readExactly(server, 11)).toString()).toBe('behind them');
      wire.write(Buffer.concat([records.updateKeys(), records.seal(ALERT, CLOSE_NOTIFY)]));
      expect((await readAll(server)).end).toBe('end');
      server.end('answer');
      expect((await readAll(socket)).bytes.toString()).toBe('answer');
      expect(await end).toEqual({ kind: 'completed' });
    });

    it('changes its keys thousands of times in a row, loses nothing (peek)', async () => {
      const { records, wire, connection } = await forge(world, transport, role);
      const parts = Array.from({ length: MANY }, (_, index) =>
        index % 1000 === 0 ? records.seal(APPLICATION_DATA, Buffer.from('.')) : records.updateKeys(),
      );
      wire.write(Buffer.concat(parts));
      expect(Buffer.from(await connection.peek(MANY / 1000, never)).toString()).toBe('......');
    });

    it('asks for new keys while it takes nothing, loses nothing', async () => {
      const { records, wire, server, socket, end } = await forgedHop(world, transport, role);
      const sent = randomBytes(MORE_THAN_FITS);
      server.write(sent);
      await fill(server, Buffer.alloc(0));
      for (let count = 0; count < 100; count += 1) {
        wire.write(records.updateKeys(KEY_UPDATE_ASKED));
        wire.write(records.seal(APPLICATION_DATA, Buffer.of(count)));
      }
      expect([...(await readExactly(server, 100))]).toEqual(Array.from({ length: 100 }, (_, index) => index));
      server.end();
      const { bytes } = await readAll(socket);
      expect(bytes.equals(sent)).toBe(true);
      wire.write(records.seal(ALERT, CLOSE_NOTIFY));
      expect((await readAll(server)).end).toBe('end');
      expect(await end).toEqual({ kind: 'completed' });
    });
  });
}
