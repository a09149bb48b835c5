import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { formatAddress, type IpAddress, parseAddress } from '../../src/core/address.js';
import { connectTo, readAll, readExactly, startServer } from '../fakes/net.js';
import { idOf } from './mesh-certificates.js';
import { MAIN, NODE, Program } from './program.js';

const run = promisify(execFile);

/** An authority that serves, and proxies that have their identity from it. */
class Mesh {
  readonly folder = mkdtempSync(join(tmpdir(), 'meshproxy-mesh-'));
  readonly engine: string;
  authority = '';

  constructor(engine: string) {
    this.engine = engine;
    onTestFinished(() => rmSync(this.folder, { recursive: true }));
  }

  async start(): Promise<this> {
    await this.ca('init', '--trust-domain', 'example.org');
    this.authority = await this.serve('127.0.0.1:0');
    return this;
  }

  async serve(listen: string, ...args: string[]): Promise<string> {
    const program = new Program(['ca', 'serve', '--dir', this.path('ca'), '--listen', listen, ...args]);
    return String((await program.said(/^serving certificates/))['listen']);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async ca(command: string, ...args: string[]): Promise<string> {
    return (await run(NODE, [MAIN, 'ca', command, '--dir', this.path('ca'), ...args])).stdout;
  }

  async identity(name: string): Promise<string[]> {
    await this.ca('token', '--identity', `ns/default/sa/${name}`, '--out', this.path(`${name}.token`));
    return ['--ca', this.authority, '--token-file', this.path(`${name}.token`), '--identity-dir', this.path(name)];
  }

  /** client -> outbound ==> inbound -> echo */
  async hop(): Promise<{ inbound: Program; outbound: Program; address: IpAddress }> {
    const server = await startServer((socket) => void socket.pipe(socket));
    onTestFinished(() => server.close());
    const engine = ['--engine', this.engine, ...(this.engine === 'native' ? ['--workers', '2'] : [])];
    const inbound = Program.inFrontOf(
      [formatAddress(server.address)],
      [...engine, '--tls-accept', 'mutual', ...(await this.identity('server'))],
    );
    const wanted = ['--tls-dial', 'mutual', '--server-identity', idOf('server')];
    const outbound = Program.inFrontOf(
      [formatAddress(await inbound.loopback())],
      [...engine, ...wanted, ...(await this.identity('client'))],
    );
    return { inbound, outbound, address: await outbound.loopback() };
  }
}

async function echoes(socket: net.Socket, text: string): Promise<void> {
  socket.write(text);
  expect(String(await readExactly(socket, text.length))).toBe(text);
}

async function opened(address: IpAddress): Promise<net.Socket> {
  const socket = await connectTo(address);
  await echoes(socket, 'hello');
  return socket;
}

/** How it ends, and how long that took from now on, ms. */
async function ended(socket: net.Socket): Promise<{ end: string; afterMs: number }> {
  const from = performance.now();
  const { end } = await readAll(socket);
  return { end, afterMs: performance.now() - from };
}

describe.each(['native', 'streams'])('proxies with an identity from the authority, engine %s', (engine) => {
  it('carry bytes, and reset what is open to a workload within a second of its being revoked', async () => {
    const mesh = await new Mesh(engine).start();
    const { inbound, address } = await mesh.hop();
    const open = await Promise.all(Array.from({ length: 8 }, () => opened(address)));
    await mesh.ca('revoke', '--identity', 'ns/default/sa/client', '--reason', 'a test');
    for (const { end, afterMs } of await Promise.all(open.map(ended))) {
      expect(end).toBe('reset');
      // What the authority and the proxies promise, and a slow machine's time on top.
      expect(afterMs).toBeLessThan(5000);
    }
    const line = await inbound.accessLine();
    expect(line).toMatchObject({ ending: 'client-distrusted', detail: `${idOf('client')} is revoked` });
    const refused = await connectTo(address);
    expect((await readAll(refused)).end).toBe('reset');
    expect(await inbound.accessLine(({ ending }) => ending === 'client-handshake')).toMatchObject({
      detail: expect.stringContaining(`${idOf('client')} is revoked`),
    });
    await mesh.ca('revoke', '--identity', 'ns/default/sa/client', '--undo');
    const serves = () =>
      opened(address).then(
        (socket) => socket.end() && true,
        () => false,
      );
    await expect.poll(serves, { timeout: 10_000 }).toBe(true);
  });

  it('reset what is open to a server that is revoked, by the serial of its certificate', async () => {
    const mesh = await new Mesh(engine).start();
    const { outbound, address } = await mesh.hop();
    const open = await opened(address);
    const { contents } = JSON.parse(
      await run(NODE, [MAIN, 'ca', 'inspect', '--json', mesh.path('server/identity.pem')]).then(({ stdout }) => stdout),
    );
    const { serial } = contents.find(
      ({ kind, authority }: { kind: string; authority?: boolean }) => kind === 'certificate' && authority === false,
    );
    await mesh.ca('revoke', '--serial', serial);
    expect((await ended(open)).end).toBe('reset');
    expect(await outbound.accessLine()).toMatchObject({
      ending: 'upstream-distrusted',
      detail: `its certificate is revoked (serial ${serial})`,
    });
  });

  it('reset what is open by a root that is thrown out of the bundle while it is in use, and nothing before', async () => {
    const mesh = await new Mesh(engine).start();
    const { inbound, outbound, address } = await mesh.hop();
    const open = await opened(address);
    await mesh.ca('rotate', 'root');
    await Promise.all([inbound.said(/whom to trust has changed/), outbound.said(/whom to trust has changed/)]);
    await echoes(open, 'still there');
    await mesh.ca('rotate', 'root', '--force');
    await echoes(open, 'and now');
    // Too early, on purpose: the certificates in use lead to it.
    await mesh.ca('rotate', 'root', '--force');
    expect((await ended(open)).end).toBe('reset');
    const endings = ['client-distrusted', 'upstream-distrusted'];
    const lines = [await inbound.accessLine(), await outbound.accessLine()];
    expect(lines.some(({ ending }) => endings.includes(String(ending)))).toBe(true);
    expect(lines.map(({ detail }) => detail).join()).toMatch(
      /the root that its certificate leads to \([0-9a-f]{64}\) has left/,
    );
  });

  it('start with the identity they have kept while no authority is there, and need no token for it', async () => {
    const mesh = await new Mesh(engine).start();
    const first = Program.inFrontOf(
      ['127.0.0.1:9'],
      ['--engine', engine, '--tls-accept', 'mutual', ...(await mesh.identity('server'))],
    );
    await first.loopback();
    first.kill('SIGTERM');
    expect(await first.exit()).toBe(0);
    const gone = formatAddress(parseAddress('127.0.0.1:1'));
    const again = Program.inFrontOf(
      ['127.0.0.1:9'],
      ['--engine', engine, '--tls-accept', 'mutual', '--ca', gone, '--identity-dir', mesh.path('server')],
    );
    await again.loopback();
    expect(
      await again.said(/whom to trust cannot be followed: the authority at 127\.0\.0\.1:1: connection refused/),
    ).toMatchObject({ level: 'warn' });
  });
});

describe('a proxy that starts', () => {
  it('knows what was revoked while it was off', async () => {
    const mesh = await new Mesh('native').start();
    const start = async () => {
      const flags = ['--workers', '2', '--tls-accept', 'mutual', ...identity];
      const program = Program.inFrontOf(['127.0.0.1:9'], flags);
      await program.loopback();
      return program;
    };
    const identity = await mesh.identity('server');
    const first = await start();
    first.kill('SIGTERM');
    expect(await first.exit()).toBe(0);
    await mesh.ca('revoke', '--identity', 'ns/default/sa/client');
    await (await start()).said(/^whom to trust has changed/);
  });

  it('waits for an authority that starts after it', async () => {
    const mesh = await new Mesh('streams').start();
    const identity = await mesh.identity('early');
    const later = `unix:${mesh.path('ca.sock')}`;
    const flags = ['--tls-accept', 'mutual', '--ca', later, ...identity.slice(2)];
    const program = Program.inFrontOf(['127.0.0.1:9'], flags);
    await program.said(/^no identity yet: .*; trying again/);
    await mesh.serve(later);
    await program.loopback();
  });
});

describe('a change of the authority', () => {
  it('that cannot be made fails, and says so', async () => {
    const mesh = await new Mesh('streams').start();
    writeFileSync(join(mesh.path('ca'), 'ca.lock'), '1 another-machine');
    await expect(mesh.ca('revoke', '--identity', 'ns/default/sa/client')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('another process is changing this authority'),
    });
  });
});

describe('a proxy without an identity', () => {
  it('does not start with a token that is spent, or for an authority that the token is not from', async () => {
    const mesh = await new Mesh('streams').start();
    const flags = await mesh.identity('web');
    const first = Program.inFrontOf(['127.0.0.1:9'], ['--tls-accept', 'mutual', ...flags]);
    await first.loopback();
    const second = Program.inFrontOf(
      ['127.0.0.1:9'],
      ['--tls-accept', 'mutual', ...flags.slice(0, -1), mesh.path('elsewhere')],
    );
    expect(await second.exit()).toBe(1);
    expect(second.stderr).toMatch(/the authority at 127\.0\.0\.1:\d+: .*token/);
    const other = await new Mesh('streams').start();
    const third = Program.inFrontOf(
      ['127.0.0.1:9'],
      ['--tls-accept', 'mutual', '--ca', other.authority, ...flags.slice(2, -1), mesh.path('third')],
    );
    expect(await third.exit()).toBe(1);
    expect(third.stderr).toMatch(
      /is not the one that the token is from: it shows root [0-9a-f]{64}, the token names [0-9a-f]{64}/,
    );
    expect(third.stderr).toContain('the token was not sent');
  });

  it('says what is wrong with a token that is none', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meshproxy-mesh-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'token'), 'mpj1.garbage');
    const program = Program.inFrontOf(
      ['127.0.0.1:9'],
      [
        '--tls-accept',
        'mutual',
        '--ca',
        '127.0.0.1:1',
        '--token-file',
        join(folder, 'token'),
        '--identity-dir',
        join(folder, 'me'),
      ],
    );
    expect(await program.exit()).toBe(2);
    expect(program.stderr).toContain(`${join(folder, 'token')}: `);
    expect(program.stderr).not.toContain('garbage');
  });
});

describe('meshproxy ca join', () => {
  it('writes an identity that openssl takes, for programs that are not behind meshproxy', async () => {
    const mesh = await new Mesh('streams').start();
    const [, address = '', ...rest] = await mesh.identity('other');
    const join = [MAIN, 'ca', 'join', '--ca', address, '--token-file', rest[1] ?? '', '--out', mesh.path('mine')];
    expect((await run(NODE, join)).stdout).toContain('the identity is in');
    const [identity, bundle] = [mesh.path('mine/identity.pem'), mesh.path('mine/bundle.pem')];
    const verified = await run('openssl', [
      'verify',
      '-x509_strict',
      '-CAfile',
      bundle,
      '-untrusted',
      identity,
      identity,
    ]);
    expect(verified.stdout).toContain('OK');
    // Once more: it has one already, and needs neither token nor authority.
    expect((await run(NODE, join.slice(0, -4).concat('--out', mesh.path('mine')))).stdout).toContain(
      'the identity is in',
    );
  });
});
