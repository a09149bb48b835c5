import type { Socket } from 'node:net';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type Address, formatAddress, type SocketAddress } from '../../src/core/address.js';
import { encodeProxyHeader } from '../../src/l4/proxy-header.js';
import type { ProxyHeader } from '../../src/l4/sniff/proxy-format.js';
import { parseProxyHeader } from '../../src/l4/sniff/proxy-protocol.js';
import { connectTo, readAll, startServer, type TestServer } from '../fakes/net.js';
import { hasHaproxy, startHaproxy } from '../l4/sniff/peers.js';
import { Program } from './program.js';

const CLIENT: SocketAddress = { kind: 'ip', host: '203.0.113.7', port: 5555 };
const DESTINATION: SocketAddress = { kind: 'ip', host: '198.51.100.1', port: 443 };
const CLIENT6: SocketAddress = { kind: 'ip', host: '2001:db8::7', port: 5555 };
const DESTINATION6: SocketAddress = { kind: 'ip', host: '2001:db8::1', port: 443 };

async function startSilent(): Promise<TestServer> {
  const server = await startServer();
  onTestFinished(() => server.close());
  return server;
}

interface Client {
  readonly socket: Socket;
  readonly address: SocketAddress;
}

/** A client that has sent `bytes` to `address`, and ended. */
async function sendTo(address: Address, ...bytes: readonly (Buffer | string)[]): Promise<Client> {
  const socket = await connectTo(address);
  onTestFinished(() => void socket.destroy());
  const { localPort: port = 0 } = socket;
  for (const each of bytes) socket.write(each);
  socket.end();
  return { socket, address: { kind: 'ip', host: '127.0.0.1', port } };
}

/** The header that a server is sent, and the text behind it. */
async function heardBy(server: TestServer): Promise<{ header: ProxyHeader; text: string }> {
  const socket = await server.accept();
  const { bytes } = await readAll(socket);
  socket.end('answer');
  const result = parseProxyHeader(bytes);
  if (result.kind !== 'match') throw new Error(JSON.stringify(result));
  return { header: result.value, text: bytes.toString('latin1', result.length) };
}

describe('--accept-proxy-protocol', () => {
  const HEADERS: readonly ['v1' | 'v2', 'IPv4' | 'IPv6', SocketAddress, SocketAddress][] = [
    ['v1', 'IPv4', CLIENT, DESTINATION],
    ['v1', 'IPv6', CLIENT6, DESTINATION6],
    ['v2', 'IPv4', CLIENT, DESTINATION],
    ['v2', 'IPv6', CLIENT6, DESTINATION6],
  ];

  it.each(HEADERS)(
    'names the client that the header names, and carries only what follows it: %s, %s',
    async (version, _, source, destination) => {
      const upstream = await startSilent();
      const program = Program.inFrontOf([upstream.address], ['--accept-proxy-protocol']);
      const client = await sendTo(await program.loopback(), encodeProxyHeader(version, source, destination), 'body');
      const behind = await upstream.accept();
      expect((await readAll(behind)).bytes.toString()).toBe('body');
      behind.end();
      await readAll(client.socket);
      expect(await program.accessLine()).toMatchObject({
        client: formatAddress(source),
        destination: formatAddress(destination),
        peer: formatAddress(client.address),
        bytesReceived: 4,
        ending: 'completed',
      });
    },
  );

  it('takes a health check by the sender itself (LOCAL) as the sender’s own connection', async () => {
    const upstream = await startSilent();
    const program = Program.inFrontOf([upstream.address], ['--accept-proxy-protocol']);
    const local = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex');
    const client = await sendTo(await program.loopback(), local, 'are you there?');
    const behind = await upstream.accept();
    expect((await readAll(behind)).bytes.toString()).toBe('are you there?');
    behind.end();
    await readAll(client.socket);
    expect((await program.accessLine()).client).toBe(formatAddress(client.address));
  });
});

describe('--send-proxy-protocol', () => {
  it.each([
    ['v1', 1],
    ['v2', 2],
  ] as const)('%s: tells the upstream who the client is and where it had connected to', async (mode, version) => {
    const upstream = await startSilent();
    const program = Program.inFrontOf([upstream.address], ['--send-proxy-protocol', mode]);
    const address = await program.loopback();
    const client = await sendTo(address, 'body');
    expect(await heardBy(upstream)).toMatchObject({
      header: {
        version,
        command: 'proxy',
        source: client.address,
        destination: address,
      },
      text: 'body',
    });
    expect((await readAll(client.socket)).bytes.toString()).toBe('answer');
  });

  it('passes the client on along a chain of two programs, and both log it', async () => {
    const upstream = await startSilent();
    const second = Program.inFrontOf([upstream.address], ['--accept-proxy-protocol', '--send-proxy-protocol', 'v1']);
    const first = Program.inFrontOf([await second.loopback()], ['--send-proxy-protocol', 'v2']);
    const address = await first.loopback();
    const client = await sendTo(address, 'through both');
    expect(await heardBy(upstream)).toMatchObject({
      header: { version: 1, source: client.address, destination: address },
      text: 'through both',
    });
    expect(await readAll(client.socket)).toEqual({ bytes: Buffer.from('answer'), end: 'end' });
    const named = { client: formatAddress(client.address) };
    expect(await first.accessLine()).toMatchObject(named);
    expect(await second.accessLine()).toMatchObject({ ...named, destination: formatAddress(address) });
  });
});

describe('HAProxy', () => {
  beforeEach((context) => context.skip(!hasHaproxy, 'haproxy is not on PATH: apt-get install haproxy'));

  it.each(['send-proxy', 'send-proxy-v2'])('in front, with %s, is understood', async (option) => {
    const upstream = await startSilent();
    const program = Program.inFrontOf([upstream.address], ['--accept-proxy-protocol']);
    const haproxy = await startHaproxy('', option, await program.loopback());
    onTestFinished(() => haproxy.stop());
    const client = await sendTo(haproxy.address, 'by way of HAProxy');
    const behind = await upstream.accept();
    expect((await readAll(behind)).bytes.toString()).toBe('by way of HAProxy');
    behind.end('answer');
    expect((await readAll(client.socket)).bytes.toString()).toBe('answer');
    expect(await program.accessLine()).toMatchObject({
      client: formatAddress(client.address),
      destination: formatAddress(haproxy.address),
    });
  });

  it.each(['v1', 'v2'])('behind, with accept-proxy, understands %s', async (mode) => {
    const upstream = await startSilent();
    const haproxy = await startHaproxy('accept-proxy', 'send-proxy', upstream.address);
    onTestFinished(() => haproxy.stop());
    const program = Program.inFrontOf([haproxy.address], ['--send-proxy-protocol', mode]);
    const address = await program.loopback();
    const client = await sendTo(address, 'body');
    expect(await heardBy(upstream)).toMatchObject({
      header: { version: 1, source: client.address, destination: address },
      text: 'body',
    });
    expect((await readAll(client.socket)).bytes.toString()).toBe('answer');
  });

  it.each(['v1', 'v2'])('behind, with accept-proxy, takes a health check with %s for what it is', async (mode) => {
    const upstream = await startServer((socket) => {
      socket.once('data', (request) =>
        socket.end(`HTTP/1.1 ${request.toString().startsWith('GET /up ') ? 200 : 400} x\r\n\r\n`),
      );
    });
    onTestFinished(() => upstream.close());
    const haproxy = await startHaproxy('accept-proxy', '', upstream.address);
    onTestFinished(() => haproxy.stop());
    const checked = ['--health-check', 'http:/up', '--health-interval', '100ms'];
    const program = Program.inFrontOf([haproxy.address], ['--send-proxy-protocol', mode, ...checked]);
    const count = (result: string) => program.metric('meshproxy_health_checks_total', { result });
    await expect.poll(() => count('passed')).toBeGreaterThan(1);
    expect(await count('failed')).toBe(0);
  });
});
