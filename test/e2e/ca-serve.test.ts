import { execFile, spawnSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Address, formatAddress, parseAddress } from '../../src/core/address.js';
import { parseJoinToken } from '../../src/pki/join-token.js';
import {
  ask,
  askCertificate,
  endpoint,
  keptAgent,
  newAuthority,
  newCsr,
  newLeaf,
  newToken,
  WEB,
} from '../fakes/authority.js';
import { parseExposition } from '../fakes/prometheus.js';
import { MAIN, NODE, Program } from './program.js';

const run = promisify(execFile);

/** A folder with an authority, and what a test does beside the processes that serve from it. */
async function newMesh() {
  const { store, authority, tokens } = await newAuthority();
  const roots = authority.trust.bundle;
  const { directory } = store;
  return { authority, tokens, roots, directory, token: () => newToken(authority, tokens) };
}

class Ca {
  readonly program: Program;

  constructor(directory: string, args: readonly string[] = []) {
    this.program = new Program(['ca', 'serve', '--dir', directory, '--listen', '127.0.0.1:0', ...args]);
  }

  async address(): Promise<Address> {
    return parseAddress(String((await this.program.said(/^serving certificates of example.org on/))['listen']));
  }
}

async function command(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return run(NODE, [MAIN, 'ca', ...args]);
}

/** Serials in the issuance log, as it is on the disk. */
function loggedSerials(directory: string): Set<string> {
  const folder = join(directory, 'issued');
  const lines = readdirSync(folder).flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'));
  return new Set(lines.flatMap((line) => (line.endsWith('}') ? [String(JSON.parse(line).serial)] : [])));
}

describe('meshproxy ca serve', () => {
  it('gives curl a certificate for a token, and another for the certificate', async (context) => {
    const missing = ['curl', 'openssl'].find((name) => spawnSync(name, ['version']).error !== undefined);
    context.skip(missing !== undefined, `${missing} is not on PATH`);
    const { directory } = await newMesh();
    const ca = new Ca(directory);
    const address = await ca.address();
    const url = `https://${formatAddress(address)}/v1/certificate`;
    const made = await command('token', '--dir', directory, '--identity', 'ns/default/sa/web');
    const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const files = { key: join(directory, 'web.key'), crt: join(directory, 'web.crt'), body: join(directory, 'body') };
    writeFileSync(files.key, keys.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const csr = await run('openssl', ['req', '-new', '-key', files.key, '-subj', '/CN=whoever']);
    const curl = async (token: string | undefined, ...args: string[]) => {
      writeFileSync(files.body, JSON.stringify({ csr: csr.stdout, token }));
      // The service is known by its SPIFFE ID, which curl does not look at: hence -k.
      return JSON.parse((await run('curl', ['-sk', '--data', `@${files.body}`, ...args, url])).stdout);
    };
    const first = await curl(made.stdout);
    expect(new X509Certificate(first.chain).subjectAltName).toBe(`URI:${WEB}`);
    writeFileSync(files.crt, first.chain);
    const second = await curl(undefined, '--cert', files.crt, '--key', files.key);
    expect(second.serial).not.toBe(first.serial);
    expect(loggedSerials(directory)).toEqual(expect.objectContaining(new Set([first.serial, second.serial])));
    expect(await ca.program.said(/^issued a certificate/)).toMatchObject({
      identity: WEB,
      serial: first.serial,
      requester: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      by: expect.stringMatching(/^token/),
    });
    expect((await curl(undefined)).code).toBe('unauthorized');
    expect(await ca.program.said(/^refused 127/)).toMatchObject({ level: 'warn', code: 'unauthorized' });
  });

  it('shows its figures', async () => {
    const { authority, directory, roots } = await newMesh();
    const address = await new Ca(directory).address();
    await askCertificate(address, roots, { leaf: await newLeaf(authority) });
    await askCertificate(address, roots);
    const { series, type } = parseExposition((await ask(address, roots, '/metrics')).text);
    const value = (name: string, label?: string): number | undefined =>
      series.find((one) => one.name === name && (label === undefined || Object.values(one.labels).includes(label)))
        ?.value;
    expect(value('meshproxy_ca_issued_total', 'certificate')).toBe(1);
    expect(value('meshproxy_ca_refused_total', 'unauthorized')).toBe(1);
    expect(value('meshproxy_ca_issuer_expiry_seconds')).toBeGreaterThan(86_400 * 300);
    expect(value('meshproxy_certificate_expiry_seconds')).toBeGreaterThan(3000);
    expect(type.get('meshproxy_ca_waiters')).toBe('gauge');
  });

  it('drains on SIGTERM: who waits is answered, and it exits with 0', async () => {
    const { authority, directory, roots } = await newMesh();
    const ca = new Ca(directory);
    const address = await ca.address();
    const waiting = ask(address, roots, `/v1/trust?wait=60&after=${authority.trust.version}`);
    await expect.poll(async () => (await ask(address, roots, '/metrics')).text).toContain('meshproxy_ca_waiters 1');
    ca.program.kill('SIGHUP');
    await ca.program.said(/^SIGHUP: there is nothing to reload/);
    ca.program.kill('SIGTERM');
    expect((await waiting).body).toEqual(authority.trust);
    expect(await ca.program.exit()).toBe(0);
    expect(ca.program.log.at(-1)?.msg).toBe('stopped: what was under way is answered');
  });

  it.each([
    [['--rate', '200'], '--rate "200": write 200/s, 600/m, or off'],
    [['--lifetime', '8d'], '--lifetime "8d": it is not between 5m and 7d'],
    [['--concurrency', '0'], '--concurrency "0": write a number from 1'],
    [['--listen', 'nowhere'], 'the port is missing'],
    [['--dir', '/nonexistent'], 'there is no authority in this folder'],
  ])('with %j says what is wrong', async (args, why) => {
    const { directory } = await newMesh();
    const ca = new Ca(directory, args);
    expect(await ca.program.exit()).not.toBe(0);
    expect(ca.program.stderr).toContain(why);
  });
});

describe('several processes from one folder', () => {
  it('redeem a token exactly once, however many keys come for it at once', async () => {
    const { directory, roots, token } = await newMesh();
    const cas = [new Ca(directory), new Ca(directory)];
    const addresses = await Promise.all(cas.map((ca) => ca.address()));
    const one = await token();
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const address = addresses[index % 2] ?? expect.fail('no address');
        for (;;) {
          const answer = await askCertificate(address, roots, { token: one });
          // Many at once from one address: some are told to come back.
          if (answer.status !== 503) return answer;
        }
      }),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(new Set(answers.map(({ body }) => body.code))).toEqual(new Set([undefined, 'token-spent']));
  });

  it('notice at once what the command revokes: who waits is told, and nothing is issued any more', async () => {
    const { authority, directory, roots } = await newMesh();
    const leaf = await newLeaf(authority);
    const cas = [new Ca(directory), new Ca(directory)];
    const addresses = await Promise.all(cas.map((ca) => ca.address()));
    const waiting = addresses.map((address) =>
      ask(address, roots, `/v1/trust?wait=60&after=${authority.trust.version}`),
    );
    await command('revoke', '--dir', directory, '--identity', WEB, '--reason', 'stolen');
    const trusts = (await Promise.all(waiting)).map(({ body }) => body);
    expect(trusts[0]).toMatchObject({ revoked: { identities: [WEB] } });
    expect(trusts[1]).toEqual(trusts[0]);
    for (const address of addresses) {
      expect((await askCertificate(address, roots, { leaf })).body.code).toBe('revoked');
    }
  });
});

it('shows a certificate of the new issuer as soon as that signs, and knows the leaves of the old one', async () => {
  const { authority, directory, roots } = await newMesh();
  const leaf = await newLeaf(authority);
  const address = await new Ca(directory).address();
  const issuer = async (): Promise<string | undefined> => {
    const socket = tls.connect({ ...endpoint(address), ca: roots, checkServerIdentity: () => undefined });
    await once(socket, 'secureConnect');
    const name = socket.getPeerX509Certificate()?.issuer;
    socket.destroy();
    return name;
  };
  const before = await issuer();
  await command('rotate', 'issuer', '--dir', directory, '--step', 'prepare');
  await command('rotate', 'issuer', '--dir', directory, '--step', 'activate');
  await expect.poll(issuer).not.toBe(before);
  expect((await askCertificate(address, roots, { leaf })).status).toBe(200);
});

describe('kill -9', () => {
  it('in the middle of it loses no token, and whatever somebody got is in the log', async () => {
    const { authority, directory, roots, token } = await newMesh();
    const leaf = await newLeaf(authority);
    const received: string[] = [];
    for (let round = 0; round < 6; round += 1) {
      const ca = new Ca(directory, ['--rate', 'off']);
      const address = await ca.address();
      const [one, csr] = [await token(), newCsr()];
      let dead = false;
      const renewer = async (): Promise<void> => {
        const agent = keptAgent();
        while (!dead) {
          const answer = await askCertificate(address, roots, { leaf, agent }).catch(() => undefined);
          if (answer?.status === 200) received.push(answer.body.serial);
          if (answer === undefined) break;
        }
        agent.destroy();
      };
      const before = received.length;
      const renewers = Array.from({ length: 8 }, renewer);
      await expect.poll(() => received.length, { interval: 1 }).toBeGreaterThan(before + 10 * round);
      const joining = askCertificate(address, roots, { token: one, csr }).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, round * 2));
      ca.program.kill('SIGKILL');
      await ca.program.exit();
      dead = true;
      const joined = await joining;
      if (joined?.status === 200) received.push(joined.body.serial);
      await Promise.all(renewers);
      const next = await new Ca(directory).address();
      // Whether or not the first answer came: the same key may ask again.
      const again = await askCertificate(next, roots, { token: one, csr });
      expect(again.status).toBe(200);
      received.push(again.body.serial);
      expect((await askCertificate(next, roots, { token: one })).body.code).toBe('token-spent');
    }
    const logged = loggedSerials(directory);
    expect(received.filter((serial) => !logged.has(serial))).toEqual([]);
    expect(received.length).toBeGreaterThan(100);
  });
});

describe('hostile clients', () => {
  it('by the hundred, silent, slow or speaking nonsense, keep nobody else out and are got rid of', async () => {
    const { authority, directory, roots } = await newMesh();
    const ca = new Ca(directory);
    const address = await ca.address();
    const sockets: net.Socket[] = [];
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
    });
    const open = (socket: net.Socket): net.Socket => {
      socket.on('error', () => {});
      socket.resume();
      sockets.push(socket);
      return socket;
    };
    const secure = (): tls.TLSSocket =>
      tls.connect({ ...endpoint(address), ca: roots, checkServerIdentity: () => undefined });
    for (let index = 0; index < 700; index += 1) open(net.connect(endpoint(address)));
    for (let index = 0; index < 100; index += 1) open(net.connect(endpoint(address))).write(Buffer.alloc(999, index));
    for (let index = 0; index < 30; index += 1) {
      const post = 'POST /v1/certificate HTTP/1.1\r\nhost: ca\r\ncontent-length: 9999\r\n';
      open(secure()).write(index % 2 === 0 ? post : `${post}\r\n{"csr"`);
      open(secure()).write(`GET /v1/trust HTTP/1.1\r\n${'x: y\r\n'.repeat(index * 200)}`);
    }
    const leaf = await newLeaf(authority);
    expect((await askCertificate(address, roots, { leaf })).status).toBe(200);
    await Promise.all(sockets.map((socket) => socket.closed || once(socket, 'close')));
    expect((await askCertificate(address, roots, { leaf })).status).toBe(200);
    // What strangers do is no failure of the authority's.
    expect((await ask(address, roots, '/metrics')).text).toContain('\nmeshproxy_ca_failed_total 0\n');
    ca.program.kill('SIGTERM');
    expect(await ca.program.exit()).toBe(0);
  });
});

it('with few descriptors takes fewer connections, says so, and stays', async (context) => {
  context.skip(spawnSync('prlimit', ['--version']).status !== 0, 'prlimit is not on PATH: it is part of util-linux');
  const { authority, directory, roots } = await newMesh();
  const ca = new Program(['ca', 'serve', '--dir', directory, '--listen', '127.0.0.1:0'], {
    prefix: ['prlimit', '--nofile=140:140'],
  });
  const { listen } = await ca.said(/^serving certificates/);
  const address = parseAddress(String(listen));
  await ca.said(/^only 40 connections may be open/);
  const sockets = Array.from({ length: 300 }, () => net.connect(endpoint(address)).on('error', () => {}));
  onTestFinished(() => sockets.forEach((socket) => void socket.destroy()));
  await ca.said(/^turned away 127.0.0.1: half of all connections are from this address/);
  for (const socket of sockets) socket.destroy();
  const leaf = await newLeaf(authority);
  await expect
    .poll(() =>
      askCertificate(address, roots, { leaf }).then(
        ({ status }) => status,
        () => 0,
      ),
    )
    .toBe(200);
});

describe('meshproxy ca token', () => {
  it('prints the token alone, so that it can be piped; or writes it to a file for its owner alone', async () => {
    const { authority, directory } = await newMesh();
    const made = await command(
      'token',
      '--dir',
      directory,
      '--identity',
      WEB,
      '--ttl',
      '5m',
      '--ca',
      'ca.internal:8443',
    );
    const token = parseJoinToken(made.stdout);
    expect(made.stdout).toMatch(/^mpj1\.[\w-]+\n$/);
    expect(token).toMatchObject({ ca: 'ca.internal:8443', identity: { name: 'web' } });
    const root = new X509Certificate(authority.trust.bundle);
    expect(token.roots).toEqual([root.fingerprint256.replaceAll(':', '').toLowerCase()]);
    expect(made.stderr).toMatch(/^join token [0-9a-f]{16} for spiffe:.*, to be used once, until 20/);
    const file = join(directory, 'orders.token');
    expect((await command('token', '--dir', directory, '--identity', 'ns/a/sa/b', '--out', file)).stdout).toBe('');
    expect(parseJoinToken(readFileSync(file, 'utf8')).identity.name).toBe('b');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const again = command('token', '--dir', directory, '--identity', 'ns/a/sa/b', '--out', file);
    await expect(again).rejects.toThrow('there is one already');
  });

  it('lists and revokes', async () => {
    const { directory, token, tokens, roots } = await newMesh();
    const one = await token();
    const [record] = await tokens.list();
    const { stdout } = await command('token', 'list', '--dir', directory);
    expect(stdout).toContain(record?.id);
    expect(stdout).toContain('open');
    expect(JSON.parse((await command('token', 'list', '--dir', directory, '--json')).stdout)).toMatchObject([
      { identity: WEB, state: 'open' },
    ]);
    await command('token', 'revoke', record?.id ?? '', '--dir', directory);
    const address = await new Ca(directory).address();
    expect((await askCertificate(address, roots, { token: one })).body.code).toBe('token-unknown');
    await expect(command('token', 'revoke', 'x', '--dir', directory)).rejects.toThrow('there is no join token');
  });

  it.each([
    [[], 'whom the token is for is missing'],
    [['--identity', 'ns/meshproxy/sa/ca'], "the authority's own name"],
    [['--identity', 'spiffe://other.test/ns/a/sa/b'], 'not of other.test'],
    [['--identity', 'web'], 'its path is not /ns/NAMESPACE/sa/NAME'],
    [['--identity', 'ns/a/sa/b', '--ttl', '2d'], 'not between 1m and 1d'],
    [['--identity', 'ns/a/sa/b', '--ca', 'here'], 'the port is missing'],
  ])('with %j says what is wrong', async (args, why) => {
    const { directory } = await newMesh();
    await expect(command('token', '--dir', directory, ...args)).rejects.toThrow(why);
  });
});
