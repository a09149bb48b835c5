import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connectTo, push, readAll, readExactly, startServer, type TestServer } from '../fakes/net.js';
import { Program } from './program.js';

async function startEcho(): Promise<TestServer> {
  const server = await startServer((socket) => socket.pipe(socket));
  onTestFinished(() => server.close());
  return server;
}

/** A connection through the program that has carried something already. */
async function openThrough(program: Program): Promise<Socket> {
  const socket = await connectTo(await program.loopback());
  onTestFinished(() => void socket.destroy());
  socket.write('hello');
  expect((await readExactly(socket, 5)).toString()).toBe('hello');
  return socket;
}

const STOPS: readonly [string, (program: Program) => unknown][] = [
  ['SIGTERM', (program) => program.kill('SIGTERM')],
  ['SIGINT', (program) => program.kill('SIGINT')],
  ['POST /drain', (program) => program.ask('/drain', 'POST')],
];

describe.each(STOPS)('%s', (_, stop) => {
  it('lets an open connection finish, takes no new one, says that it is not ready, and exits with 0', async () => {
    const program = Program.inFrontOf([(await startEcho()).address]);
    const socket = await openThrough(program);
    expect((await program.ask('/readyz')).status).toBe(200);
    await stop(program);
    await expect.poll(async () => (await program.ask('/readyz')).status).toBe(503);
    expect(await program.text('/readyz')).toMatch(/told to stop/);
    expect((await program.ask('/healthz')).status).toBe(200);
    await expect(connectTo(await program.loopback())).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    socket.write('and on');
    expect((await readExactly(socket, 6)).toString()).toBe('and on');
    socket.end('to the end');
    expect(await readAll(socket)).toEqual({ bytes: Buffer.from('to the end'), end: 'end' });
    expect(await program.exit()).toBe(0);
    expect((await program.accessLine()).ending).toBe('completed');
  });

  it('resets what is left at --drain-timeout, towards both sides, and exits with 0', async () => {
    const upstream = await startServer();
    onTestFinished(() => upstream.close());
    const program = Program.inFrontOf([upstream.address], ['--drain-timeout', '100ms']);
    const socket = await connectTo(await program.loopback());
    const server = await upstream.accept();
    server.write('half an ans');
    expect((await readExactly(socket, 11)).toString()).toBe('half an ans');
    await stop(program);
    const [atClient, atServer] = await Promise.all([readAll(socket), readAll(server)]);
    expect([atClient.end, atServer.end]).toEqual(['reset', 'reset']);
    expect(await program.exit()).toBe(0);
    expect((await program.accessLine()).ending).toBe('drain-deadline');
  });

  it('ends at once where nothing is open', async () => {
    const program = Program.inFrontOf([(await startEcho()).address], ['--drain-timeout', '1h']);
    await program.port();
    await stop(program);
    expect(await program.exit()).toBe(0);
  });
});

describe('the drain timeout', () => {
  it('does not make a stream look complete whose end was still on its way', async () => {
    const upstream = await startServer();
    onTestFinished(() => upstream.close());
    const program = Program.inFrontOf([upstream.address], ['--drain-timeout', '100ms']);
    const socket = await connectTo(await program.loopback());
    const server = await upstream.accept();
    push(server);
    await program.still();
    server.end();
    socket.end();
    program.kill('SIGTERM');
    expect(await program.exit()).toBe(0);
    const { bytes, end } = await readAll(socket);
    expect(bytes.length).toBeLessThan(server.bytesWritten);
    expect(end).toBe('reset');
  });

  it('cuts a client that has yet to say who it is', async () => {
    const args = ['--accept-proxy-protocol', '--proxy-protocol-timeout', '1h', '--drain-timeout', '100ms'];
    const program = Program.inFrontOf(['127.0.0.1:1'], args);
    const socket = await connectTo(await program.loopback());
    await expect.poll(() => program.metric('meshproxy_connections_active')).toBe(1);
    program.kill('SIGTERM');
    expect((await readAll(socket)).end).toBe('reset');
    expect(await program.exit()).toBe(0);
    expect((await program.accessLine()).ending).toBe('drain-deadline');
  });
});

describe('a second signal', () => {
  it.each([
    ['SIGTERM', 'SIGTERM'],
    ['SIGINT', 'SIGINT'],
    ['SIGTERM', 'SIGINT'],
  ] as const)('ends at once what the first would have waited for (%s, then %s)', async (first, second) => {
    const program = Program.inFrontOf([(await startEcho()).address], ['--drain-timeout', '1h']);
    const socket = await openThrough(program);
    program.kill(first);
    await program.said(/accepting no more/);
    program.kill(second);
    expect((await readAll(socket)).end).toBe('reset');
    expect(await program.exit()).toBe(1);
    await program.said(/ending at once, resetting 1 connection/);
    expect(program.stderr).not.toContain('had finished');
  });
});
