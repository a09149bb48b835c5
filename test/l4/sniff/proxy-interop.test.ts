import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { formatAddress, type SocketAddress } from '../../../src/core/address.js';
import { encodeProxyHeader, type ProxyHeaderExtras } from '../../../src/l4/proxy-header.js';
import { TLV } from '../../../src/l4/sniff/proxy-format.js';
import { parseProxyHeader } from '../../../src/l4/sniff/proxy-protocol.js';
import { connectTo, readAll, startServer, type TestServer } from '../../fakes/net.js';
import { hasHaproxy, hasNginx, type Peer, startHaproxy, startNginx } from './peers.js';

const CLIENT: SocketAddress = { kind: 'ip', host: '192.0.2.1', port: 1234 };
const SERVER: SocketAddress = { kind: 'ip', host: '192.0.2.2', port: 443 };
const CLIENT6: SocketAddress = { kind: 'ip', host: '2001:db8::1', port: 65535 };
const SERVER6: SocketAddress = { kind: 'ip', host: '2001:db8::2', port: 1 };
const UNIX: SocketAddress = { kind: 'unix', path: '/run/app.sock' };

const tlvs = [
  { type: TLV.authority, value: new Uint8Array(Buffer.from('example.org')) },
  { type: TLV.uniqueId, value: new Uint8Array(Buffer.from('id-1')) },
];

let upstream: TestServer;
let peer: Peer | undefined;

beforeEach(async () => {
  upstream = await startServer();
});

afterEach(async () => {
  await peer?.stop();
  peer = undefined;
  upstream.close();
});

/** What the upstream is sent, header and payload apart, when a client of the peer sends `bytes`. */
async function through(peer: Peer, bytes: Buffer) {
  const client = await connectTo(peer.address);
  client.end(bytes);
  const received = await readAll(await accepted(peer));
  client.destroy();
  const header = parseProxyHeader(received.bytes);
  if (header.kind !== 'match') throw new Error(JSON.stringify(header));
  return { header: header.value, payload: received.bytes.subarray(header.length).toString() };
}

function accepted(peer: Peer): Promise<Socket> {
  return Promise.race([upstream.accept(), peer.died]);
}

function headed(version: 'v1' | 'v2', source?: SocketAddress, destination?: SocketAddress, extras?: ProxyHeaderExtras) {
  return Buffer.concat([encodeProxyHeader(version, source, destination, extras), Buffer.from('hello')]);
}

/** Headers that every receiver must take, and what it learns from them. */
const UNDERSTOOD: [string, Buffer, SocketAddress, SocketAddress][] = [
  ['v1 over IPv4', headed('v1', CLIENT, SERVER), CLIENT, SERVER],
  ['v1 over IPv6', headed('v1', CLIENT6, SERVER6), CLIENT6, SERVER6],
  ['v1 with mixed addresses', headed('v1', CLIENT, SERVER6), { ...CLIENT, host: '::ffff:192.0.2.1' }, SERVER6],
  ['v2 over IPv4', headed('v2', CLIENT, SERVER), CLIENT, SERVER],
  ['v2 over IPv6', headed('v2', CLIENT6, SERVER6), CLIENT6, SERVER6],
  ['v2 with mixed addresses', headed('v2', CLIENT, SERVER6), { ...CLIENT, host: '::ffff:192.0.2.1' }, SERVER6],
  ['v2 with a checksum', headed('v2', CLIENT6, SERVER6, { checksum: true }), CLIENT6, SERVER6],
  ['v2 with TLVs and a checksum', headed('v2', CLIENT, SERVER, { tlvs, checksum: true }), CLIENT, SERVER],
];

/** Headers that say nothing of the addresses: the connection itself counts. */
const UNKNOWN: [string, Buffer][] = [
  ['v1 of an unknown client', headed('v1', undefined, SERVER)],
  ['v1 of a unix client', headed('v1', UNIX, UNIX)],
  ['v2 of an unknown client', headed('v2', undefined, SERVER)],
  ['v2 of an unnamed unix client', headed('v2', undefined, UNIX)],
];

describe('HAProxy', () => {
  beforeEach((context) => context.skip(!hasHaproxy, 'haproxy is not on PATH: apt-get install haproxy'));

  test.each(['send-proxy', 'send-proxy-v2'])('is understood when it sends with %s', async (option) => {
    peer = await startHaproxy('', option, upstream.address);
    const client = await connectTo(peer.address);
    client.end('hello');
    const { bytes } = await readAll(await accepted(peer));
    const result = parseProxyHeader(bytes);
    expect(result).toMatchObject({
      kind: 'match',
      length: bytes.length - 'hello'.length,
      value: {
        command: 'proxy',
        source: { kind: 'ip', host: '127.0.0.1', port: client.localPort },
        destination: peer.address,
        tlvs: [],
      },
    });
    client.destroy();
  });

  test.each(UNDERSTOOD)('understands %s', async (_, bytes, source, destination) => {
    peer = await startHaproxy('accept-proxy', 'send-proxy', upstream.address);
    const { header, payload } = await through(peer, bytes);
    expect(header).toMatchObject({ version: 1, source, destination });
    expect(payload).toBe('hello');
  });

  test.each(UNKNOWN)('accepts %s', async (_, bytes) => {
    peer = await startHaproxy('accept-proxy', 'send-proxy', upstream.address);
    const { header, payload } = await through(peer, bytes);
    expect(header).toMatchObject({ version: 1, source: { host: '127.0.0.1' }, destination: peer.address });
    expect(payload).toBe('hello');
  });

  it('passes TLVs and a checksum of its own on from our header to our parser', async () => {
    const options = 'send-proxy-v2 proxy-v2-options crc32c,unique-id,authority';
    peer = await startHaproxy('accept-proxy', options, upstream.address);
    const { header, payload } = await through(peer, headed('v2', CLIENT6, SERVER6, { tlvs, checksum: true }));
    expect(header).toEqual({ version: 2, command: 'proxy', source: CLIENT6, destination: SERVER6, tlvs });
    expect(payload).toBe('hello');
  });

  it('refuses our header once a bit of it is wrong', async () => {
    peer = await startHaproxy('accept-proxy', 'send-proxy', upstream.address);
    const bytes = headed('v2', CLIENT, SERVER, { checksum: true });
    bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20);
    const client = await connectTo(peer.address);
    client.write(bytes);
    expect((await readAll(client)).bytes).toHaveLength(0);
    expect(upstream.sockets).toHaveLength(0);
  });
});

describe('nginx', () => {
  beforeEach((context) =>
    context.skip(!hasNginx, 'no nginx with its stream module on PATH: apt-get install nginx libnginx-mod-stream'),
  );

  it('is understood when it sends', async () => {
    peer = await startNginx('', `proxy_pass ${formatAddress(upstream.address)}; proxy_protocol on`);
    const client = await connectTo(peer.address);
    client.end('hello');
    const { bytes } = await readAll(await accepted(peer));
    const source = { kind: 'ip', host: '127.0.0.1', port: client.localPort };
    expect(parseProxyHeader(bytes)).toMatchObject({ length: bytes.length - 'hello'.length, value: { source } });
    client.destroy();
  });

  /** nginx tells what it has understood of the header. */
  async function understood(bytes: Buffer): Promise<string> {
    const words = ['addr', 'port', 'server_addr', 'server_port'].map((name) => `$proxy_protocol_${name}`);
    peer = await startNginx('proxy_protocol', `return "${words.join(' ')}"`);
    const client = await connectTo(peer.address);
    client.write(bytes.subarray(0, -'hello'.length));
    return (await Promise.race([readAll(client), peer.died])).bytes.toString();
  }

  test.each(UNDERSTOOD)('understands %s', async (_, bytes, source, destination) => {
    const words = [source, destination].flatMap((address) =>
      address.kind === 'ip' ? [address.host, address.port] : [],
    );
    expect(await understood(bytes)).toBe(words.join(' '));
  });

  test.each(UNKNOWN)('accepts %s', async (_, bytes) => {
    expect(await understood(bytes)).toBe('   ');
  });
});
