import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { formatAddress } from '../../src/core/address.js';
import { encodeProxyHeader } from '../../src/l4/proxy-header.js';
import { connectTo, push, readAll, readExactly, startServer, type TestServer } from '../fakes/net.js';
import { MAIN, NODE, Program } from './program.js';
import { random } from './torture.js';

/** A configuration file with this text. */
function fileWith(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'meshproxy-bad-input-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'meshproxy.yaml');
  writeFileSync(path, text);
  // Another user has to get as far as the file.
  chmodSync(folder, 0o755);
  return path;
}

async function startEcho(): Promise<TestServer> {
  const server = await startServer((socket) => socket.pipe(socket));
  onTestFinished(() => server.close());
  return server;
}

/** One line for each problem, each of which may be followed by one that says what to do; and no stack. */
async function expectFailure(program: Program, code: number, problems: readonly string[]): Promise<void> {
  expect({ code: await program.exit(), said: program.stderr }).toMatchObject({ code });
  const hints = program.lines.filter((line) => /^ {2}\(.+\)$/.test(line));
  const others = program.lines.filter((line) => !hints.includes(line));
  expect(others).toEqual(problems.map((problem) => expect.stringContaining(`meshproxy: ${problem}`)));
  expect(hints.length).toBeLessThanOrEqual(1);
  expect(program.stdout).toBe('');
}

describe('what cannot be run is told in one clear line for each problem, and an exit code', () => {
  it('a port in use: which, why, what to do', async () => {
    const busy = formatAddress((await startEcho()).address);
    const program = Program.inFrontOf(['127.0.0.1:1'], [], { listen: busy });
    await expectFailure(program, 1, [`cannot listen on ${busy}: the address is already in use (EADDRINUSE)`]);
    expect(program.stderr).toContain('choose another port');
  });

  it('an address of another machine', async () => {
    const program = Program.inFrontOf(['127.0.0.1:1'], [], { listen: '192.0.2.1:8080' });
    await expectFailure(program, 1, [
      'cannot listen on 192.0.2.1:8080: the address is not one of this machine (EADDRNOTAVAIL)',
    ]);
  });

  it('addresses that do not parse, all of them', async () => {
    const program = Program.inFrontOf(['10.0.0.1', 'http://example.org:80'], [], { listen: ':99999' });
    await expectFailure(program, 2, [
      '--listen ":99999": the port 99999 is not between 0 and 65535; accepted are host:port, :port, [ipv6]:port',
      '--upstream "10.0.0.1": the port is missing; accepted are',
      '--upstream "http://example.org:80": it is a URL; accepted are',
    ]);
  });

  it('a file with errors, each with its line and column', async () => {
    const path = fileWith('listeners:\n  web: {adress: ":0"}\nservices:\n  web: {upstreams: ["nonsense"]}\n');
    await expectFailure(new Program(['--config', path]), 2, [
      `${path}:2:8: listeners.web.address: is missing`,
      `${path}:2:9: listeners.web: unknown key "adress"; did you mean "address"?`,
      `${path}:4:21: services.web.upstreams[0]: "nonsense": the port is missing`,
    ]);
  });

  it('a file that is not YAML', async () => {
    const path = fileWith('listeners: [\n');
    const program = new Program(['--config', path]);
    expect(await program.exit()).toBe(2);
    expect(program.lines[0]).toMatch(/^meshproxy: .*meshproxy\.yaml:\d+:\d+: /);
    expect(program.stderr).not.toContain('    at ');
  });

  it('a file that is not there, or is a folder', async () => {
    await expectFailure(new Program(['--config', '/nowhere/meshproxy.yaml']), 1, [
      'cannot read /nowhere/meshproxy.yaml: no such file (ENOENT)',
    ]);
    await expectFailure(new Program(['--config', tmpdir()]), 1, [`cannot read ${tmpdir()}: it is a directory`]);
  });

  it('an admin address in use that was asked for; the one that is there by default only costs the admin page', async () => {
    const busy = formatAddress((await startEcho()).address);
    const args = ['--listen', '127.0.0.1:0', '--upstream', '127.0.0.1:1'];
    const asked = new Program([...args, '--admin', busy]);
    await expectFailure(asked, 1, [`the admin cannot listen on ${busy}: the address is already in use`]);
    // Whoever has the default address, this test or another proxy: the second of two does without.
    const [one, other] = [new Program(args), new Program(args)];
    await Promise.all([one.port(), other.port()]);
    const without = await Promise.race([one, other].map((each) => each.said(/running without an admin page/)));
    expect(without).toMatchObject({ level: 'warn', msg: expect.stringContaining('127.0.0.1:9901 is already in use') });
  });

  it('shows a stack with --log-level debug only', async () => {
    const busy = formatAddress((await startEcho()).address);
    const program = Program.inFrontOf(['127.0.0.1:1'], ['--log-level', 'debug'], { listen: busy });
    expect(await program.exit()).toBe(1);
    expect(program.lines[0]).toContain(`meshproxy: cannot listen on ${busy}`);
    expect(program.stderr).toMatch(/^ {4}at /m);
  });
});

describe('a user without privileges', () => {
  const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];

  beforeEach((context) => {
    context.skip(process.getuid?.() !== 0, 'only root can become another user');
    const [command = '', ...args] = [...NOBODY, NODE, MAIN, '--version'];
    context.skip(spawnSync(command, args).status !== 0, 'another user cannot run the program here (or no setpriv)');
  });

  it('is told that a port below 1024 needs them', async (context) => {
    const first = Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'));
    context.skip(first < 100, 'this machine lets everybody listen on every port');
    const program = Program.inFrontOf(['127.0.0.1:1'], [], { listen: '127.0.0.1:99', prefix: NOBODY });
    await expectFailure(program, 1, ['cannot listen on 127.0.0.1:99: permission denied (EACCES)']);
    expect(program.stderr).toContain('ports below 1024 need privileges');
  });

  it('is told of a file that it may not read', async () => {
    const path = fileWith('admin: off\n');
    chmodSync(path, 0o600);
    await expectFailure(new Program(['--config', path], { prefix: NOBODY }), 1, [
      `cannot read ${path}: permission denied (EACCES)`,
    ]);
  });

  it('is told of a folder that it may not put a socket into', async () => {
    const path = join(fileWith(''), '..', 'in.sock');
    const program = Program.inFrontOf(['127.0.0.1:1'], [], { listen: `unix:${path}`, prefix: NOBODY });
    await expectFailure(program, 1, [`cannot listen on unix:${path}: permission denied (EACCES)`]);
  });
});

describe('hostile clients cost only their own connections', () => {
  const CLIENTS = 50;
  const SEED = Number(process.env['HOSTILE_SEED'] ?? 20261122);

  /** A proxy that wants a PROXY header, and a client that it serves all the while. */
  async function start(...args: string[]): Promise<{ program: Program; expectServed(): Promise<void> }> {
    const program = Program.inFrontOf(
      [(await startEcho()).address],
      ['--accept-proxy-protocol', '--proxy-protocol-timeout', '1h', ...args],
    );
    const address = await program.loopback();
    const openServed = async (): Promise<Socket> => {
      const socket = await connectTo(address);
      onTestFinished(() => void socket.destroy());
      socket.write(encodeProxyHeader('v2', address, address));
      return socket;
    };
    const old = await openServed();
    return {
      program,
      async expectServed() {
        for (const socket of [old, await openServed()]) {
          socket.write('served');
          expect((await readExactly(socket, 6)).toString()).toBe('served');
        }
      },
    };
  }

  async function openMany(program: Program): Promise<Socket[]> {
    const address = await program.loopback();
    const sockets = await Promise.all(Array.from({ length: CLIENTS }, () => connectTo(address)));
    for (const socket of sockets) onTestFinished(() => void socket.destroy());
    return sockets;
  }

  it('that connect and send nothing, or too little', async () => {
    const { program, expectServed } = await start();
    const sockets = await openMany(program);
    sockets.forEach((socket, i) => void socket.write('PROXY TCP4 '.slice(0, i % 12)));
    await expect.poll(() => program.metric('meshproxy_connections_active')).toBe(CLIENTS + 1);
    await expectServed();
    for (const socket of sockets) socket.end();
    await expect
      .poll(() => program.metric('meshproxy_connections_closed_total', { ending: 'closed-before-header' }))
      .toBe(CLIENTS);
    await expectServed();
  });

  it('that send nothing for as long as --proxy-protocol-timeout', async () => {
    const { program } = await start('--proxy-protocol-timeout', '100ms');
    const ends = await Promise.all((await openMany(program)).map(readAll));
    expect(new Set(ends.map(({ end }) => end))).toEqual(new Set(['reset']));
    await program.said(/the client sent no PROXY protocol header in time; no complete header within 100ms/);
  });

  it(`that send garbage where a header is due (seed ${SEED})`, async () => {
    const { program, expectServed } = await start();
    const next = random(SEED);
    const garbage = (): Buffer => {
      const bytes = Buffer.from(Array.from({ length: 600 }, () => Math.floor(next() * 256)));
      // Half of them begin as a header does.
      return next() < 0.5 ? bytes : Buffer.concat([Buffer.from('PROXY TCP4 '), bytes]);
    };
    const sockets = await openMany(program);
    for (const socket of sockets) socket.write(garbage());
    const ends = await Promise.all(sockets.map(readAll));
    expect(ends.map(({ bytes, end }) => [bytes.length, end])).toEqual(ends.map(() => [0, 'reset']));
    const bad = { ending: 'bad-proxy-header' };
    expect(await program.metric('meshproxy_connections_closed_total', bad)).toBe(CLIENTS);
    await expectServed();
  });

  it(`that reset at any moment (seed ${SEED})`, async () => {
    const { program, expectServed } = await start();
    const next = random(SEED);
    const address = await program.loopback();
    const bytes = Buffer.concat([encodeProxyHeader('v2', address, address), Buffer.alloc(100_000)]);
    for (let round = 0; round < 4; round += 1) {
      for (const socket of await openMany(program)) {
        // Within the header, within the data, or right away.
        const length = next() < 0.5 ? Math.floor(next() * 40) : Math.floor(next() * bytes.length);
        socket.write(bytes.subarray(0, length), () => socket.resetAndDestroy());
      }
      await expectServed();
    }
    // The one that was served before, and one for each round.
    await expect.poll(() => program.metric('meshproxy_connections_active')).toBe(5);
    const { log } = program;
    expect(log.filter(({ level }) => level === 'error')).toEqual([]);
    expect(new Set(program.accessLines.map(({ ending }) => ending))).not.toContain('internal-error');
  });

  it('that never read what they asked for', async () => {
    const { program, expectServed } = await start();
    const address = await program.loopback();
    for (const socket of (await openMany(program)).slice(0, 10)) {
      socket.write(encodeProxyHeader('v2', address, address));
      push(socket);
    }
    await program.still();
    await expectServed();
    program.kill('SIGTERM');
    await program.said(/accepting no more/);
    program.kill('SIGTERM');
    expect(await program.exit()).toBe(1);
  });
});
