import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { ConnectionsView } from '../../src/admin/views.js';
import type { IpAddress } from '../../src/core/address.js';
import { nativeSupport } from '../../src/l4/native/support.js';
import { encodeProxyHeader } from '../../src/l4/proxy-header.js';
import { readAll, startServer } from '../fakes/net.js';
import { hasOpenssl, TestAuthority } from './mesh-certificates.js';
import { Program } from './program.js';

const ENGINES = nativeSupport().ok ? ['native', 'streams'] : ['streams'];

async function startNamed(count: number): Promise<IpAddress[]> {
  const started = Array.from({ length: count }, async (_, nth) => {
    const server = await startServer((socket) => socket.end(`e${nth}`));
    onTestFinished(() => server.close());
    return server.address;
  });
  return Promise.all(started);
}

/** Who answers a client that comes from `localAddress` and says `first`. */
async function answerTo({ host, port }: IpAddress, localAddress: string, first?: Uint8Array): Promise<string> {
  const socket = net.connect({ host, port, localAddress });
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  if (first !== undefined) socket.write(first);
  const { bytes } = await readAll(socket);
  socket.end();
  return bytes.toString();
}

async function loopback(program: Program): Promise<IpAddress> {
  const address = await program.loopback();
  if (address.kind !== 'ip') throw new Error('it listens on an IP address');
  return address;
}

describe.each(ENGINES)('on %s, --balance', (engine) => {
  const workers = engine === 'native' ? ['--workers', '2'] : [];

  it.each(['ring-hash', 'maglev'])(
    '%s sends a client to one endpoint, whatever worker it meets, and clients to all',
    async (balance) => {
      const program = Program.inFrontOf(await startNamed(4), ['--engine', engine, ...workers, '--balance', balance]);
      const address = await loopback(program);
      const owners = new Set<string>();
      for (let client = 1; client <= 24; client += 1) {
        const answers = Array.from({ length: 4 }, () => answerTo(address, `127.0.1.${client}`));
        const [owner, ...others] = new Set(await Promise.all(answers));
        expect(others).toEqual([]);
        owners.add(owner ?? '');
      }
      expect([...owners].toSorted()).toEqual(['e0', 'e1', 'e2', 'e3']);
      const line = await program.accessLine();
      expect(line.why).toMatch(new RegExp(`^${balance}, source-ip 127\\.0\\.1\\.\\d+$`));
    },
  );

  it('maglev goes by a field of the PROXY protocol header', async () => {
    const program = Program.inFrontOf(await startNamed(4), [
      ...['--engine', engine, ...workers, '--balance', 'maglev', '--hash-key', 'proxy-tlv:0xEA'],
      '--accept-proxy-protocol',
    ]);
    const address = await loopback(program);
    const owners = new Map<string, string>();
    for (const tenant of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) {
      const tlvs = [{ type: 0xea, value: Buffer.from(tenant) }];
      const sources = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((host) => ({ kind: 'ip', host, port: 5 }) as const);
      const answers = sources.map((source) =>
        answerTo(
          address,
          '127.0.0.1',
          encodeProxyHeader('v2', source, { kind: 'ip', host: '10.0.0.9', port: 80 }, { tlvs }),
        ),
      );
      const [owner, ...others] = new Set(await Promise.all(answers));
      expect(others).toEqual([]);
      owners.set(tenant, owner ?? '');
    }
    expect(new Set(owners.values()).size).toBeGreaterThan(1);
    expect((await program.accessLine()).why).toMatch(/^maglev, proxy-tlv:0xEA [a-h]$/);
  });

  describe.runIf(hasOpenssl)('with TLS', () => {
    let authority: TestAuthority;
    beforeAll(() => {
      authority = new TestAuthority();
      authority.leaf('web', { names: ['DNS:*.example.org', 'URI:spiffe://example.org/ns/default/sa/web'] });
    });

    it('maglev goes by the name that a client asks for', async () => {
      const program = Program.inFrontOf(await startNamed(4), [
        ...['--engine', engine, ...workers, '--balance', 'maglev', '--hash-key', 'sni'],
        ...['--tls-accept', 'terminate', ...authority.flags('web')],
      ]);
      const { host, port } = await loopback(program);
      const ask = async (servername: string | undefined): Promise<string> => {
        const socket = tls.connect({
          host,
          port,
          ca: authority.read('bundle.pem'),
          ...(servername && { servername }),
          checkServerIdentity: () => undefined,
        });
        onTestFinished(() => void socket.destroy());
        const { bytes } = await readAll(socket);
        return bytes.toString();
      };
      const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((name) => `${name}.example.org`);
      const owners: string[] = [];
      for (const name of names) {
        const [owner, ...others] = new Set([await ask(name), await ask(name), await ask(name.toUpperCase())]);
        expect(others).toEqual([]);
        owners.push(owner ?? '');
      }
      expect(new Set(owners).size).toBeGreaterThan(1);
      await ask(undefined);
      await expect
        .poll(() => program.accessLines.map(({ why }) => why))
        .toContain('maglev, source-ip 127.0.0.1 (it has no sni)');
      expect(program.accessLines[0]?.why).toBe('maglev, sni a.example.org');
    });

    it('maglev goes by that name also where TLS is passed through, and by the address of who names nobody', async () => {
      const certificate = { key: authority.read('web.key'), cert: authority.read('web.crt') };
      const endpoints = await Promise.all(
        ['e0', 'e1', 'e2', 'e3'].map(async (name) => {
          const server = tls.createServer(certificate, (socket) => void socket.end(name)).listen(0, '127.0.0.1');
          server.on('tlsClientError', () => {});
          onTestFinished(() => void server.close());
          await once(server, 'listening');
          return { kind: 'ip', host: '127.0.0.1', port: (server.address() as net.AddressInfo).port } as const;
        }),
      );
      const program = Program.inFrontOf(endpoints, [
        ...['--engine', engine, ...workers, '--balance', 'maglev', '--hash-key', 'sni', '--detect-timeout', '100ms'],
      ]);
      const { host, port } = await loopback(program);
      const owners = new Set<string>();
      for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) {
        const servername = `${name}.example.org`;
        const answers = Array.from({ length: 3 }, async () => {
          const socket = tls.connect({ host, port, ca: authority.read('bundle.pem'), servername });
          onTestFinished(() => void socket.destroy());
          return (await readAll(socket)).bytes.toString();
        });
        const [owner, ...others] = new Set(await Promise.all(answers));
        expect(others).toEqual([]);
        owners.add(owner ?? '');
      }
      expect(owners.size).toBeGreaterThan(1);
      const plain = net.connect({ host, port });
      plain.write('GET / HTTP/1.0\r\n\r\n');
      await readAll(plain);
      const silent = net.connect({ host, port });
      onTestFinished(() => void silent.destroy());
      const byAddress = 'maglev, source-ip 127.0.0.1 (it has no sni)';
      await expect
        .poll(async () => (await program.json<ConnectionsView>('/connections')).connections[0]?.attempts[0]?.why)
        .toBe(byAddress);
      const whys = program.accessLines.map(({ why }) => why);
      expect(whys.filter((why) => /^maglev, sni [a-h]\.example\.org$/.test(why ?? ''))).toHaveLength(24);
      expect(whys.at(-1)).toBe(byAddress);
    });
  });
});
