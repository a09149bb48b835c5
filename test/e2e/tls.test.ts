import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { formatAddress, type IpAddress } from '../../src/core/address.js';
import { connectTo, readAll, readExactly, startServer } from '../fakes/net.js';
import { hasOpenssl, idOf, TestAuthority } from './mesh-certificates.js';
import { Program } from './program.js';

const run = promisify(execFile);

describe.each(['native', 'streams'])('a hop over mutual TLS, with the engine %s', (engine) => {
  let authority: TestAuthority;
  let strangers: TestAuthority;
  beforeAll(() => {
    if (!hasOpenssl) return;
    authority = new TestAuthority();
    strangers = new TestAuthority('strangers');
    for (const name of ['client', 'server', 'other']) authority.leaf(name);
    authority.leaf('expired', { from: -10, to: -5 });
    authority.leaf('early', { from: 5, to: 10 });
    authority.leaf('nobody', { names: ['DNS:nobody.example'] });
    authority.leaf('two', { names: [`URI:${idOf('two')}`, `URI:${idOf('more')}`] });
    authority.leaf('serveronly', { usage: 'extendedKeyUsage=serverAuth' });
    authority.leaf('web', { names: ['DNS:web.example'] });
    strangers.leaf('client');
  });
  afterAll(() => {
    authority?.remove();
    strangers?.remove();
  });
  beforeEach((context) => context.skip(!hasOpenssl, 'openssl is not on PATH'));

  async function echo(): Promise<string> {
    const server = await startServer((socket) => void socket.pipe(socket));
    onTestFinished(() => server.close());
    return formatAddress(server.address);
  }

  /** The proxy beside the server: `as` is who it is. */
  async function inbound(
    upstream: string,
    flags: readonly string[] = [],
    as = 'server',
  ): Promise<[Program, IpAddress]> {
    const program = Program.inFrontOf(
      [upstream],
      ['--engine', engine, '--tls-accept', 'mutual', ...authority.flags(as), ...flags],
    );
    return [program, await program.loopback()];
  }

  /** The proxy beside the client. */
  async function outbound(
    to: IpAddress,
    flags: readonly string[] = authority.flags('client'),
    wants = 'server',
  ): Promise<[Program, IpAddress]> {
    const identity = ['--tls-dial', 'mutual', '--server-identity', idOf(wants)];
    const program = Program.inFrontOf([formatAddress(to)], ['--engine', engine, ...identity, ...flags]);
    return [program, await program.loopback()];
  }

  async function said(address: IpAddress, text: string): Promise<string> {
    const socket = await connectTo(address);
    socket.write(text);
    const answer = String(await readExactly(socket, text.length));
    socket.end();
    await readAll(socket);
    return answer;
  }

  /** How a connection ends that nobody serves. */
  async function ending(address: IpAddress): Promise<string> {
    const socket = await connectTo(address);
    return (await readAll(socket)).end;
  }

  it('carries bytes and ends both ways, and each side knows who the other is', async () => {
    const [server, at] = await inbound(await echo());
    const [client, address] = await outbound(at);
    const socket = await connectTo(address);
    const text = Buffer.alloc(3_000_000, 'what goes there comes back. ');
    socket.end(text);
    const { bytes, end } = await readAll(socket);
    expect(end).toBe('end');
    expect(text.equals(bytes)).toBe(true);
    expect(await server.accessLine()).toMatchObject({ clientIdentity: idOf('client'), ending: 'completed' });
    expect(await client.accessLine()).toMatchObject({ serverIdentity: idOf('server'), ending: 'completed' });
  });

  it('takes another certificate for new connections from its files, and leaves those that are open alone', async () => {
    authority.leaf('renewed');
    authority.leaf('mine');
    const [server, at] = await inbound(await echo());
    const [client, address] = await outbound(at, authority.flags('mine'));
    const open = await connectTo(address);
    open.write('before');
    await readExactly(open, 6);
    authority.replace('mine', 'renewed');
    await client.said(/the certificate of .*renewed, valid until .* holds for new connections/);
    expect(await said(address, 'with the new one')).toBe('with the new one');
    open.write('still');
    expect(String(await readExactly(open, 5))).toBe('still');
    open.end();
    await readAll(open);
    await expect
      .poll(() => server.accessLines.map(({ clientIdentity }) => clientIdentity))
      .toEqual([idOf('renewed'), idOf('mine')]);
  });

  it('keeps the certificate it has where the files hold garbage, half a file, or a key that does not fit', async () => {
    authority.leaf('kept');
    const [, at] = await inbound(await echo());
    const [client, address] = await outbound(at, authority.flags('kept'));
    await said(address, 'hello');
    const whole = authority.read('kept.crt');
    writeFileSync(authority.path('kept.crt'), whole.slice(0, 300));
    await client.said(/kept\.crt: certificate 1 of it is not complete; what was there before stays in force/);
    writeFileSync(authority.path('kept.crt'), authority.read('other.crt'));
    await client.said(/kept\.key: it is not the key of the certificate in .*stays in force/);
    writeFileSync(authority.path('kept.crt'), authority.read('expired.crt'));
    writeFileSync(authority.path('kept.key'), authority.read('expired.key'));
    await client.said(/kept\.crt: it has expired \(20.*stays in force/);
    expect(await said(address, 'all the same')).toBe('all the same');
  });

  it.each([
    ['expired', /the client's certificate of .*expired expired 5 days ago \(20/],
    ['early', /the client's certificate of .*early is not valid before 20.*, in 4 days: compare the clocks/],
    ['nobody', /it names no workload/],
    ['two', /it names 2 URIs, and a workload has exactly one/],
    ['serveronly', /the client's certificate of .*serveronly is not meant for a TLS client/],
  ])('refuses a client whose certificate is %s, and says why on both sides', async (name, why) => {
    const [server, at] = await inbound(await echo());
    const [client, address] = await outbound(at, authority.flags(name));
    expect(await ending(address)).toBe('reset');
    expect((await server.accessLine()).detail).toMatch(why);
    const { detail = '', attempts = [], ending: how } = await client.accessLine();
    expect(['upstream-tls', 'upstream-reset', 'connect-failed', 'upstream-lost']).toContain(how);
    if (engine === 'native') expect(detail + JSON.stringify(attempts)).toMatch(/refuses our certificate/);
  });

  it('refuses a client of another authority, with the fingerprint seen and those that are trusted', async () => {
    const [server, at] = await inbound(await echo());
    const flags = [...strangers.flags('client').slice(0, 4), '--tls-bundle', authority.bundle];
    const [, address] = await outbound(at, flags);
    expect(await ending(address)).toBe('reset');
    expect((await server.accessLine()).detail).toMatch(
      /issued by CN=strangers, which is not known here \(fingerprint seen: ([0-9A-F]{2}:){7}[0-9A-F]{2}; trusted: ([0-9A-F]{2}:){7}[0-9A-F]{2}\)/,
    );
  });

  it('refuses a client that is not among those that are let in, and lets in who is', async () => {
    const [server, at] = await inbound(await echo(), ['--client-identity', idOf('client')]);
    const [, stranger] = await outbound(at, authority.flags('other'));
    expect(await ending(stranger)).toBe('reset');
    expect((await server.accessLine()).detail).toContain(`${idOf('other')} is not among the clientIdentities`);
    const [, friend] = await outbound(at);
    expect(await said(friend, 'a friend')).toBe('a friend');
  });

  it('does not connect to a server that is somebody else', async () => {
    const [, at] = await inbound(await echo());
    const [client, address] = await outbound(at, authority.flags('client'), 'payments');
    expect(await ending(address)).toBe('reset');
    const { attempts = [], ending: how } = await client.accessLine();
    expect(how).toBe('connect-failed');
    expect(attempts[0]?.error).toContain(`it is for ${idOf('server')}, where ${idOf('payments')} is wanted`);
  });

  it('says so where a client speaks plain text, or shows no certificate', async () => {
    const [server, at] = await inbound(await echo());
    const plain = await connectTo(at);
    plain.write('GET / HTTP/1.1\r\n\r\n');
    await readAll(plain);
    expect((await server.accessLine()).detail).toContain('it sent plain text, beginning with "GET / HTTP/1.1');
    const bare = tls.connect({ host: at.host, port: at.port, rejectUnauthorized: false });
    bare.on('error', () => {});
    await once(bare, 'close').catch(() => {});
    await expect.poll(() => server.accessLines.length).toBe(2);
    expect(server.accessLines[1]?.detail).toMatch(/shows no certificate, and one is required/);
  });

  it('makes a reset of a stream that ends without close_notify', async () => {
    const received: string[] = [];
    const upstream = await startServer((socket) => void readAll(socket).then(({ end }) => received.push(end)));
    onTestFinished(() => upstream.close());
    const [server, at] = await inbound(formatAddress(upstream.address));
    const raw = await connectTo(at);
    const secured = tls.connect({
      socket: raw,
      rejectUnauthorized: false,
      cert: authority.read('client.crt'),
      key: authority.read('client.key'),
    });
    secured.on('error', () => {});
    await once(secured, 'secureConnect');
    secured.write('the first half');
    await expect.poll(() => server.metric('meshproxy_received_bytes_total')).toBe(14);
    // As the kernel does for a process that is killed: no word of TLS.
    raw.destroy();
    await expect.poll(() => received).toEqual(['reset']);
    expect(await server.accessLine()).toMatchObject({
      ending: 'client-tls',
      detail: expect.stringContaining('close_notify'),
    });
  });

  it('is understood by curl with a certificate, where it terminates and where it asks for one', async (context) => {
    context.skip(spawnSync('curl', ['--version']).status !== 0, 'curl is not on PATH');
    const http = await startServer((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello'));
    });
    onTestFinished(() => http.close());
    const curl = async (port: number, ...args: string[]): Promise<string> => {
      const trust = ['-sS', '--max-time', '20', '--cacert', authority.bundle];
      const where = ['--resolve', `web.example:${port}:127.0.0.1`, `https://web.example:${port}/`];
      return (await run('curl', [...trust, ...args, ...where])).stdout;
    };
    const mutual = Program.inFrontOf(
      [formatAddress(http.address)],
      ['--engine', engine, '--tls-accept', 'mutual', ...authority.flags('web')],
    );
    const withCertificate = ['--cert', authority.path('client.crt'), '--key', authority.path('client.key')];
    expect(await curl((await mutual.loopback()).port, ...withCertificate)).toBe('hello');
    const terminating = Program.inFrontOf(
      [formatAddress(http.address)],
      ['--engine', engine, '--tls-accept', 'terminate', ...authority.flags('web')],
    );
    const { port } = await terminating.loopback();
    expect(await curl(port)).toBe('hello');
    expect(await curl(port, '--tls-max', '1.2')).toBe('hello');
  });

  it('originates TLS to a server that is known by its name, and to no other', async () => {
    const server = tls.createServer(
      { cert: authority.read('web.crt'), key: authority.read('web.key') },
      (socket) => void socket.pipe(socket),
    );
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const common = ['--engine', engine, '--tls-dial', 'originate', '--tls-bundle', authority.bundle];
    const right = Program.inFrontOf([`127.0.0.1:${port}`], [...common, '--server-name', 'web.example']);
    expect(await said(await right.loopback(), 'over TLS')).toBe('over TLS');
    const wrong = Program.inFrontOf([`127.0.0.1:${port}`], common);
    expect(await ending(await wrong.loopback())).toBe('reset');
    const { attempts = [] } = await wrong.accessLine();
    expect(attempts[0]?.error).toContain('it is not for 127.0.0.1: it is for DNS:web.example');
  });
});

it('is not configured by halves', async () => {
  const program = new Program([
    '--listen',
    '127.0.0.1:0',
    '--upstream',
    '127.0.0.1:9',
    '--tls-dial',
    'mutual',
    '--tls-key',
    'x.key',
  ]);
  expect(await program.exit()).toBe(2);
  expect(program.stderr).toContain('of no use without identity.certificate');
  expect(program.stderr).toContain(
    '"mutual" needs files that identity does not name: certificate, bundle (--tls-certificate, --tls-bundle, or --ca)',
  );
  expect(program.stderr).toContain('"mutual" needs serverIdentity');
});
