import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { compiler } from '../../bench/load/engine.js';
import { floor } from '../../bench/peers/floor.js';
import { type Child, start } from '../../bench/system/children.js';
import { freePort, listening } from '../../bench/system/ports.js';
import { readAll } from '../fakes/net.js';

const hasCompiler = !('missing' in (await compiler()));

/** What comes until the end; unlike an iterator this leaves the other direction alone. */
async function textOf(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  await once(socket, 'end');
  return text;
}

/** The floor is what others are measured against: it is to do the whole job, or it would be lower than it may. */
describe.runIf(hasCompiler)('the floor', () => {
  let directory: string;
  let relay: Child;
  let server: Server;
  let listenPort: number;
  const sockets: Socket[] = [];

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'meshproxy-floor-test-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  beforeEach(async () => {
    const upstreamPort = await freePort();
    server = createServer({ allowHalfOpen: true, noDelay: true }).listen(upstreamPort, '127.0.0.1');
    await once(server, 'listening');
    listenPort = await freePort();
    const command = await floor.command({
      listenPort,
      upstreamPort,
      adminPort: 0,
      directory,
      scratch: directory,
      descriptors: 1_000,
    });
    if (!command) throw new Error('the floor is a program');
    // What `listening` opens to see that it listens reaches the server too.
    const probed = once(server, 'connection');
    relay = await start(command);
    await listening(listenPort, relay.ended);
    const [probe] = await probed;
    probe.destroy();
  });

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    server.close();
    await relay.stop();
  });

  /** A connection through the relay: the client's end and the server's. */
  async function pair(): Promise<{ client: Socket; upstream: Socket }> {
    const client = connect({ port: listenPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const [upstream]: Socket[] = await once(server, 'connection');
    if (!upstream) throw new Error('no connection');
    sockets.push(client, upstream);
    return { client, upstream };
  }

  it('passes the end of each direction on after its last byte, and lets the other go on', async () => {
    const { client, upstream } = await pair();
    client.end('question');
    expect(await textOf(upstream)).toBe('question');
    const answer = textOf(client);
    upstream.end('answer');
    expect(await answer).toBe('answer');
  });

  it("passes a client's reset on to the server", async () => {
    const { client, upstream } = await pair();
    client.write('half a');
    await once(upstream, 'data');
    const seen = readAll(upstream);
    client.resetAndDestroy();
    expect((await seen).end).toBe('reset');
  });

  it("passes a server's reset on to the client", async () => {
    const { client, upstream } = await pair();
    upstream.write('half an');
    await once(client, 'data');
    const seen = readAll(client);
    upstream.resetAndDestroy();
    expect((await seen).end).toBe('reset');
  });

  it('resets a client whose server is not there', async () => {
    server.close();
    const client = connect(listenPort, '127.0.0.1');
    sockets.push(client);
    expect((await readAll(client)).end).toBe('reset');
  });

  it('holds a sender back whose reader is slow: it loses nothing and keeps little', async () => {
    const { client, upstream } = await pair();
    const sent = Buffer.alloc(64 * 1024 * 1024);
    for (let at = 0; at < sent.length; at += 4) sent.writeUInt32LE(at, at);
    client.end(sent);
    const received: Buffer[] = [];
    for await (const chunk of upstream) {
      received.push(chunk);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(Buffer.concat(received).equals(sent)).toBe(true);
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${relay.pid}/status`, 'utf8'))?.[1];
    expect(Number(peak)).toBeLessThan(16 * 1024);
  });

  it('keeps serving others when one connection breaks', async () => {
    const broken = await pair();
    const other = await pair();
    broken.client.resetAndDestroy();
    expect((await readAll(broken.upstream)).end).toBe('reset');
    other.client.end('still here');
    expect(await textOf(other.upstream)).toBe('still here');
  });
});
