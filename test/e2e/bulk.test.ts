import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connectTo, push, startServer, startUnixServer } from '../fakes/net.js';
import { Program } from './program.js';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** `bytes` in blocks of a mebibyte, no two of which are the same. */
function* blocks(bytes: number, seed: number): Generator<Buffer> {
  for (let at = 0; at < bytes; at += MIB) {
    const block = Buffer.alloc(Math.min(MIB, bytes - at), seed);
    block.writeDoubleLE(at);
    yield block;
  }
}

/** Sends as fast as it is taken, and ends. Resolves with the checksum. */
async function send(socket: Socket, bytes: number, seed: number): Promise<string> {
  const hash = createHash('sha1');
  for (const block of blocks(bytes, seed)) {
    hash.update(block);
    if (!socket.write(block)) await once(socket, 'drain');
  }
  socket.end();
  return hash.digest('hex');
}

async function receive(socket: Socket): Promise<{ bytes: number; checksum: string }> {
  const hash = createHash('sha1');
  let bytes = 0;
  socket.on('data', (chunk) => {
    hash.update(chunk);
    bytes += chunk.length;
  });
  await once(socket.resume(), 'end');
  return { bytes, checksum: hash.digest('hex') };
}

/**
 * Looks at the resident memory of a program until the test ends; tells how much it has grown at most. One that grows
 * past `limit` is killed, before it takes the machine with it: then what the test waits for is refused.
 */
function watchGrowth(program: Program, limit: number): () => number {
  const before = program.usage().resident;
  let most = 0;
  const look = (): void => {
    most = Math.max(most, program.usage().resident - before);
    if (most > limit) program.kill('SIGKILL');
  };
  const timer = setInterval(look, 20);
  onTestFinished(() => clearInterval(timer));
  void program.exit().then(() => clearInterval(timer));
  return () => most;
}

describe('a gigabyte each way at once', () => {
  /** A garbage collector's sawtooth and what the allocator keeps, and nothing that grows with what is carried. */
  const GROWTH = 128 * MIB;

  it('arrives whole, through a proxy that does not grow', async () => {
    const upstream = await startServer();
    onTestFinished(() => upstream.close());
    const program = Program.inFrontOf([upstream.address]);
    const client = await connectTo(await program.loopback());
    const server = await upstream.accept();
    const growth = watchGrowth(program, GROWTH);
    const [up, down, atServer, atClient] = await Promise.all([
      send(client, GIB, 1),
      send(server, GIB, 2),
      receive(server),
      receive(client),
    ]);
    expect(atServer).toEqual({ bytes: GIB, checksum: up });
    expect(atClient).toEqual({ bytes: GIB, checksum: down });
    expect(growth()).toBeLessThan(GROWTH);
    const { ending, bytesReceived, bytesSent } = await program.accessLine();
    expect({ ending, bytesReceived, bytesSent }).toEqual({ ending: 'completed', bytesReceived: GIB, bytesSent: GIB });
  });
});

describe('readers that never read', () => {
  /** Per connection: the bound that the transport conformance suite has, in units of `limits.bufferSize`. */
  const PER_CONNECTION = 8 * 64 * 1024;
  /** What the garbage collector and the allocator have beside that. */
  const SAWTOOTH = 96 * MIB;

  // The kernel holds 8 MB for each TCP connection that is full on loopback, and 200 such would take from other tests
  // what all sockets of the machine share (tcp_mem); for a unix socket it is 0.2 MB.
  it.each([
    [200, 'servers', 'unix'],
    [200, 'clients', 'unix'],
    [20, 'servers', 'tcp'],
    [20, 'clients', 'tcp'],
  ] as const)('hold back those who push, in bounded memory: %i %s (%s)', async (count, idle, kind) => {
    const folder = mkdtempSync(join(tmpdir(), 'meshproxy-bulk-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const upstream = await (kind === 'tcp' ? startServer() : startUnixServer(join(folder, 'out.sock')));
    onTestFinished(() => upstream.close());
    const listen = kind === 'tcp' ? '127.0.0.1:0' : `unix:${join(folder, 'in.sock')}`;
    const program = Program.inFrontOf([upstream.address], [], { listen });
    const address = await program.address();
    const limit = SAWTOOTH + count * PER_CONNECTION;
    const growth = watchGrowth(program, limit);
    for (let i = 0; i < count; i += 1) {
      const client = await connectTo(address);
      onTestFinished(() => void client.destroy());
      push(idle === 'servers' ? client : await upstream.accept());
    }
    await program.still();
    expect(growth()).toBeLessThan(limit);
  });
});
