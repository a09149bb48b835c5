import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, renameSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MAIN, NODE, Program } from '../e2e/program.js';
import { connectTo, readAll, startServer, type TestServer } from '../fakes/net.js';

/** Tests may run under npm, which the program can tell. */
const NO_NPM = { npm_lifecycle_event: undefined };

/** Sends back what it is sent, after its own name. */
async function echoServer(name: string): Promise<TestServer> {
  const server = await startServer((socket) => {
    socket.write(name);
    socket.pipe(socket);
  });
  onTestFinished(() => server.close());
  return server;
}

async function open(port: number): Promise<Socket> {
  const socket = await connectTo({ kind: 'ip', host: '127.0.0.1', port });
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** The next bytes that arrive. */
async function receive(socket: Socket): Promise<string> {
  const [chunk] = await once(socket.resume(), 'data');
  socket.pause();
  return String(chunk);
}

/** How its far side ended it. */
async function endOf(socket: Socket): Promise<string> {
  return (await readAll(socket)).end;
}

function program(args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  return new Program(args, { env: { ...NO_NPM, ...env } });
}

function messages({ log }: Program): string[] {
  return log.map(({ msg }) => msg);
}

/** What it does with one upstream and its admin off. */
async function start(server: TestServer, ...more: string[]): Promise<{ running: Program; port: number }> {
  return startWith(server, {}, ...more);
}

async function startWith(server: TestServer, env: NodeJS.ProcessEnv, ...more: string[]) {
  const upstream = `127.0.0.1:${server.address.port}`;
  const args = ['--listen', '127.0.0.1:0', '--upstream', upstream, '--admin', 'off', ...more];
  const running = program(args, env);
  return { running, port: await running.port() };
}

const msg = (words: string) => (line: string) => line.includes(words);

describe('a proxy that is run', () => {
  it('says where it listens, with the real port, and where its admin is', async () => {
    const server = await echoServer('a');
    const args = [
      '--listen',
      '127.0.0.1:0',
      '--upstream',
      `127.0.0.1:${server.address.port}`,
      '--admin',
      '127.0.0.1:0',
    ];
    const running = program(args);
    const port = await running.port();
    const admin = await running.admin();
    expect(port).toBeGreaterThan(0);
    expect(messages(running)).toEqual([
      `listening on 127.0.0.1:${port} for service default: 127.0.0.1:${server.address.port}`,
      expect.stringMatching(/^engine (native, \d+ workers?|streams, 1 thread)$/),
      `admin on ${admin}/`,
    ]);
    expect((await fetch(`${admin}/readyz`)).status).toBe(200);
  });

  it('names the listener whose port is in use, and exits with 1', async () => {
    const server = await echoServer('a');
    const address = `127.0.0.1:${server.address.port}`;
    const running = program(['--listen', address, '--upstream', 'localhost:1', '--admin', 'off']);
    expect(await running.exit()).toBe(1);
    expect(running.stderr).toContain(
      `meshproxy: cannot listen on ${address}: the address is already in use (EADDRINUSE)`,
    );
    expect(running.stderr).not.toContain('    at ');
  });

  it('does not start where the address of its admin was asked for and is in use', async () => {
    const server = await echoServer('a');
    const address = `127.0.0.1:${server.address.port}`;
    const running = program(['--listen', '127.0.0.1:0', '--upstream', address, '--admin', address]);
    expect(await running.exit()).toBe(1);
    expect(running.stderr).toContain(`meshproxy: the admin cannot listen on ${address}`);
  });

  it('loses neither itself nor its connections when its log is no longer read', async () => {
    const server = await echoServer('a');
    const args = ['--listen', '127.0.0.1:0', '--upstream', `127.0.0.1:${server.address.port}`, '--admin', 'off'];
    const child = spawn(NODE, [MAIN, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...NO_NPM },
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const [line] = await once(child.stderr, 'data');
    const port = Number(/listening on [\d.]+:(\d+)/.exec(String(line))?.[1]);
    child.stderr.destroy();
    for (let i = 0; i < 3; i++) {
      const socket = await open(port);
      expect(await receive(socket)).toBe('a');
      socket.end();
      expect(await endOf(socket)).toBe('end');
    }
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});

describe('a signal to stop', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s lets connections finish, accepts no more, and ends with 0',
    async (signal) => {
      const { running, port } = await start(await echoServer('a'));
      const socket = await open(port);
      expect(await receive(socket)).toBe('a');
      running.kill(signal);
      await running.line(msg(`${signal}: accepting no more; 1 connection may take 30s to finish`));
      await expect(connectTo({ kind: 'ip', host: '127.0.0.1', port })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      socket.write('still here');
      expect(await receive(socket)).toBe('still here');
      socket.end();
      expect(await endOf(socket)).toBe('end');
      expect(await running.exit()).toBe(0);
      expect(messages(running).at(-1)).toBe('stopped: all connections had finished');
    },
  );

  it('resets what is left when the drain timeout is over, and still ends with 0', async () => {
    const { running, port } = await start(await echoServer('a'), '--drain-timeout', '100ms');
    const socket = await open(port);
    expect(await receive(socket)).toBe('a');
    running.kill('SIGTERM');
    expect(await endOf(socket)).toBe('reset');
    expect(await running.exit()).toBe(0);
    expect(messages(running).at(-1)).toBe('stopped at the drain timeout: reset 1 connection');
  });

  it('given twice resets everything at once, says how many, and ends with 1', async () => {
    const { running, port } = await start(await echoServer('a'));
    const sockets = [await open(port), await open(port)];
    for (const socket of sockets) expect(await receive(socket)).toBe('a');
    running.kill('SIGTERM');
    await running.line(msg('accepting no more'));
    // Not SIGTERM: the same within milliseconds is taken for an echo.
    running.kill('SIGINT');
    for (const socket of sockets) expect(await endOf(socket)).toBe('reset');
    expect(await running.exit()).toBe(1);
    expect(messages(running)).toContain('SIGINT once more: ending at once, resetting 2 connections');
  });

  it('that npm repeats counts once', async () => {
    const { running, port } = await startWith(await echoServer('a'), { npm_lifecycle_event: 'start' });
    const socket = await open(port);
    expect(await receive(socket)).toBe('a');
    running.kill('SIGINT');
    await running.line(msg('accepting no more'));
    running.kill('SIGINT');
    socket.write('still here');
    expect(await receive(socket)).toBe('still here');
    socket.end();
    expect(await running.exit()).toBe(0);
  });

  it('sent as POST /drain ends the program too', async () => {
    const server = await echoServer('a');
    const running = program([
      '--listen',
      '127.0.0.1:0',
      '--upstream',
      `127.0.0.1:${server.address.port}`,
      '--admin',
      '127.0.0.1:0',
    ]);
    const response = await fetch(`${await running.admin()}/drain`, { method: 'POST' });
    expect(response.ok).toBe(true);
    expect(await running.exit()).toBe(0);
  });
});

describe('a reload', () => {
  const path = (): string => join(mkdtempSync(join(tmpdir(), 'meshproxy-run-')), 'meshproxy.yaml');

  function write(file: string, upstream: TestServer, more = ''): void {
    const text = `{"admin": "off", "listeners": {"web": {"address": "127.0.0.1:0"}},
      "services": {"web": {"upstreams": ["127.0.0.1:${upstream.address.port}"]}}${more}}`;
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  }

  it('follows a change of the file, and leaves live connections where they are', async () => {
    const [first, second] = [await echoServer('first'), await echoServer('second')];
    const file = path();
    write(file, first);
    const running = program(['--config', file]);
    const port = await running.port('web');
    const old = await open(port);
    expect(await receive(old)).toBe('first');
    write(file, second);
    const line = await running.line(msg('version 2 is in force'));
    expect(line).toContain(`${file} has changed: version 2 is in force: services.web.upstreams: `);
    expect(await receive(await open(port))).toBe('second');
    old.write('still the first');
    expect(await receive(old)).toBe('still the first');
  });

  it('refuses a file with errors, with every one of them, and keeps what is in force', async () => {
    const server = await echoServer('a');
    const file = path();
    write(file, server);
    const running = program(['--config', file]);
    const port = await running.port('web');
    write(file, server, ', "drainTimeout": "5x", "nonsense": 1');
    await running.line(msg('refused, and version 1 stays in force'));
    await running.line(msg('drainTimeout: \\"5x\\" is not a duration'));
    await running.line(msg('unknown key \\"nonsense\\"'));
    expect(await receive(await open(port))).toBe('a');
    write(file, server);
    await running.line(msg('version 2 is in force: as it was before the refusal'));
    write(file, server, ', "drainTimeout": "5s"');
    await running.line(msg('version 3 is in force: drainTimeout: 5s, was 30s'));
  });

  it('comes with SIGHUP, also where nothing has changed', async () => {
    const server = await echoServer('a');
    const file = path();
    write(file, server);
    const running = program(['--config', file]);
    await running.port('web');
    running.kill('SIGHUP');
    await running.line(msg('SIGHUP: nothing in it differs'));
  });

  it('keeps the flags beside the file', async () => {
    const server = await echoServer('a');
    const file = path();
    write(file, server);
    const running = program(['--config', file, '--drain-timeout', '7s']);
    await running.port('web');
    write(file, server, ', "drainTimeout": "9s", "accessLog": "off"');
    expect(await running.line(msg('version 2 is in force'))).toContain(
      'version 2 is in force: accessLog: off, was all"',
    );
  });

  it('is not what SIGHUP means without a file; the proxy goes on', async () => {
    const { running, port } = await start(await echoServer('a'));
    running.kill('SIGHUP');
    await running.line(msg('SIGHUP: there is no file to reload'));
    expect(await receive(await open(port))).toBe('a');
  });
});
