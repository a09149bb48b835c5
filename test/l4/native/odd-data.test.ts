/** What a peer may send beside plain bytes: urgent data (RFC 6093), and descriptors on a unix socket. None of it stalls or cuts the bytes. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Address, SocketAddress } from '../../../src/core/address.js';
import { LinuxKernel } from '../../../src/l4/native/linux-kernel.js';
import { createNativeTransport } from '../../../src/l4/native/transport.js';
import { readAll, readExactly, startServer } from '../../fakes/net.js';

const OPTIONS = { keepaliveMs: 0, bufferSize: 65536 };
const LOOPBACK: Address = { kind: 'ip', host: '127.0.0.1', port: 0 };
const MSG_OOB = 1;
const hasPython = spawnSync('python3', ['-c', 'import socket; socket.send_fds']).status === 0;

const system = new LinuxKernel();
const sendFlags: (fd: number, bytes: Uint8Array, length: number, flags: number) => number = createRequire(
  import.meta.url,
)('koffi')
  .load(null)
  .func('long send(int, void *, size_t, int)');

describe('the native engine', () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  /** The server's side of the next connection that is relayed from the address. */
  async function relay(listenOn: Address) {
    const transport = createNativeTransport({
      onBug(error) {
        throw error;
      },
    });
    const upstream = await startServer();
    const listener = await transport.listen(listenOn, OPTIONS, async (near) => {
      const far = await transport.dial(upstream.address, OPTIONS, new AbortController().signal);
      near.relay(far, { onFirstByte() {}, onPeerFirstByte() {}, onHalfClose() {} });
    });
    cleanups.push(
      () => upstream.close(),
      () => listener.close(),
    );
    return { address: listener.address as SocketAddress, accept: () => upstream.accept() };
  }

  /** A client whose every byte is sent when it says so. */
  async function connect(address: SocketAddress) {
    const fd = system.socket('ipv4');
    system.connect(fd, address);
    const send = async (bytes: Buffer, flags = 0): Promise<void> => {
      for (let at = 0; at < bytes.length; ) {
        const sent = sendFlags(fd, bytes.subarray(at), bytes.length - at, flags);
        if (sent > 0) at += sent;
        else await new Promise((resolve) => setImmediate(resolve));
      }
    };
    let open = true;
    const close = (): void => {
      if (open) system.close(fd);
      open = false;
    };
    cleanups.push(close);
    return { send, end: () => system.shutdownWrite(fd), close };
  }

  // Short messages are read, streams are spliced.
  it.each([10, 100_000, 2_000_000])('carries all bytes around an urgent one behind %i', async (length) => {
    const { address, accept } = await relay(LOOPBACK);
    const client = await connect(address);
    const server = await accept();
    const [before, between, after] = [Buffer.alloc(length, 1), Buffer.alloc(length, 2), Buffer.alloc(50, 3)];
    const all = readAll(server);
    await client.send(before);
    await client.send(Buffer.from('!'), MSG_OOB);
    await client.send(between);
    await client.send(Buffer.from('!'), MSG_OOB);
    await client.send(after);
    client.end();
    server.end();
    const { bytes, end } = await all;
    // An urgent byte that another overtakes before it is read becomes an ordinary one: that is the kernel's doing.
    const plain = Buffer.from(bytes.filter((byte) => byte !== 33));
    expect(plain.equals(Buffer.concat([before, between, after]))).toBe(true);
    expect(end).toBe('end');
  });

  it('does not wait for more where bytes came behind an urgent one while the stream goes on', async () => {
    const { address, accept } = await relay(LOOPBACK);
    const client = await connect(address);
    const server = await accept();
    for (const length of [10, 300_000]) {
      await client.send(Buffer.alloc(length));
      await client.send(Buffer.from('!'), MSG_OOB);
      await client.send(Buffer.from('and this'));
      expect((await readExactly(server, length + 8)).subarray(length).toString()).toBe('and this');
    }
  });

  it.runIf(hasPython)('carries all bytes around descriptors that came with them on a unix socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meshproxy-'));
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
    const { address, accept } = await relay({ kind: 'unix', path: join(folder, 'a.sock') });
    const path = address.kind === 'unix' ? address.path : '';
    const script = `
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(${JSON.stringify(path)})
for n in (5, 60000):
    socket.send_fds(s, [b'a' * n], [0]); s.sendall(b'b' * n); socket.send_fds(s, [b'c' * 5], [0, 1]); s.sendall(b'd' * 5)
print(s.recv(2), flush=True)
`;
    const python = spawn('python3', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    cleanups.push(() => python.kill('SIGKILL'));
    const server = await accept();
    const bytes = await readExactly(server, 2 * (5 + 60_000 + 10));
    expect(bytes.toString().replace(/(.)\1*/g, '$1')).toBe('abcdabcd');
    server.end('ok');
    expect(String((await once(python.stdout, 'data'))[0])).toContain("b'ok'");
  });
});
