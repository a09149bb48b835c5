import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { IpAddress } from '../../../src/core/address.js';
import { adopt } from '../../../src/l4/native/adopt.js';
import { NativeConnection } from '../../../src/l4/native/connection.js';
import { createNativeTransport } from '../../../src/l4/native/transport.js';
import type { Connection } from '../../../src/l4/transport.js';
import { connectTo, readAll, readExactly, withResolvers } from '../../fakes/net.js';

const OPTIONS = { keepaliveMs: 0, bufferSize: 65536 };
const LOOPBACK: IpAddress = { kind: 'ip', host: '127.0.0.1', port: 0 };
const never = new AbortController().signal;

describe('a native connection handed over to Node', () => {
  const transport = createNativeTransport({
    onBug(error) {
      throw error;
    },
  });
  const folder = mkdtempSync(join(tmpdir(), 'meshproxy-'));
  let credentials: { key: Buffer; cert: Buffer };
  const cleanups: (() => unknown)[] = [];

  beforeAll(() => {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    const files = ['-keyout', key, '-out', cert, '-subj', '/CN=test'];
    execFileSync('openssl', ['req', '-x509', ...curve, ...files], { stdio: 'ignore' });
    credentials = { key: readFileSync(key), cert: readFileSync(cert) };
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  async function listen(): Promise<{ address: IpAddress; accepted: Promise<NativeConnection> }> {
    const { promise, resolve } = withResolvers<Connection>();
    const listener = await transport.listen(LOOPBACK, OPTIONS, resolve);
    cleanups.push(() => listener.close());
    const accepted = promise.then((connection) => {
      if (connection instanceof NativeConnection) return connection;
      throw new Error('not of this engine');
    });
    return { address: listener.address as IpAddress, accepted };
  }

  it('reads first what was peeked and not consumed, and then what comes', async () => {
    const { address, accepted } = await listen();
    const client = await connectTo(address);
    client.write('HEADER body ');
    const connection = await accepted;
    await connection.peek(12, never);
    connection.consume(7);
    const socket = adopt(connection);
    expect(connection.closed).toBe(true);
    client.end('and more');
    expect(await readAll(socket)).toEqual({ bytes: Buffer.from('body and more'), end: 'end' });
    socket.end('an answer after the end');
    expect(await readAll(client)).toEqual({ bytes: Buffer.from('an answer after the end'), end: 'end' });
  });

  it('sends first what the socket had not taken yet', async () => {
    const { address, accepted } = await listen();
    const client = await connectTo(address);
    const connection = await accepted;
    const much = Buffer.alloc(16 * 1024 * 1024, 'abcdefg');
    connection.write(much);
    expect(connection.unsent.length).toBeGreaterThan(0);
    const socket = adopt(connection);
    socket.end('the end');
    const { bytes, end } = await readAll(client);
    expect(bytes.equals(Buffer.concat([much, Buffer.from('the end')]))).toBe(true);
    expect(end).toBe('end');
    socket.destroy();
  });

  it.each(['at once', 'after its first bytes were peeked'])('carries TLS (%s)', async (when) => {
    const { address, accepted } = await listen();
    const secure = tls.connect({
      port: address.port,
      host: address.host,
      ca: credentials.cert,
      checkServerIdentity: () => undefined,
    });
    cleanups.push(() => secure.destroy());
    const connection = await accepted;
    // The first byte of a TLS record that begins a handshake (RFC 8446 section 5.1).
    if (when !== 'at once') expect((await connection.peek(100, never))[0]).toBe(22);
    const server = new tls.TLSSocket(adopt(connection), { isServer: true, ...credentials });
    cleanups.push(() => server.destroy());
    await once(secure, 'secureConnect');
    expect(secure.authorized).toBe(true);
    secure.write('question');
    expect((await readExactly(server, 8)).toString()).toBe('question');
    const answer = Buffer.alloc(1_000_003, 'answer');
    server.end(answer);
    expect((await readAll(secure)).bytes.equals(answer)).toBe(true);
  });

  it('throws where the client has gone', async () => {
    const { address, accepted } = await listen();
    const client = await connectTo(address);
    const connection = await accepted;
    const gone = connection.peek(1, never).catch(() => {});
    client.resetAndDestroy();
    await gone;
    expect(() => adopt(connection)).toThrow(/ECONNRESET/);
  });
});
