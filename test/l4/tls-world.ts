/** Two proxies in a row with TLS between them, on any two engines: client -> dialer == TLS over a wire ==> acceptor -> server. */
import type net from 'node:net';
import type { IpAddress } from '../../src/core/address.js';
import type { TlsCall, TlsPeer, TlsSetup } from '../../src/l4/tls.js';
import type { Connection, RelayEnd, Transport } from '../../src/l4/transport.js';
import { CertificateMaker, type Issued, leafOf } from '../fakes/certificates.js';
import { connectTo, startServer, type TestServer, withResolvers } from '../fakes/net.js';
import { type Direction, startWire, type Wire } from '../fakes/wire.js';

export const OPTIONS = { keepaliveMs: 60_000, bufferSize: 64 * 1024 };
export const LOOPBACK: IpAddress = { kind: 'ip', host: '127.0.0.1', port: 0 };
export const never: AbortSignal = new AbortController().signal;
export const quiet = { onFirstByte() {}, onPeerFirstByte() {}, onHalfClose() {} };

export const ALICE = 'spiffe://example.org/ns/shop/sa/alice';
export const BOB = 'spiffe://example.org/ns/shop/sa/bob';

export interface Hop {
  readonly client: net.Socket;
  readonly server: net.Socket;
  /** How the relay of each proxy ended: of the client's one TLS is `peer`, of the server's `this`. */
  readonly dialed: Promise<RelayEnd>;
  readonly accepted: Promise<RelayEnd>;
  readonly wire: Wire;
  readonly peers: readonly [TlsPeer, TlsPeer];
  /** The four connections, from the client's to the server's. */
  readonly connections: readonly [Connection, Connection, Connection, Connection];
}

/** The two ends of one TLS handshake, before it. */
export interface Ends {
  readonly dialed: Connection;
  readonly accepted: Connection;
  readonly wire: Wire;
}

export type Pass = (chunk: Buffer, direction: Direction) => readonly Buffer[];

export class TlsWorld {
  readonly maker = new CertificateMaker();
  readonly root: Issued;
  readonly issuer: Issued;
  readonly alice: Issued;
  readonly bob: Issued;
  readonly #cleanups: (() => unknown)[] = [];

  constructor() {
    this.root = this.maker.root('example.org root');
    this.issuer = this.maker.intermediate('example.org issuer', this.root);
    this.alice = this.workload(ALICE);
    this.bob = this.workload(BOB);
  }

  workload(identity: string, more: readonly string[] = []): Issued {
    return this.maker.leaf({ name: 'workload', extensions: leafOf(identity, ...more) }, this.issuer);
  }

  server(changes: Partial<TlsSetup> = {}): TlsSetup {
    return { ...this.#setup(this.bob), role: 'server', ...changes };
  }

  client(changes: Partial<TlsSetup> = {}): TlsSetup {
    return { ...this.#setup(this.alice), role: 'client', ...changes };
  }

  #setup(credential: Issued) {
    return {
      credential,
      roots: this.root.certificate,
      minVersion: 'TLSv1.3',
      peerCertificate: 'required',
      alpn: [],
      strict: false,
    } as const;
  }

  later(cleanup: () => unknown): void {
    this.#cleanups.push(cleanup);
  }

  async cleanUp(): Promise<void> {
    for (const cleanup of this.#cleanups.splice(0).reverse()) await cleanup();
  }

  async plainServer(handler?: (socket: net.Socket) => void): Promise<TestServer> {
    const server = await startServer(handler);
    this.later(() => server.close());
    return server;
  }

  /** A listener of `transport`, and the first connection that it accepts. */
  async listen(transport: Transport): Promise<{ address: IpAddress; accepted: Promise<Connection> }> {
    const { promise, resolve } = withResolvers<Connection>();
    const listener = await transport.listen(LOOPBACK, OPTIONS, (connection) => {
      this.later(() => connection.reset());
      resolve(connection);
    });
    this.later(() => listener.close());
    return { address: listener.address as IpAddress, accepted: promise };
  }

  async connect(address: IpAddress): Promise<net.Socket> {
    const client = await connectTo(address);
    this.later(() => client.destroy());
    return client;
  }

  /** A client of a listener of `transport`, and its connection. */
  async accepted(transport: Transport): Promise<{ connection: Connection; client: net.Socket; address: IpAddress }> {
    const { address, accepted } = await this.listen(transport);
    const client = await this.connect(address);
    return { connection: await accepted, client, address };
  }

  async dial(transport: Transport, address: IpAddress): Promise<Connection> {
    const connection = await transport.dial(address, OPTIONS, never);
    this.later(() => connection.reset());
    return connection;
  }

  /** Both ends of a connection, over a wire. */
  async ends(dialer: Transport, acceptor: Transport, pass?: Pass): Promise<Ends> {
    const { address, accepted } = await this.listen(acceptor);
    const wiring = await startWire(address, pass);
    this.later(() => wiring.close());
    const dialed = await this.dial(dialer, wiring.address);
    return { dialed, accepted: await accepted, wire: await wiring.wire };
  }

  /** Both ends, in TLS. */
  async secured(dialer: Transport, acceptor: Transport, pass?: Pass, client = this.client(), server = this.server()) {
    const ends = await this.ends(dialer, acceptor, pass);
    const peers = await Promise.all([
      dialer.secure(ends.dialed, client, {}, never),
      acceptor.secure(ends.accepted, server, {}, never),
    ]);
    return { ...ends, peers };
  }

  /** Two proxies, a client of the one and a server behind the other. */
  async hop(dialer: Transport, acceptor: Transport, pass?: Pass): Promise<Hop> {
    const { dialed, accepted, wire, peers } = await this.secured(dialer, acceptor, pass);
    const near = await this.accepted(dialer);
    const upstream = await this.plainServer();
    const far = await this.dial(acceptor, upstream.address);
    return {
      client: near.client,
      server: await upstream.accept(),
      dialed: near.connection.relay(dialed, quiet),
      accepted: accepted.relay(far, quiet),
      wire,
      peers,
      connections: [near.connection, dialed, accepted, far],
    };
  }
}

/** How a handshake ended on one side. */
export function outcome(transport: Transport, connection: Connection, setup: TlsSetup, call: TlsCall = {}) {
  return transport.secure(connection, setup, call, never).then(
    (peer) => ({ peer, words: '', code: '' }),
    (error: { code: string; message: string }) => ({ peer: undefined, words: error.message, code: error.code }),
  );
}
