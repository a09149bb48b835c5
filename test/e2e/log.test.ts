import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { formatAddress, type IpAddress } from '../../src/core/address.js';
import { connectTo, readAll, readExactly, startServer, type TestServer } from '../fakes/net.js';
import { MAIN, NODE, Program } from './program.js';

async function startEcho(): Promise<TestServer> {
  const server = await startServer((socket) => socket.pipe(socket));
  onTestFinished(() => server.close());
  return server;
}

async function openServed(address: IpAddress): Promise<Socket> {
  const socket = await connectTo(address);
  onTestFinished(() => void socket.destroy());
  socket.write('hello');
  await readExactly(socket, 5);
  return socket;
}

describe('--access-log', () => {
  it.each([
    ['all', ['completed', 'client-reset']],
    ['errors', ['client-reset']],
    ['off', []],
  ])('%s tells of the connections that ended so: %j', async (mode, told) => {
    const program = Program.inFrontOf([(await startEcho()).address], ['--access-log', mode]);
    const address = await program.loopback();
    const orderly = await openServed(address);
    orderly.end();
    await readAll(orderly);
    (await openServed(address)).resetAndDestroy();
    await expect.poll(() => program.metric('meshproxy_connections_closed_total')).toBe(2);
    program.kill('SIGTERM');
    await program.exit();
    expect(program.accessLines.map(({ ending }) => ending).toSorted()).toEqual(told.toSorted());
  });

  it('has one line for a connection: who, through what to where and why, how much, how long, how it ended', async () => {
    const upstream = formatAddress((await startEcho()).address);
    const program = Program.inFrontOf([upstream]);
    const socket = await openServed(await program.loopback());
    const client = `127.0.0.1:${socket.localPort}`;
    socket.end();
    const fields = await program.accessLine();
    expect(fields).toMatchObject({
      listener: 'default',
      client,
      service: 'default',
      endpoint: upstream,
      upstream,
      why: 'ewma, the only one there is',
      bytesReceived: 5,
      bytesSent: 5,
      ending: 'completed',
    });
    const { connectMs = 0, firstByteMs = 0, durationMs = 0 } = fields;
    expect(Math.min(connectMs, firstByteMs)).toBeGreaterThan(0);
    expect(durationMs).toBeGreaterThan(connectMs);
    await program.said(
      new RegExp(`^${client} → default → ${upstream}, 5 B up, 5 B down, .*: both sides closed in order$`),
    );
  });
});

describe('the log', () => {
  const hasScript = spawnSync('script', ['--version']).status === 0;

  it('is JSON where nobody looks, and written for people on a terminal', async (context) => {
    context.skip(!hasScript, 'script, which brings a terminal, is not on PATH: it is part of util-linux');
    const args = ['--listen', '127.0.0.1:0', '--upstream', '127.0.0.1:1', '--admin', '127.0.0.1:0'];
    const piped = new Program(args);
    await piped.port();
    expect(piped.lines.every((line) => line.startsWith('{"level":"info","time":"'))).toBe(true);

    const command = [NODE, MAIN, ...args].map((word) => `'${word}'`).join(' ');
    const terminal = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, NO_COLOR: undefined },
    });
    let shown = '';
    terminal.stdout.on('data', (chunk) => {
      shown += chunk;
    });
    const ended = once(terminal, 'close');
    await expect.poll(() => shown).toMatch(/admin on http:\/\/127\.0\.0\.1:\d+\//);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are what it looks for
    expect(shown).toMatch(/\d\d:\d\d:\d\d\.\d{3}.*\u001b\[32mINFO\u001b\[39m.*listening on 127\.0\.0\.1:\d+/);
    expect(shown).not.toContain('"level"');
    const [admin] = /http:\/\/127\.0\.0\.1:\d+/.exec(shown) ?? [];
    await fetch(`${admin}/drain`, { method: 'POST', headers: { connection: 'close' } });
    expect(await ended).toEqual([0, null]);
  });

  it('that nobody reads holds up neither connections nor the end', async () => {
    const CONNECTIONS = 1000;
    const program = Program.inFrontOf([(await startEcho()).address]);
    const address = await program.loopback();
    await program.admin();
    program.stopReading();
    // Of their access lines a pipe and this process hold a third.
    for (let i = 0; i < CONNECTIONS; i += 20) {
      const sockets = await Promise.all(Array.from({ length: 20 }, () => openServed(address)));
      for (const socket of sockets) socket.end();
      await Promise.all(sockets.map(readAll));
    }
    await expect.poll(() => program.metric('meshproxy_connections_closed_total')).toBe(CONNECTIONS);
    program.kill('SIGTERM');
    expect(await program.exit()).toBe(0);
    expect(program.lines.length).toBeLessThan(CONNECTIONS);
  });
});
