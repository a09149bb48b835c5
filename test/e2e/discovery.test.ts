import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ServicesView } from '../../src/admin/views.js';
import { formatAddress, type IpAddress } from '../../src/core/address.js';
import { nativeSupport } from '../../src/l4/native/support.js';
import { type DnsReply, srv, startDnsServer } from '../fakes/dns-server.js';
import { connectTo, readAll, readExactly, startServer } from '../fakes/net.js';
import { Program } from './program.js';

const ENGINES = nativeSupport().ok ? ['native', 'streams'] : ['streams'];

/** Answers with one letter, and echoes. */
async function startNamed(letter: string): Promise<IpAddress> {
  const server = await startServer((socket) => {
    socket.on('error', () => {});
    socket.write(letter);
    socket.pipe(socket);
  });
  onTestFinished(() => server.close());
  return server.address;
}

class EndpointsFile {
  readonly path: string;

  constructor(text: string) {
    const folder = mkdtempSync(join(tmpdir(), 'meshproxy-discovery-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    this.path = join(folder, 'endpoints.yaml');
    writeFileSync(this.path, text);
  }

  get upstream(): string {
    return `file://${this.path}`;
  }

  replace(text: string): void {
    writeFileSync(`${this.path}.new`, text);
    renameSync(`${this.path}.new`, this.path);
  }
}

/** A list of endpoints, each an address and what else there is to say of it. */
function listOf(...endpoints: readonly (readonly [IpAddress, string?])[]): string {
  return endpoints.map(([address, more = '']) => `- {address: "${formatAddress(address)}"${more}}\n`).join('');
}

async function open(program: Program): Promise<Socket> {
  const socket = await connectTo(await program.loopback());
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** The letter of where the next connection goes, and how it ends. */
async function ask(program: Program): Promise<string> {
  const socket = await connectTo(await program.loopback());
  socket.end();
  const { bytes, end } = await readAll(socket);
  return end === 'end' ? bytes.toString() : end;
}

async function shown(program: Program) {
  const { services } = await program.json<ServicesView>('/services');
  return services[0];
}

describe.each(ENGINES)('on %s, endpoints from a file', (engine) => {
  const args = ['--engine', engine, '--balance', 'round-robin'];

  it('change under traffic, and no connection fails', async () => {
    const [a, b] = [await startNamed('a'), await startNamed('b')];
    const file = new EndpointsFile(listOf([a]));
    const program = Program.inFrontOf([file.upstream], args);
    const seen = new Set<string>();
    for (let round = 0; round < 6; round += 1) {
      const wanted = round % 2 === 0 ? 'b' : 'a';
      file.replace(listOf([round % 2 === 0 ? b : a]));
      for (let answer = ''; answer !== wanted; ) {
        answer = await ask(program);
        seen.add(answer);
      }
      // What was removed gets nothing any more, from whichever worker; a worker that has answered has heard of it.
      await program.text('/metrics');
      for (let again = 0; again < 8; again += 1) expect(await ask(program)).toBe(wanted);
    }
    expect([...seen].sort()).toEqual(['a', 'b']);
  });

  it('stay where the file is broken, which is told; go where it lists none; and come back', async () => {
    const a = await startNamed('a');
    const file = new EndpointsFile(listOf([a]));
    const program = Program.inFrontOf([file.upstream], args);
    expect(await ask(program)).toBe('a');
    file.replace('- {address: nonsense}');
    const { level } = await program.said(/:1:13: \[0\]\.address: "nonsense".*the last answer stays in force/s);
    expect(level).toBe('warn');
    expect(await ask(program)).toBe('a');
    expect(await program.metric('meshproxy_upstream_failing', { upstream: file.upstream })).toBe(1);
    file.replace('[]');
    await program.said(/has no endpoints: the file lists none/);
    await expect.poll(() => ask(program)).toBe('reset');
    expect((await program.accessLine(({ ending }) => ending === 'no-endpoint')).service).toBe('default');
    expect(await program.metric('meshproxy_upstream_endpoints', { upstream: file.upstream })).toBe(0);
    file.replace(listOf([a]));
    await program.said(/has endpoints again: 1/);
    await expect.poll(() => ask(program)).toBe('a');
    expect(await program.metric('meshproxy_upstream_failing', { upstream: file.upstream })).toBe(0);
  });

  it('of weight 0 take no new connection, and are shown', async () => {
    const [a, b] = [await startNamed('a'), await startNamed('b')];
    const file = new EndpointsFile(listOf([a, ', weight: 0'], [b, ', zone: eu-1, metadata: {rack: r7}']));
    const program = Program.inFrontOf([file.upstream], args);
    for (let again = 0; again < 8; again += 1) expect(await ask(program)).toBe('b');
    expect((await shown(program))?.endpoints).toMatchObject([
      { id: formatAddress(a), weight: 0, connected: 0 },
      { id: formatAddress(b), zone: 'eu-1', metadata: { rack: 'r7' }, connected: 8 },
    ]);
  });

  it('that are removed keep the connections they have, unless these are to be reset', async () => {
    const [a, b] = [await startNamed('a'), await startNamed('b')];
    const file = new EndpointsFile(listOf([a], [b]));
    const [draining, resetting] = ['drain', 'reset'].map((how) =>
      Program.inFrontOf([file.upstream], [...args, '--on-endpoint-removed', how]),
    ) as [Program, Program];
    const [kept, cut] = (await Promise.all(
      [draining, resetting].map(async (program) => {
        const sockets = { a: [] as Socket[], b: [] as Socket[] };
        // Enough for both workers.
        for (let opened = 0; opened < 12; opened += 1) {
          const socket = await open(program);
          sockets[(await readExactly(socket, 1)).toString() as 'a' | 'b'].push(socket);
        }
        return sockets;
      }),
    )) as [{ a: Socket[]; b: Socket[] }, { a: Socket[]; b: Socket[] }];
    expect([kept, cut].map(({ a, b }) => [a.length, b.length])).toEqual([
      [6, 6],
      [6, 6],
    ]);
    file.replace(listOf([b]));
    expect(await Promise.all(cut.a.map(async (socket) => (await readAll(socket)).end))).toEqual(Array(6).fill('reset'));
    const line = await resetting.accessLine(({ ending }) => ending === 'endpoint-removed');
    expect(line).toMatchObject({ endpoint: formatAddress(a), upstream: formatAddress(a) });
    await expect.poll(async () => (await shown(draining))?.endpoints.length).toBe(1);
    for (const socket of [...kept.a, ...kept.b, ...cut.b]) {
      socket.end('still there');
      expect((await readAll(socket)).bytes.toString()).toBe('still there');
    }
  });
});

describe.each(ENGINES)('on %s, endpoints from SRV records', (engine) => {
  const name = '_app._tcp.test';

  it('are used by priority and weight, and followed', async () => {
    const [a, b, c] = [await startNamed('a'), await startNamed('b'), await startNamed('c')];
    const zone: { srv: DnsReply } = {
      srv: {
        records: [
          srv(name, 'host.test', a.port, { priority: 10, weight: 30, ttl: 0 }),
          srv(name, 'host.test', b.port, { priority: 10, weight: 10, ttl: 0 }),
          srv(name, 'host.test', c.port, { priority: 20, ttl: 0 }),
        ],
      },
    };
    const dns = await startDnsServer((type) => {
      if (type === 'SRV') return zone.srv;
      return { addresses: type === 'A' ? ['127.0.0.1'] : [], ttl: 60 };
    });
    onTestFinished(() => dns.close());
    const upstream = `srv://${name}`;
    const program = Program.inFrontOf(
      [upstream],
      [
        '--engine',
        engine,
        '--workers',
        '1',
        '--balance',
        'round-robin',
        '--dns-server',
        dns.address,
        '--dns-min-ttl',
        '100ms',
      ],
    );
    let went = '';
    for (let asked = 0; asked < 16; asked += 1) went += await ask(program);
    expect([...went].sort().join('')).toBe('aaaaaaaaaaaabbbb');
    expect((await shown(program))?.endpoints).toMatchObject([{ weight: 30 }, { weight: 10 }, { priority: 1 }]);

    zone.srv = 'servfail';
    await program.said(/cannot resolve _app\._tcp\.test: .*ESERVFAIL.*; the last answer stays in force/);
    expect('ab').toContain(await ask(program));
    expect(await program.metric('meshproxy_resolve_failures_total', { upstream })).toBeGreaterThan(0);

    zone.srv = { truncated: { records: [srv(name, 'host.test', c.port, { ttl: 0 })] } };
    await program.said(/srv:\/\/_app\._tcp\.test is answered again/);
    await expect.poll(() => ask(program)).toBe('c');
    for (let again = 0; again < 4; again += 1) expect(await ask(program)).toBe('c');

    zone.srv = { records: [] };
    await program.said(/has no endpoints: the name has no SRV record/);
    await expect.poll(() => ask(program)).toBe('reset');
  });

  it('may be none at the start, which is said in words', async () => {
    const dns = await startDnsServer(() => ({ records: [] }));
    onTestFinished(() => dns.close());
    const program = Program.inFrontOf([`srv://${name}`], ['--engine', engine, '--dns-server', dns.address]);
    const { level } = await program.said(/srv:\/\/_app\._tcp\.test has no endpoints: the name has no SRV record/);
    expect(level).toBe('warn');
    expect(await ask(program)).toBe('reset');
  });
});

describe('an upstream that cannot be', () => {
  it.each([
    ['tpc://10.0.0.1:80', 'there is no scheme "tpc"', 'did you mean tcp://?'],
    ['file:///nowhere/endpoints.yaml', 'cannot read /nowhere/endpoints.yaml', 'no such file'],
  ])('%s stops the start: %s (%s)', async (upstream, ...words) => {
    const program = Program.inFrontOf([upstream]);
    expect(await program.exit()).not.toBe(0);
    for (const word of words) expect(program.stderr).toContain(word);
  });
});
