/**
 * A peer that does to TLS 1.3 what no library lets anybody do: its handshake is Node's, and behind that it seals records of
 * its own making (RFC 8446), with the keys that Node tells (`SSLKEYLOGFILE`). What is wrong with them is found only once they
 * are opened.
 */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import type net from 'node:net';
import tls from 'node:tls';
import type { IpAddress } from '../../src/core/address.js';
import type { TlsCredential } from '../../src/l4/tls.js';
import { startServer, withResolvers } from './net.js';
import { startWire } from './wire.js';

export const ALERT = 21;
export const HANDSHAKE = 22;
export const APPLICATION_DATA = 23;
/** `update_not_requested` and `update_requested` (section 4.6.3). */
export const KEY_UPDATE = Buffer.from([24, 0, 0, 1, 0]);
export const KEY_UPDATE_ASKED = Buffer.from([24, 0, 0, 1, 1]);
export const CLOSE_NOTIFY = Buffer.from([1, 0]);

const CIPHER = 'TLS_AES_128_GCM_SHA256';
const KEY_BYTES = 16;
const NONCE_BYTES = 12;
const SECRET_BYTES = 32;
const TAG_BYTES = 16;
const HEADER_BYTES = 5;
/** That a server of OpenSSL's sends by itself, behind the handshake. */
const TICKETS = 2;

/** Section 7.1. One block of HMAC-SHA-256 is as much as is ever asked for here. */
function expandLabel(secret: Uint8Array, label: string, length: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.from([0, length, name.length]), name, Buffer.from([0])]);
  return createHmac('sha256', secret)
    .update(Buffer.concat([info, Buffer.of(1)]))
    .digest()
    .subarray(0, length);
}

/** The records of one direction behind the handshake. */
export class Records {
  #secret: Buffer;
  #sequence = 0;

  /** @param secret `CLIENT_TRAFFIC_SECRET_0` or `SERVER_TRAFFIC_SECRET_0` */
  constructor(secret: Buffer) {
    this.#secret = secret;
  }

  seal(type: number, content: Uint8Array): Buffer {
    const inner = Buffer.concat([content, Buffer.of(type)]);
    const header = Buffer.from([APPLICATION_DATA, 3, 3, 0, 0]);
    header.writeUInt16BE(inner.length + TAG_BYTES, 3);
    const cipher = createCipheriv('aes-128-gcm', this.#key, this.#nonce).setAAD(header);
    const sealed = Buffer.concat([cipher.update(inner), cipher.final(), cipher.getAuthTag()]);
    this.#sequence += 1;
    return Buffer.concat([header, sealed]);
  }

  /** A record with a KeyUpdate; what is sealed after it is sealed with the next keys. */
  updateKeys(message: Uint8Array = KEY_UPDATE): Buffer {
    const record = this.seal(HANDSHAKE, message);
    this.#secret = expandLabel(this.#secret, 'traffic upd', SECRET_BYTES);
    this.#sequence = 0;
    return record;
  }

  /** What is sealed next comes behind `stream`, in which some records were sealed with these keys: how many. */
  goOnBehind(stream: Buffer): number {
    this.#sequence = 0;
    for (let at = 0; at + HEADER_BYTES <= stream.length; ) {
      const end = at + HEADER_BYTES + stream.readUInt16BE(at + 3);
      if (this.#opens(stream.subarray(at, end))) this.#sequence += 1;
      at = end;
    }
    return this.#sequence;
  }

  #opens(record: Buffer): boolean {
    if (record.length < HEADER_BYTES + TAG_BYTES) return false;
    const decipher = createDecipheriv('aes-128-gcm', this.#key, this.#nonce).setAAD(record.subarray(0, HEADER_BYTES));
    decipher.setAuthTag(record.subarray(-TAG_BYTES));
    decipher.update(record.subarray(HEADER_BYTES, -TAG_BYTES));
    try {
      decipher.final();
      return true;
    } catch {
      return false;
    }
  }

  get #key(): Buffer {
    return expandLabel(this.#secret, 'key', KEY_BYTES);
  }

  /** Section 5.3. */
  get #nonce(): Buffer {
    const nonce = expandLabel(this.#secret, 'iv', NONCE_BYTES);
    nonce.writeUInt32BE((nonce.readUInt32BE(NONCE_BYTES - 4) ^ this.#sequence) >>> 0, NONCE_BYTES - 4);
    return nonce;
  }
}

export interface Forger {
  /** What it sends. */
  readonly records: Records;
  /** Straight to the peer: for what was sealed. */
  readonly wire: net.Socket;
  /** What the peer sends is read here. Nothing is to be written. */
  readonly socket: tls.TLSSocket;
  close(): void;
}

export interface ForgerOptions {
  readonly credential: TlsCredential;
  readonly roots: string;
}

function common({ credential, roots }: ForgerOptions): tls.SecureContextOptions {
  return { cert: credential.chain, key: credential.key, ca: roots, ciphers: CIPHER, minVersion: 'TLSv1.3' };
}

/** From a line of a key log. */
function secretIn(line: Buffer, label: string): Buffer | undefined {
  const [name, , secret] = line.toString().trim().split(' ');
  return name === label && secret !== undefined ? Buffer.from(secret, 'hex') : undefined;
}

/** A client of the server at `target`, once the handshake is over on its side. */
export async function forgingClient(target: IpAddress, options: ForgerOptions): Promise<Forger> {
  const wiring = await startWire(target);
  const { host, port } = wiring.address;
  const socket = tls.connect({ ...common(options), host, port, checkServerIdentity: () => undefined });
  socket.on('error', () => {});
  const { promise, resolve } = withResolvers<Buffer>();
  socket.on('keylog', (line: Buffer) => {
    const secret = secretIn(line, 'CLIENT_TRAFFIC_SECRET_0');
    if (secret) resolve(secret);
  });
  const { promise: shaken, resolve: done } = withResolvers<void>();
  socket.once('secureConnect', done);
  const records = new Records(await promise);
  await shaken;
  const close = (): void => {
    socket.destroy();
    wiring.close();
  };
  return { records, wire: (await wiring.wire).target, socket: socket.pause(), close };
}

/** A server for the next client of `address`; `forger` is there once their handshake is over. */
export async function forgingServer(options: ForgerOptions): Promise<{ address: IpAddress; forger: Promise<Forger> }> {
  const { promise: secret, resolve: told } = withResolvers<Buffer>();
  const { promise: secured, resolve: done } = withResolvers<tls.TLSSocket>();
  const server = tls.createServer({ ...common(options), requestCert: true, allowHalfOpen: true });
  server.on('keylog', (line: Buffer) => {
    const found = secretIn(line, 'SERVER_TRAFFIC_SECRET_0');
    if (found) told(found);
  });
  server.on('secureConnection', (socket) => done(socket.pause().on('error', () => {})));
  const { address, ...raw } = await startServer((socket) => void server.emit('connection', socket));
  const sent: Buffer[] = [];
  const wiring = await startWire(address, (chunk, direction) => {
    if (direction === 'down') sent.push(Buffer.from(chunk));
    return [chunk];
  });
  const close = (): void => {
    raw.close();
    wiring.close();
  };
  const start = async (): Promise<Forger> => {
    const records = new Records(await secret);
    const socket = await secured;
    const { client } = await wiring.wire;
    while (records.goOnBehind(Buffer.concat(sent)) < TICKETS) await new Promise((resolve) => setImmediate(resolve));
    return { records, wire: client, socket, close };
  };
  return { address: wiring.address, forger: start() };
}
