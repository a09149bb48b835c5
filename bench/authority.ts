/**
 * `npm run bench:authority`: what certificates cost. Issuing them beside `openssl x509 -req` and beside bare signatures; and
 * the CPU of an authority with ten thousand workloads: what a request costs it is measured, over its real service, and how
 * many there are follows from the renewers' own schedule, with the time simulated.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { type KeyObject, sign } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { usageOf } from './measure/proc.js';
import { type Hour, ROTATED_AT, renewalsByHour, type Schedule } from './measure/renewals.js';
import { paths } from './paths.js';
import { formatNumber, markdownTable } from './report/table.js';
import { killAll, start } from './system/children.js';
import { freePort } from './system/ports.js';

interface Keys {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}
interface Member {
  readonly certificate: object;
  readonly keys: Keys;
}
interface Leaf {
  readonly chain: string;
  readonly notBefore: number;
  readonly notAfter: number;
}
interface Session {
  readonly trustDomain: string;
  readonly bundle: string;
  readonly credential: { readonly chain: string; readonly key: string };
}
interface Client {
  trust(session: Session, after: string | undefined, waitS: number, signal: AbortSignal): Promise<unknown>;
  certificate(session: Session, csr: string, token: undefined, signal: AbortSignal): Promise<unknown>;
  close(): void;
}
interface Authority {
  readonly trust: { readonly bundle: string };
  issue(order: object): Promise<Leaf>;
  close(): Promise<void>;
}

/** The parts of the built program that are measured; what is said of them here is as much as is used. */
export interface Built extends Schedule {
  createCsr(keys: Keys): string;
  readCsr(csr: string): { readonly spki: Uint8Array };
  newKeys(): Keys;
  newRoot(trustDomain: string, now: number): Member;
  newIssuer(trustDomain: string, root: object, key: KeyObject, now: number): Member;
  Issuer: new (certificate: string, key: KeyObject, trustDomain: string) => { issue(request: object): unknown };
  CaStore: new (directory: string, passphrase: undefined) => object;
  initAuthority(store: object, trustDomain: string, now: number): Promise<unknown>;
  Authority: { open(options: object): Promise<Authority> };
  CaClient: new (addresses: readonly { kind: 'ip'; host: string; port: number }[]) => Client;
  systemClock: object;
}

const MODULES = [
  'pki/csr',
  'pki/init',
  'pki/issuer',
  'pki/store',
  'pki/authority',
  'pki/ca-client',
  'pki/renewer',
  'core/clock',
];
const IDENTITY = { trustDomain: 'bench.example', namespace: 'bench', name: 'leaf' };
const HOUR_MS = 3_600_000;
const LEAVES = 10_000;
const HOURS = 8;

/** The core's time that `work` takes of this process for each of `count`, s. */
async function cpuOf(count: number, work: () => unknown): Promise<number> {
  for (let warm = 0; warm < count / 4; warm += 1) await work();
  const before = process.cpuUsage();
  for (let done = 0; done < count; done += 1) await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6 / count;
}

/** One process for each certificate, as it is used; what that takes of the wall clock, one after the other, s. */
function opensslSeconds(folder: string, csr: string): number | undefined {
  if (spawnSync('openssl', ['version']).status !== 0) return undefined;
  const path = (name: string): string => join(folder, name);
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-subj',
      '/CN=ca',
      '-keyout',
      path('ca.key'),
      '-out',
      path('ca.crt'),
    ],
    { stdio: 'ignore' },
  );
  writeFileSync(path('csr'), csr);
  const count = 40;
  const from = performance.now();
  for (let done = 0; done < count; done += 1) {
    execFileSync(
      'openssl',
      [
        'x509',
        '-req',
        '-in',
        path('csr'),
        '-CA',
        path('ca.crt'),
        '-CAkey',
        path('ca.key'),
        '-set_serial',
        String(done + 1),
        '-out',
        path('leaf.crt'),
      ],
      { stdio: 'ignore' },
    );
  }
  return (performance.now() - from) / 1000 / count;
}

/** CPU of a `ca serve` for each request of a kind, s. */
async function serviceCosts(built: Built, directory: string, authority: Authority) {
  const port = await freePort();
  const args = [
    'ca',
    'serve',
    '--dir',
    directory,
    '--listen',
    `127.0.0.1:${port}`,
    '--rate',
    'off',
    '--log-level',
    'error',
  ];
  const child = await start({ file: process.execPath, args: [paths.meshproxy, ...args] });
  try {
    const keys = built.newKeys();
    const spki = keys.publicKey.export({ type: 'spki', format: 'der' });
    const { chain } = await authority.issue({
      spki,
      identity: IDENTITY,
      lifetimeMs: HOUR_MS,
      requester: 'the benchmark',
    });
    const key = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const session = { trustDomain: IDENTITY.trustDomain, bundle: authority.trust.bundle, credential: { chain, key } };
    const { signal } = new AbortController();
    const csr = built.createCsr(built.newKeys());
    const clientOf = () => new built.CaClient([{ kind: 'ip', host: '127.0.0.1', port }]);
    const kept = clientOf();
    await untilServed(() => kept.trust(session, undefined, 0, signal));
    const cost = async (count: number, work: () => Promise<unknown>): Promise<number> => {
      for (let warm = 0; warm < count / 4; warm += 1) await work();
      const before = usageOf(child.pid)?.cpuSeconds ?? 0;
      for (let done = 0; done < count; done += 1) await work();
      return ((usageOf(child.pid)?.cpuSeconds ?? 0) - before) / count;
    };
    const costs = {
      renewal: await cost(1500, () => kept.certificate(session, csr, undefined, signal)),
      question: await cost(3000, () => kept.trust(session, undefined, 0, signal)),
      handshake: await cost(500, async () => {
        const fresh = clientOf();
        await fresh.trust(session, undefined, 0, signal);
        fresh.close();
      }),
    };
    kept.close();
    return costs;
  } finally {
    await child.stop();
  }
}

async function untilServed(ask: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    try {
      await ask();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error('the service does not answer');
}

async function main(folder: string): Promise<void> {
  const loaded = await Promise.all(MODULES.map((name) => import(join(paths.root, 'build', `${name}.js`))));
  const built: Built = Object.assign({}, ...loaded);
  const directory = join(folder, 'ca');
  mkdirSync(directory);
  const store = new built.CaStore(directory, undefined);
  await built.initAuthority(store, IDENTITY.trustDomain, Date.now());
  const authority = await built.Authority.open({ store, clock: built.systemClock });
  const issuer = built.newKeys();
  const csr = built.createCsr(built.newKeys());
  const toSign = Buffer.alloc(500);
  const order = () => ({
    spki: built.readCsr(csr).spki,
    identity: IDENTITY,
    lifetimeMs: HOUR_MS,
    requester: 'the benchmark',
  });
  const bare = await cpuOf(10_000, () => sign('sha256', toSign, issuer.privateKey));
  const root = built.newRoot(IDENTITY.trustDomain, Date.now());
  const below = built.newIssuer(IDENTITY.trustDomain, root.certificate, root.keys.privateKey, Date.now());
  const signing = new built.Issuer(String(below.certificate), below.keys.privateKey, IDENTITY.trustDomain);
  const signed = await cpuOf(4000, () => signing.issue({ ...order(), now: Date.now() }));
  // In groups, as requests come to a service that is busy: they share a write of the log.
  const issued = (await cpuOf(150, () => Promise.all(Array.from({ length: 32 }, () => authority.issue(order()))))) / 32;
  const openssl = opensslSeconds(folder, csr);
  const rate = (seconds: number | undefined): string =>
    seconds === undefined ? 'not there' : formatNumber(1 / seconds);
  const ratio = (seconds: number | undefined): string => (seconds === undefined ? '' : formatNumber(bare / seconds));
  console.log(
    `### issuing, of one core\n\n${markdownTable([
      ['', 'a second', '÷ bare signing'],
      ['a bare signature (P-256)', rate(bare), '1.00'],
      ['a certificate from its request: read and verified, made and signed', rate(signed), ratio(signed)],
      ['the same, with its line in the log on the disk (32 at a time)', rate(issued), ratio(issued)],
      ['openssl x509 -req, a process for each (by the wall clock)', rate(openssl), ratio(openssl)],
    ])}`,
  );
  const costs = await serviceCosts(built, directory, authority);
  const hours = renewalsByHour(built, LEAVES, HOURS);
  const shareOf = ({ renewals, questions }: Hour): number =>
    (renewals * costs.renewal + questions * costs.question) / 3600;
  const ms = (seconds: number): string => formatNumber(seconds * 1000);
  console.log(
    `\n### an authority with ${LEAVES} workloads whose certificates live for an hour\n\n${markdownTable([
      ['', 'CPU ms each'],
      ['a renewal, on the connection that each keeps', ms(costs.renewal)],
      ['a question whom to trust', ms(costs.question)],
      ['a new connection, with a question (for comparison)', ms(costs.handshake)],
    ])}\n`,
  );
  const named: ReadonlyMap<number, string> = new Map([
    [0, 'all started within a minute'],
    [ROTATED_AT, 'a new issuer signs'],
  ]);
  const rows = hours.map((hour, index) => [
    `${index + 1}${named.has(index) ? `: ${named.get(index)}` : ''}`,
    formatNumber(hour.renewals),
    formatNumber(hour.questions),
    formatNumber(hour.peak),
    formatNumber(shareOf(hour) * 100),
  ]);
  const head = ['hour', 'renewals', 'questions', 'busiest minute ÷ mean', 'CPU, % of a core'];
  console.log(`${markdownTable([head, ...rows])}\n\n### Targets\n`);
  const settled = hours[ROTATED_AT - 1];
  const share = settled === undefined ? Number.NaN : shareOf(settled);
  verdict(1 / signed >= 2000, `${rate(signed)} certificates a second of one core (at least 2 000)`);
  verdict(
    share < 0.01,
    `${formatNumber(share * 100)} % of a core for ${LEAVES} workloads in hour ${ROTATED_AT} (less than 1 %)`,
  );
  await authority.close();
}

function verdict(met: boolean, words: string): void {
  console.log(`- **${met ? 'met' : 'missed'}**: ${words}`);
}

const scratch = mkdtempSync(join(tmpdir(), 'meshproxy-bench-'));
process.on('exit', () => {
  killAll();
  rmSync(scratch, { recursive: true, force: true });
});
await main(scratch);
