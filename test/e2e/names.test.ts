import type { Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ServicesView } from '../../src/admin/views.js';
import { errnoOf } from '../../src/core/errors.js';
import { startBlackHole } from '../fakes/black-hole.js';
import { type DnsReply, type DnsServer, startDnsServer } from '../fakes/dns-server.js';
import { connectTo, readAll, readExactly, startServer, type TestServer } from '../fakes/net.js';
import { Program } from './program.js';

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));
const NO_IPV6 = 'this machine has no ::1';

/** Answers with the address that it was started on, and echoes. */
function startWhere(host: string, port = 0): Promise<TestServer> {
  return startServer(
    (socket) => {
      socket.write(host);
      socket.pipe(socket);
    },
    host,
    port,
  );
}

/** One on each of `hosts`, all on one port, as the addresses of a name have to be. */
async function startOnEach(hosts: readonly [string, ...string[]]): Promise<number> {
  const [first, ...others] = hosts;
  const one = await startWhere(first);
  onTestFinished(() => one.close());
  const { port } = one.address;
  for (const host of others) {
    try {
      const other = await startWhere(host, port);
      onTestFinished(() => other.close());
    } catch (error) {
      // A free port on one address may be taken on another.
      if (errnoOf(error) !== 'EADDRINUSE') throw error;
      return startOnEach(hosts);
    }
  }
  return port;
}

/** Where the next connection goes. */
async function whereTo(program: Program): Promise<string> {
  const socket = await connectTo(await program.loopback());
  socket.end();
  return (await readAll(socket)).bytes.toString();
}

async function open(program: Program): Promise<Socket> {
  const socket = await connectTo(await program.loopback());
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** A name server that says `reply.now` to every question for IPv4 addresses, and has none for IPv6. */
async function startDns(first: DnsReply): Promise<{ dns: DnsServer; reply: { now: DnsReply } }> {
  const reply = { now: first };
  const dns = await startDnsServer((type) =>
    type === 'A' || typeof reply.now === 'string' ? reply.now : { addresses: [], ttl: 60 },
  );
  onTestFinished(() => dns.close());
  return { dns, reply };
}

const SHORT = ['--dns-min-ttl', '100ms'];

describe('an address', () => {
  it.for([
    ['127.0.0.1:0', '127.0.0.1'],
    [':0', '127.0.0.1'],
    [':0', '::1'],
    ['[::1]:0', '::1'],
  ] as const)('%s is listened on, and reached at %s', async ([listen, host], context) => {
    context.skip(!hasIpv6 && host === '::1', NO_IPV6);
    const port = await startOnEach(['127.0.0.1']);
    const program = Program.inFrontOf([`:${port}`], [], { listen });
    const socket = await connectTo({ kind: 'ip', host, port: await program.port() });
    socket.end();
    expect((await readAll(socket)).bytes.toString()).toBe('127.0.0.1');
  });

  it('[::1]:PORT is an upstream', async (context) => {
    context.skip(!hasIpv6, NO_IPV6);
    const port = await startOnEach(['::1']);
    expect(await whereTo(Program.inFrontOf([`[::1]:${port}`]))).toBe('::1');
  });
});

describe('localhost', () => {
  it('reaches a server that listens on IPv4 alone', async () => {
    const port = await startOnEach(['127.0.0.1']);
    expect(await whereTo(Program.inFrontOf([`localhost:${port}`]))).toBe('127.0.0.1');
  });

  it('reaches a server that listens on IPv6 alone', async (context) => {
    context.skip(!hasIpv6, NO_IPV6);
    const port = await startOnEach(['::1']);
    expect(await whereTo(Program.inFrontOf([`localhost:${port}`]))).toBe('::1');
  });

  it('reaches IPv4 after a short head start where IPv6 does not answer, and counts no failure', async (context) => {
    context.skip(!hasIpv6, NO_IPV6);
    const port = await startOnEach(['127.0.0.1']);
    const hole = await startBlackHole('::1', port);
    onTestFinished(() => hole.close());
    const program = Program.inFrontOf([`localhost:${port}`], ['--connect-timeout', '1h', '--connect-deadline', '1h']);
    expect(await whereTo(program)).toBe('127.0.0.1');
    const { upstream, attempts, connectMs = 0 } = await program.accessLine();
    expect({ upstream, attempts }).toEqual({ upstream: `127.0.0.1:${port}`, attempts: undefined });
    // Less a millisecond, which timers may be early by.
    expect(connectMs).toBeGreaterThanOrEqual(249);
  });

  it('can be listened on', async () => {
    const port = await startOnEach(['127.0.0.1']);
    const program = Program.inFrontOf([`127.0.0.1:${port}`], [], { listen: 'localhost:0' });
    expect(await whereTo(program)).toBe('127.0.0.1');
  });
});

describe('a name', () => {
  it('stands for all of its addresses, which are used in turn', async () => {
    const hosts = ['127.0.0.2', '127.0.0.3', '127.0.0.4'] as const;
    const port = await startOnEach([...hosts]);
    const { dns } = await startDns({ addresses: hosts, ttl: 60 });
    const program = Program.inFrontOf([`app.test:${port}`], ['--dns-server', dns.address, '--balance', 'round-robin']);
    const went: string[] = [];
    for (let i = 0; i < 6; i += 1) went.push(await whereTo(program));
    expect(went).toEqual([...hosts, ...hosts]);
    expect(new Set(dns.queries)).toEqual(new Set(['app.test A', 'app.test AAAA']));
  });

  it('moves when its answer has expired; connections that are open stay where they are', async () => {
    const port = await startOnEach(['127.0.0.2', '127.0.0.3']);
    const { dns, reply } = await startDns({ addresses: ['127.0.0.2'], ttl: 0 });
    const program = Program.inFrontOf([`app.test:${port}`], ['--dns-server', dns.address, ...SHORT]);
    const live = await open(program);
    expect((await readExactly(live, 9)).toString()).toBe('127.0.0.2');
    reply.now = { addresses: ['127.0.0.3'], ttl: 0 };
    await expect.poll(() => whereTo(program)).toBe('127.0.0.3');
    expect(await whereTo(program)).toBe('127.0.0.3');
    live.end('still there');
    expect((await readAll(live)).bytes.toString()).toBe('still there');
  });

  it('is not asked for again before its answer has expired', async () => {
    const port = await startOnEach(['127.0.0.2']);
    const { dns } = await startDns({ addresses: ['127.0.0.2'], ttl: 3600 });
    const program = Program.inFrontOf([`app.test:${port}`], ['--dns-server', dns.address, ...SHORT]);
    await program.port();
    const asked = dns.queries.length;
    for (let i = 0; i < 20; i += 1) await whereTo(program);
    expect(dns.queries.length).toBe(asked);
  });

  it('that vanishes keeps its last answer, which is told, until there is another', async () => {
    const port = await startOnEach(['127.0.0.2', '127.0.0.3']);
    const { dns, reply } = await startDns({ addresses: ['127.0.0.2'], ttl: 0 });
    const upstream = `app.test:${port}`;
    const program = Program.inFrontOf([upstream], ['--dns-server', dns.address, ...SHORT]);
    await program.port();
    reply.now = 'nxdomain';
    const { level } = await program.said(/cannot resolve app\.test: no such name.*; the last answer stays in force/);
    expect(level).toBe('warn');
    expect(await whereTo(program)).toBe('127.0.0.2');
    expect(await program.metric('meshproxy_resolve_failures_total', { upstream })).toBeGreaterThan(0);
    const { services } = await program.json<ServicesView>('/services');
    expect(services[0]?.upstreams).toMatchObject([{ upstream, error: expect.stringContaining('cannot resolve') }]);
    reply.now = { addresses: ['127.0.0.3'], ttl: 0 };
    await expect.poll(() => whereTo(program)).toBe('127.0.0.3');
  });

  it.each([
    ['nxdomain', 'no such name (ENOTFOUND)'],
    ['servfail', 'the name server failed (ESERVFAIL)'],
  ] as const)(
    'that cannot be resolved at the start (%s) is told in one line, and the exit code is 1',
    async (said, words) => {
      const { dns } = await startDns(said);
      const program = Program.inFrontOf(['app.test:80'], ['--dns-server', dns.address]);
      expect(await program.exit()).toBe(1);
      expect(program.lines[0]).toBe(`meshproxy: cannot resolve app.test: ${words}`);
      expect(program.lines.slice(1).every((line) => /^ {2}\(.*\)$/.test(line))).toBe(true);
    },
  );
});
