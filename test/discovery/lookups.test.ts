import { afterEach, describe, expect, it } from 'vitest';
import { createSource } from '../../src/discovery/create.js';
import { shared, systemLookups } from '../../src/discovery/lookups.js';
import { VirtualClock } from '../fakes/clock.js';
import { type DnsReply, type DnsServer, type QueryType, startDnsServer } from '../fakes/dns-server.js';

const never = new AbortController().signal;
const ttls = { minTtl: 1000, maxTtl: 300_000, fallbackTtl: 30_000 };

describe('lookups by a name server', () => {
  let server: DnsServer;
  const replies: Record<Exclude<QueryType, 'SRV'>, DnsReply> = { A: 'nxdomain', AAAA: 'nxdomain' };
  afterEach(() => server.close());

  async function start(given: typeof replies): Promise<DnsServer> {
    Object.assign(replies, given);
    server = await startDnsServer((type) => (type === 'SRV' ? 'silent' : replies[type]));
    return server;
  }

  /** The snapshots of a source that asks the server. */
  function watch(clock = new VirtualClock(), signal = never) {
    const dns = { ...ttls, servers: [server.address] };
    const source = createSource(
      { kind: 'name', name: 'example.test', port: 80 },
      { dns, clock, readEndpoints: async () => [] },
    );
    return source.watch(signal)[Symbol.asyncIterator]();
  }

  it('tells the records with their times to live', async () => {
    const { address, queries } = await start({
      A: { addresses: ['10.0.0.1', '10.0.0.2'], ttl: 60 },
      AAAA: { addresses: ['2001:db8::1'], ttl: 30 },
    });
    const lookups = systemLookups([address]);
    expect(await lookups.a('example.test', never)).toEqual([
      { address: '10.0.0.1', ttl: 60 },
      { address: '10.0.0.2', ttl: 60 },
    ]);
    expect(await lookups.aaaa('example.test', never)).toEqual([{ address: '2001:db8::1', ttl: 30 }]);
    expect(queries).toEqual(['example.test A', 'example.test AAAA']);
  });

  it.each([
    ['nxdomain', 'ENOTFOUND'],
    ['servfail', 'ESERVFAIL'],
    ['refused', 'EREFUSED'],
    [{ addresses: [], ttl: 0 }, 'ENODATA'],
  ] as const)('%j is %s', async (reply, code) => {
    const { address } = await start({ A: reply, AAAA: reply });
    await expect(systemLookups([address]).a('example.test', never)).rejects.toMatchObject({ code });
    await expect(systemLookups([address]).aaaa('example.test', never)).rejects.toMatchObject({ code });
  });

  it('calls a query off when it is aborted, and begins none after that', async () => {
    const { address, queries, asked } = await start({ A: 'silent', AAAA: 'silent' });
    const controller = new AbortController();
    const lookups = systemLookups([address]);
    const pending = [lookups.a('example.test', controller.signal), lookups.aaaa('example.test', controller.signal)];
    await asked(2);
    controller.abort();
    const outcomes = await Promise.allSettled(pending);
    expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason.code)).toEqual([
      'ECANCELLED',
      'ECANCELLED',
    ]);
    await expect(lookups.a('example.test', controller.signal)).rejects.toMatchObject({ name: 'AbortError' });
    expect(queries.length).toBe(2);
  });

  it('leaves the system out of it', async () => {
    const { address } = await start({ A: 'nxdomain', AAAA: 'nxdomain' });
    expect(systemLookups([address]).system).toBeUndefined();
  });

  it('a source follows the name server', async () => {
    await start({ A: { addresses: ['10.0.0.1'], ttl: 20 }, AAAA: { addresses: ['2001:db8::1'], ttl: 90 } });
    const clock = new VirtualClock();
    const snapshots = watch(clock);
    const both = [
      { kind: 'ip', host: '2001:db8::1', port: 80 },
      { kind: 'ip', host: '10.0.0.1', port: 80 },
    ];
    expect((await snapshots.next()).value).toEqual({
      kind: 'endpoints',
      endpoints: [{ id: '10.0.0.1:80', addresses: both }],
    });

    replies.AAAA = 'servfail';
    const second = snapshots.next();
    clock.advance(20_000);
    // Nobody has said that there is no IPv6 address any more.
    expect((await second).value).toMatchObject({
      kind: 'failed',
      error: { message: expect.stringContaining('SERVFAIL') },
    });

    replies.AAAA = { addresses: [], ttl: 20 };
    const third = snapshots.next();
    clock.advance(20_000);
    expect((await third).value).toEqual({
      kind: 'endpoints',
      endpoints: [{ id: '10.0.0.1:80', addresses: [both[1]] }],
    });

    replies.A = 'nxdomain';
    replies.AAAA = 'nxdomain';
    const fourth = snapshots.next();
    clock.advance(20_000);
    expect((await fourth).value).toMatchObject({
      kind: 'failed',
      error: { message: 'cannot resolve example.test: no such name (ENOTFOUND)' },
    });
  });

  it('a source ends at once when the name server is silent and it is aborted', async () => {
    const { asked } = await start({ A: 'silent', AAAA: 'silent' });
    const clock = new VirtualClock();
    const controller = new AbortController();
    const first = watch(clock, controller.signal).next();
    await asked(2);
    controller.abort();
    expect(await first).toEqual({ value: undefined, done: true });
    expect(clock.pending).toBe(0);
  });
});

describe('lookups by the system', () => {
  it('know what only this machine knows', async () => {
    const addresses = await systemLookups().system?.('localhost');
    expect(['127.0.0.1', '::1']).toEqual(expect.arrayContaining([addresses?.[0]]));
  });

  it('reject with the reason for a name that cannot exist', async () => {
    await expect(systemLookups().system?.('x'.repeat(300))).rejects.toMatchObject({
      code: expect.stringMatching(/^E/),
    });
  });

  it('are never twice under way for one name', async () => {
    const answers: ((answer: string) => void)[] = [];
    const asked: string[] = [];
    const ask = shared((name) => {
      asked.push(name);
      return new Promise<string>((resolve) => answers.push(resolve));
    });
    const [one, same, other] = [ask('one'), ask('one'), ask('other')];
    expect(asked).toEqual(['one', 'other']);
    answers[1]?.('of other');
    answers[0]?.('of one');
    expect(await Promise.all([one, same, other])).toEqual(['of one', 'of one', 'of other']);
    void ask('one');
    expect(asked).toEqual(['one', 'other', 'one']);
  });

  it('are asked again after a failure', async () => {
    let asked = 0;
    const ask = shared(async () => {
      asked += 1;
      throw new Error('no');
    });
    await expect(ask('one')).rejects.toThrow('no');
    await expect(ask('one')).rejects.toThrow('no');
    expect(asked).toBe(2);
  });
});
