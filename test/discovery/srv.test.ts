import type { Answer } from 'dns-packet';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { formatAddress } from '../../src/core/address.js';
import { queryDns } from '../../src/discovery/dns-query.js';
import { systemLookups } from '../../src/discovery/lookups.js';
import type { DiscoverySnapshot } from '../../src/discovery/source.js';
import { srvSource } from '../../src/discovery/srv.js';
import type { SrvLookups } from '../../src/discovery/srv-records.js';
import { turn, VirtualClock } from '../fakes/clock.js';
import { type DnsReply, type DnsServer, srv, startDnsServer } from '../fakes/dns-server.js';

const NAME = '_app._tcp.test';
const settings = { minTtl: 1000, maxTtl: 300_000, fallbackTtl: 30_000 };
const never = new AbortController().signal;

let server: DnsServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

/** By what was asked, `a.test A`; what is not there has no address, `SRV` stands for all questions for such records. */
type Zone = Record<string, DnsReply>;

async function startZone(zone: Zone): Promise<DnsServer> {
  server = await startDnsServer((type, name) =>
    type === 'SRV' ? (zone['SRV'] ?? 'nxdomain') : (zone[`${name} ${type}`] ?? { addresses: [], ttl: 60 }),
  );
  return server;
}

/** A source that is watched: time is virtual, the name server is a real one. */
class Watched {
  readonly clock = new VirtualClock();
  readonly controller = new AbortController();
  readonly #snapshots: AsyncIterator<DiscoverySnapshot>;
  #underWay = 0;

  constructor(address: string) {
    const lookups = this.#counted(systemLookups([address]));
    const source = srvSource({ kind: 'srv', name: NAME }, { settings, lookups, clock: this.clock, random: () => 1 });
    this.#snapshots = source.watch(this.controller.signal)[Symbol.asyncIterator]();
  }

  /** Real questions take real time, in which virtual time stands still. */
  #counted({ hosts, a, aaaa, srv }: SrvLookups): SrvLookups {
    const count =
      <Q extends unknown[], A>(ask: (...question: Q) => Promise<A>) =>
      (...question: Q): Promise<A> => {
        this.#underWay += 1;
        return ask(...question).finally(() => {
          this.#underWay -= 1;
        });
      };
    return { hosts: count(hosts), a: count(a), aaaa: count(aaaa), srv: count(srv) };
  }

  /** The next snapshot, in brief; time goes on as fast as it can until there is one. */
  async next(): Promise<unknown> {
    let done = false;
    const snapshot = this.#snapshots.next().finally(() => {
      done = true;
    });
    while (!done) {
      await turn();
      if (this.#underWay === 0) await this.clock.advanceAsync(100);
    }
    return brief((await snapshot).value);
  }

  /** The next that tells something. */
  async news(): Promise<unknown> {
    for (;;) {
      const snapshot = await this.next();
      if (snapshot !== 'unchanged') return snapshot;
    }
  }
}

function brief(snapshot: DiscoverySnapshot | undefined): unknown {
  if (snapshot === undefined) return 'done';
  if (snapshot.kind === 'failed') return snapshot.error.message;
  if (snapshot.kind === 'unchanged') return 'unchanged';
  const shown = snapshot.endpoints.map(
    ({ addresses, weight = 1, priority = 0 }) => `${addresses.map(formatAddress).join(' ')} w${weight} p${priority}`,
  );
  const { why, incomplete } = snapshot;
  return { shown, ...(why && { why }), ...(incomplete && { incomplete: incomplete.message }) };
}

async function first(zone: Zone): Promise<unknown> {
  const { address } = await startZone(zone);
  return new Watched(address).next();
}

function hosts(...all: string[]): Zone {
  return Object.fromEntries(all.map((name, index) => [`${name} A`, { addresses: [`10.0.0.${index + 1}`], ttl: 60 }]));
}

describe('SRV records', () => {
  it('give each host its port, its weight, and the rank of its priority', async () => {
    const records = [
      srv(NAME, 'c.test', 82, { priority: 20, weight: 5 }),
      srv(NAME, 'a.test', 80, { priority: 10, weight: 30 }),
      srv(NAME, 'b.test', 81, { priority: 10, weight: 10 }),
    ];
    expect(await first({ ...hosts('a.test', 'b.test', 'c.test'), SRV: { records } })).toEqual({
      shown: ['10.0.0.1:80 w30 p0', '10.0.0.2:81 w10 p0', '10.0.0.3:82 w1 p1'],
    });
  });

  it('all of weight 0 are alike', async () => {
    const records = [srv(NAME, 'a.test', 80), srv(NAME, 'b.test', 80)];
    expect(await first({ ...hosts('a.test', 'b.test'), SRV: { records } })).toEqual({
      shown: ['10.0.0.1:80 w1 p0', '10.0.0.2:80 w1 p0'],
    });
  });

  it('of weight 0 among others have the least share there is', async () => {
    const records = [
      srv(NAME, 'a.test', 80, { weight: 10 }),
      srv(NAME, 'b.test', 80),
      srv(NAME, 'c.test', 80, { weight: 20 }),
    ];
    expect(await first({ ...hosts('a.test', 'b.test', 'c.test'), SRV: { records } })).toEqual({
      shown: ['10.0.0.3:80 w1000 p0', '10.0.0.1:80 w500 p0', '10.0.0.2:80 w1 p0'],
    });
  });

  it('of more than the largest weight keep their proportion', async () => {
    const records = [srv(NAME, 'a.test', 80, { weight: 60_000 }), srv(NAME, 'b.test', 80, { weight: 30_000 })];
    expect(await first({ ...hosts('a.test', 'b.test'), SRV: { records } })).toEqual({
      shown: ['10.0.0.1:80 w1000 p0', '10.0.0.2:80 w500 p0'],
    });
  });

  it('share the weight of a host among its addresses', async () => {
    const records = [srv(NAME, 'a.test', 80, { weight: 10 }), srv(NAME, 'b.test', 80, { weight: 10 })];
    const zone = { ...hosts('a.test'), 'b.test A': { addresses: ['10.0.0.8', '10.0.0.9'], ttl: 60 } };
    expect(await first({ ...zone, SRV: { records } })).toEqual({
      shown: ['10.0.0.1:80 w10 p0', '10.0.0.8:80 w5 p0', '10.0.0.9:80 w5 p0'],
    });
  });

  it('are followed through aliases', async () => {
    const alias = (name: string, data: string): Answer => ({ type: 'CNAME', name, data, ttl: 60 });
    const records = [
      alias(NAME, 'one.test'),
      alias('one.test', 'two.test'),
      srv('two.test', 'a.test', 80),
      srv('other.test', 'b.test', 80),
    ];
    expect(await first({ ...hosts('a.test', 'b.test'), SRV: { records } })).toEqual({ shown: ['10.0.0.1:80 w1 p0'] });
  });

  it('in a loop of aliases are none', async () => {
    const records: Answer[] = [
      { type: 'CNAME', name: NAME, data: 'one.test', ttl: 60 },
      { type: 'CNAME', name: 'one.test', data: NAME, ttl: 60 },
    ];
    expect(await first({ SRV: { records } })).toEqual({ shown: [], why: 'the name has no SRV record' });
  });

  it('spare the questions for addresses that came with them', async () => {
    const additional: Answer[] = [
      { type: 'A', name: 'a.test', data: '10.9.9.9', ttl: 60 },
      { type: 'AAAA', name: 'a.test', data: '2001:db8::9', ttl: 60 },
    ];
    expect(await first({ SRV: { records: [srv(NAME, 'A.test', 80)], additional } })).toEqual({
      shown: ['[2001:db8::9]:80 10.9.9.9:80 w1 p0'],
    });
    expect(server?.queries).toEqual([`${NAME} SRV`]);
  });

  it('that say that there is no such service are an answer', async () => {
    expect(await first({ SRV: { records: [srv(NAME, '.', 0)] } })).toEqual({
      shown: [],
      why: 'the records say that there is no such service',
    });
  });

  it.each([[false], [true]])('that are too long for UDP are asked for over TCP (cut in a record: %s)', async (cut) => {
    const names = Array.from({ length: 200 }, (_, index) => `host-${index}.test`);
    const records = names.map((name) => srv(NAME, name, 80));
    const answer = await first({ ...hosts(...names), SRV: { truncated: { records }, cut } });
    expect((answer as { shown: string[] }).shown.length).toBe(200);
    expect(server?.overTcp).toEqual([`${NAME} SRV`]);
  });

  it.each([
    ['nxdomain', 'cannot resolve _app._tcp.test: no such name (ENOTFOUND)'],
    ['servfail', 'cannot resolve _app._tcp.test: the name server failed (ESERVFAIL)'],
    ['refused', 'cannot resolve _app._tcp.test: the name server refused to answer (EREFUSED)'],
  ] as const)('%s at first is a failure', async (reply, message) => {
    expect(await first({ SRV: reply })).toBe(message);
  });

  it('from a server that is not there are a failure', async () => {
    const { address } = await startZone({});
    await server?.close();
    server = undefined;
    expect(await new Watched(address).next()).toContain('ECONNREFUSED');
  });

  it('that cannot be told later leave the last ones in force, and are told again', async () => {
    const zone: Zone = { ...hosts('a.test'), SRV: { records: [srv(NAME, 'a.test', 80)] } };
    const watched = new Watched((await startZone(zone)).address);
    await watched.next();
    zone['SRV'] = 'servfail';
    expect(await watched.news()).toContain('ESERVFAIL');
    zone['SRV'] = { records: [srv(NAME, 'a.test', 81)] };
    expect(await watched.news()).toEqual({ shown: ['10.0.0.1:81 w1 p0'] });
  });

  it('that are taken out of the name are gone at once; a name that vanishes is given half a minute', async () => {
    const zone: Zone = { ...hosts('a.test'), SRV: { records: [srv(NAME, 'a.test', 80, { ttl: 5 })] } };
    const watched = new Watched((await startZone(zone)).address);
    await watched.next();
    zone['SRV'] = { records: [] };
    expect(await watched.news()).toEqual({ shown: [], why: 'the name has no SRV record' });
    zone['SRV'] = { records: [srv(NAME, 'a.test', 80, { ttl: 5 })] };
    expect(await watched.news()).toEqual({ shown: ['10.0.0.1:80 w1 p0'] });
    zone['SRV'] = 'nxdomain';
    const since = watched.clock.now();
    let said = await watched.news();
    while (typeof said === 'string') said = await watched.news();
    expect(said).toEqual({ shown: [], why: 'there has been no such name for 30s' });
    expect(watched.clock.now() - since).toBeGreaterThanOrEqual(30_000);
  });

  it('keep to their own time to live, and each host to its own', async () => {
    const zone: Zone = {
      SRV: { records: [srv(NAME, 'a.test', 80, { ttl: 100 })] },
      'a.test A': { addresses: ['10.0.0.1'], ttl: 10 },
    };
    const { address, queries } = await startZone(zone);
    const watched = new Watched(address);
    await watched.next();
    zone['a.test A'] = { addresses: ['10.0.0.2'], ttl: 10 };
    const start = watched.clock.now();
    expect(await watched.news()).toEqual({ shown: ['10.0.0.2:80 w1 p0'] });
    expect(queries.filter((query) => query === `${NAME} SRV`).length).toBe(1);
    // Answers of a real server take their time, of which virtual time knows nothing.
    expect(watched.clock.now() - start).toBeLessThan(100_000);
  });

  it('of which one host cannot be found give the others, and say so', async () => {
    const records = [srv(NAME, 'a.test', 80), srv(NAME, 'b.test', 80)];
    expect(
      await first({ ...hosts('a.test'), 'b.test A': 'servfail', 'b.test AAAA': 'servfail', SRV: { records } }),
    ).toEqual({
      shown: ['10.0.0.1:80 w1 p0'],
      incomplete: 'cannot resolve b.test: the name server failed (ESERVFAIL)',
    });
  });

  it('of which no host can be found are a failure', async () => {
    const zone: Zone = {
      'a.test A': 'servfail',
      'a.test AAAA': 'servfail',
      SRV: { records: [srv(NAME, 'a.test', 80)] },
    };
    expect(await first(zone)).toBe('cannot resolve a.test: the name server failed (ESERVFAIL)');
  });

  it('are no longer asked for once the watch is over', async () => {
    const zone: Zone = { ...hosts('a.test'), SRV: { records: [srv(NAME, 'a.test', 80)] } };
    const watched = new Watched((await startZone(zone)).address);
    await watched.next();
    watched.controller.abort();
    expect(await watched.next()).toBe('done');
    await watched.clock.advanceAsync(0);
    expect(watched.clock.pending).toBe(0);
  });
});

describe('an answer that makes no sense', () => {
  it('is not taken, and ends nothing but the wait for a better one', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 600 }), async (bytes) => {
        const controller = new AbortController();
        const { address, asked, close } = await startDnsServer(() => ({ garbage: Buffer.from(bytes) }));
        const pending = queryDns([address], NAME, 'SRV', controller.signal);
        await asked(1);
        controller.abort();
        await expect(pending).rejects.toMatchObject({ name: 'AbortError' });
        await close();
      }),
      { numRuns: 30 },
    );
  });

  it("is nobody else's: the id and the question have to be ours", async () => {
    server = await startDnsServer(() => ({ truncated: { garbage: Buffer.alloc(40) } }));
    await expect(queryDns([server.address], NAME, 'SRV', never)).rejects.toMatchObject({ code: 'EBADRESP' });
  });
});
