import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Address, formatAddress } from '../../src/core/address.js';
import { connectTo, readAll, readExactly, startServer, startUnixServer } from '../fakes/net.js';
import { MAIN, NODE, Program } from './program.js';

const NODE_PADS_NAMES = Number(process.versions.node.split('.', 1)) < 22;

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'meshproxy-unix-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

async function startEcho(path: string): Promise<Address> {
  const server = await startUnixServer(path, (socket) => socket.pipe(socket));
  onTestFinished(() => server.close());
  return server.address;
}

/** Whether bytes go through, and both ends of the stream. */
async function expectEcho(address: Address): Promise<void> {
  const bytes = randomBytes(300_000);
  const socket = await connectTo(address);
  onTestFinished(() => void socket.destroy());
  socket.end(bytes);
  const echoed = await readAll(socket);
  expect(echoed.end).toBe('end');
  expect(echoed.bytes.equals(bytes)).toBe(true);
}

/** A proxy in front of nothing, that listens on `listen`. */
function listener(listen: string): Program {
  return Program.inFrontOf(['127.0.0.1:1'], [], { listen });
}

describe('unix sockets on both sides', () => {
  it.each(['path', 'abstract'])('carry bytes and the end of each direction (%s)', async (kind) => {
    const within = kind === 'path' ? folder() : `@meshproxy-test-${process.pid}`;
    const upstream = await startEcho(join(within, 'out.sock'));
    // Node 20 fills abstract names up with zeroes, which other programs do not: its sockets are met by its own only.
    const args = kind === 'abstract' && NODE_PADS_NAMES ? ['--engine', 'streams'] : [];
    const program = Program.inFrontOf([upstream], args, { listen: `unix:${join(within, 'in.sock')}` });
    const address = await program.address();
    expect(formatAddress(address)).toBe(`unix:${join(within, 'in.sock')}`);
    await expectEcho(address);
    expect(await program.accessLine()).toMatchObject({
      client: 'unix',
      upstream: formatAddress(upstream),
      bytesReceived: 300_000,
      bytesSent: 300_000,
      ending: 'completed',
    });
  });

  it('pass on a server that vanishes as an end, for they have no reset', async () => {
    const path = join(folder(), 'out.sock');
    const server = await startUnixServer(path);
    onTestFinished(() => server.close());
    const program = Program.inFrontOf([server.address], [], { listen: `unix:${path}.in` });
    const client = await connectTo(await program.address());
    const behind = await server.accept();
    behind.write('half an ans');
    await readExactly(client, 11);
    behind.destroy();
    expect(await readAll(client)).toEqual({ bytes: Buffer.alloc(0), end: 'end' });
  });
});

describe('the file of a unix socket', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('is gone when the proxy has ended (%s)', async (signal) => {
    const path = join(folder(), 'in.sock');
    const program = listener(`unix:${path}`);
    await program.address();
    expect(lstatSync(path).isSocket()).toBe(true);
    program.kill(signal);
    expect(await program.exit()).toBe(0);
    expect(existsSync(path)).toBe(false);
  });

  it('is replaced where a proxy that was killed has left it', async () => {
    const path = join(folder(), 'in.sock');
    const killed = listener(`unix:${path}`);
    await killed.address();
    killed.kill('SIGKILL');
    await killed.exit();
    expect(existsSync(path)).toBe(true);
    const upstream = await startServer((socket) => socket.pipe(socket));
    onTestFinished(() => upstream.close());
    const next = Program.inFrontOf([upstream.address], [], { listen: `unix:${path}` });
    await expectEcho(await next.address());
  });

  it('is left to the proxy that serves on it', async () => {
    const path = join(folder(), 'in.sock');
    const upstream = await startServer((socket) => socket.pipe(socket));
    onTestFinished(() => upstream.close());
    const first = Program.inFrontOf([upstream.address], [], { listen: `unix:${path}` });
    const address = await first.address();
    const second = listener(`unix:${path}`);
    expect(await second.exit()).toBe(1);
    expect(second.stderr).toMatch(
      /^meshproxy: cannot listen on unix:\S+: the address is already in use \(EADDRINUSE\)/,
    );
    await expectEcho(address);
  });

  it('is not taken where it is a file of another kind', async () => {
    const path = join(folder(), 'precious');
    writeFileSync(path, 'data');
    const program = listener(`unix:${path}`);
    expect(await program.exit()).toBe(1);
    expect(program.stderr).toMatch(/^meshproxy: cannot listen on unix:/);
    expect(readFileSync(path, 'utf8')).toBe('data');
  });
});

describe('the admin on a unix socket', () => {
  it('answers its owner and its group, and meshproxy connections --admin', async () => {
    const path = join(folder(), 'admin.sock');
    const program = Program.inFrontOf(['127.0.0.1:1'], ['--admin', `unix:${path}`]);
    await program.said(/^admin on unix:/);
    expect(lstatSync(path).mode & 0o777).toBe(0o660);
    const status = await new Promise((resolve, reject) => {
      request({ socketPath: path, path: '/readyz' }, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end();
    });
    expect(status).toBe(200);
    const { stdout } = spawnSync(NODE, [MAIN, 'connections', '--admin', `unix:${path}`]);
    expect(String(stdout)).toMatch(/no connection/i);
    program.kill('SIGTERM');
    expect(await program.exit()).toBe(0);
    expect(existsSync(path)).toBe(false);
  });
});
