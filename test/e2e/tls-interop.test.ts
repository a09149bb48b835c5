import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { formatAddress, type IpAddress } from '../../src/core/address.js';
import { connectTo, readAll, readExactly, startServer } from '../fakes/net.js';
import { hasOpenssl, idOf, TestAuthority } from './mesh-certificates.js';
import { Program } from './program.js';

const hasHaproxy = spawnSync('haproxy', ['-v']).status === 0;

async function freePort(): Promise<number> {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('unreachable: it listens on a port');
  return address.port;
}

describe.each(['native', 'streams'])('a hop of which HAProxy is the other end, engine %s', (engine) => {
  let authority: TestAuthority;
  const running = new Set<ChildProcess>();
  beforeAll(() => {
    if (!hasOpenssl) return;
    authority = new TestAuthority();
    for (const name of ['client', 'server', 'stranger']) {
      authority.leaf(name);
      writeFileSync(authority.path(`${name}.pem`), authority.read(`${name}.crt`) + authority.read(`${name}.key`), {
        mode: 0o600,
      });
    }
  });
  afterAll(() => authority?.remove());
  beforeEach((context) => context.skip(!hasOpenssl || !hasHaproxy, 'haproxy or openssl is not on PATH'));

  async function echo(): Promise<IpAddress> {
    const server = await startServer((socket) => void socket.pipe(socket));
    onTestFinished(() => server.close());
    return server.address;
  }

  /** One that listens on a free port, with `bind` and `server` as HAProxy has their options. */
  async function haproxy(to: IpAddress, bind: string, server: string, mode = ''): Promise<IpAddress> {
    const port = await freePort();
    const file = authority.path(`haproxy-${port}.cfg`);
    writeFileSync(
      file,
      `global
  nbthread 1
  log stderr format raw local0
defaults
  mode tcp
  log global
  timeout connect 10s
  timeout client 60s
  timeout server 60s
listen hop
  bind 127.0.0.1:${port} ${bind}
  server upstream ${formatAddress(to)} ${server}
${mode}`,
    );
    const child = spawn('haproxy', ['-db', '-f', file], { stdio: ['ignore', 'ignore', 'pipe'] });
    running.add(child);
    onTestFinished(async () => {
      running.delete(child);
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    });
    const said: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => said.push(line));
    const address: IpAddress = { kind: 'ip', host: '127.0.0.1', port };
    const answers = () =>
      connectTo(address).then(
        (socket) => socket.destroy() && true,
        () => false,
      );
    await expect.poll(answers, { timeout: 10_000 }).toBe(true);
    return address;
  }

  function tls(name: string): string {
    return `ssl crt ${authority.path(`${name}.pem`)} ca-file ${authority.bundle} verify required ssl-min-ver TLSv1.3`;
  }

  /** It dials us. */
  async function haproxyToUs(...flags: string[]): Promise<{ us: Program; address: IpAddress }> {
    const us = Program.inFrontOf(
      [await echo()],
      ['--engine', engine, '--tls-accept', 'mutual', ...authority.flags('server'), ...flags],
    );
    return { us, address: await haproxy(await us.loopback(), '', tls('client')) };
  }

  /** We dial it. */
  async function usToHaproxy(wants = 'server'): Promise<{ us: Program; address: IpAddress }> {
    const them = await haproxy(await echo(), tls('server'), '');
    const us = Program.inFrontOf(
      [them],
      ['--engine', engine, '--tls-dial', 'mutual', '--server-identity', idOf(wants), ...authority.flags('client')],
    );
    return { us, address: await us.loopback() };
  }

  it.each([
    ['dials us', () => haproxyToUs()],
    ['is dialled by us', () => usToHaproxy()],
  ])('carries megabytes and ends both ways where it %s', async (_, hop) => {
    const { us, address } = await hop();
    const text = Buffer.alloc(3_000_000, 'what goes there comes back. ');
    for (let times = 0; times < 3; times += 1) {
      const socket = await connectTo(address);
      socket.end(text);
      const { bytes, end } = await readAll(socket);
      expect(end).toBe('end');
      expect(text.equals(bytes)).toBe(true);
    }
    const done = ({ ending, bytesReceived }: { ending?: unknown; bytesReceived?: unknown }) =>
      ending === 'completed' && bytesReceived === text.length;
    await expect.poll(() => us.accessLines.filter(done)).toHaveLength(3);
  });

  it('has the client known to us, and no other let in', async () => {
    const { us, address } = await haproxyToUs('--client-identity', idOf('client'));
    const socket = await connectTo(address);
    socket.write('hello');
    expect(String(await readExactly(socket, 5))).toBe('hello');
    socket.end();
    await readAll(socket);
    expect(await us.accessLine(({ clientIdentity }) => clientIdentity !== undefined)).toMatchObject({
      clientIdentity: idOf('client'),
    });
    const other = await haproxy(await us.loopback(), '', tls('stranger'));
    const stranger = await connectTo(other);
    stranger.write('hello');
    await readAll(stranger);
    const refused = await us.accessLine(({ detail }) => String(detail).includes('stranger'));
    expect(refused).toMatchObject({
      ending: 'client-handshake',
      detail: expect.stringContaining(`${idOf('stranger')} is not among the clientIdentities`),
    });
  });

  it('is not connected to where it is somebody else than who is wanted', async () => {
    const { us, address } = await usToHaproxy('orders');
    const socket = await connectTo(address);
    expect((await readAll(socket)).end).toBe('reset');
    const line = await us.accessLine(({ ending }) => ending === 'connect-failed');
    expect(JSON.stringify(line)).toContain(`it is for ${idOf('server')}, where ${idOf('orders')} is wanted`);
  });

  it('is seen to be cut off where it is killed, which is no orderly end for our client', async () => {
    const { address } = await usToHaproxy();
    const socket = await connectTo(address);
    socket.write('hello');
    expect(String(await readExactly(socket, 5))).toBe('hello');
    for (const child of running) child.kill('SIGKILL');
    expect((await readAll(socket)).end).toBe('reset');
  });

  it('sees our reset as none of an orderly end', async () => {
    const { us, address } = await haproxyToUs();
    const socket = await connectTo(address);
    socket.write('hello');
    await readExactly(socket, 5);
    socket.resetAndDestroy();
    const line = await us.accessLine(({ bytesReceived }) => bytesReceived === 5);
    expect(line.ending).not.toBe('completed');
  });
});

describe.each(['native', 'streams'])('openssl as the other end of a hop, engine %s', (engine) => {
  let authority: TestAuthority;
  beforeAll(() => {
    if (!hasOpenssl) return;
    authority = new TestAuthority();
    for (const name of ['client', 'server']) authority.leaf(name);
  });
  afterAll(() => authority?.remove());
  beforeEach((context) => context.skip(!hasOpenssl, 'openssl is not on PATH'));

  function credential(name: string): string[] {
    const [certificate, key] = [authority.path(`${name}.crt`), authority.path(`${name}.key`)];
    return ['-cert', certificate, '-key', key, '-CAfile', authority.bundle, '-verify_return_error', '-tls1_3'];
  }

  function openssl(...args: string[]) {
    const child = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'pipe'] });
    onTestFinished(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    });
    const said = { out: '', error: '' };
    child.stdout.on('data', (bytes) => {
      said.out += bytes;
    });
    child.stderr.on('data', (bytes) => {
      said.error += bytes;
    });
    child.stdin.on('error', () => {});
    return { child, said };
  }

  async function accepting(): Promise<{ us: Program; at: string }> {
    const server = await startServer((socket) => void socket.pipe(socket));
    onTestFinished(() => server.close());
    const flags = ['--engine', engine, '--tls-accept', 'mutual', ...authority.flags('server')];
    const us = Program.inFrontOf([server.address], flags);
    return { us, at: formatAddress(await us.loopback()) };
  }

  it('is let in as a client by its certificate, and its end is an orderly one', async () => {
    const { us, at } = await accepting();
    const { child, said } = openssl('s_client', '-connect', at, '-quiet', '-no_ign_eof', ...credential('client'));
    child.stdin.write('hello\n');
    await expect.poll(() => said.out, { timeout: 10_000 }).toBe('hello\n');
    child.stdin.end();
    await once(child, 'exit');
    expect(await us.accessLine()).toMatchObject({ ending: 'completed', clientIdentity: idOf('client') });
  });

  it('is told that a certificate is required where it has none', async () => {
    const { us, at } = await accepting();
    const { child, said } = openssl('s_client', '-connect', at, '-quiet', '-CAfile', authority.bundle);
    await once(child, 'exit');
    // Node ends the connection without a word.
    if (engine === 'native') expect(said.error).toMatch(/alert certificate required/);
    expect((await us.accessLine()).detail).toMatch(/shows no certificate, and one is required/);
  });

  it('is dialled as a server that wants our certificate', async () => {
    const port = await freePort();
    const { said } = openssl(
      's_server',
      '-accept',
      `127.0.0.1:${port}`,
      '-Verify',
      '2',
      '-rev',
      ...credential('server'),
    );
    await expect.poll(() => said.out, { timeout: 10_000 }).toContain('ACCEPT');
    const identity = ['--tls-dial', 'mutual', '--server-identity', idOf('server'), ...authority.flags('client')];
    const us = Program.inFrontOf([`127.0.0.1:${port}`], ['--engine', engine, ...identity]);
    const socket = await connectTo(await us.loopback());
    socket.write('hello\n');
    expect(String(await readExactly(socket, 6))).toBe('olleh\n');
    socket.end();
    await readAll(socket);
    expect(await us.accessLine()).toMatchObject({ serverIdentity: idOf('server') });
  });
});
