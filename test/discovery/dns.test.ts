import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NameAddress } from '../../src/core/address.js';
import { MeshproxyError } from '../../src/core/errors.js';
import { dnsSource } from '../../src/discovery/dns.js';
import type { Lookups } from '../../src/discovery/resolver.js';
import type { DiscoverySnapshot } from '../../src/discovery/source.js';
import { turn, VirtualClock } from '../fakes/clock.js';

const upstream: NameAddress = { kind: 'name', name: 'example.org', port: 80 };
const settings = { minTtl: 1000, maxTtl: 300_000, fallbackTtl: 30_000 };

/** What the name server says to one query: addresses and their time to live in seconds, or the errno it ends with. */
type Reply = { readonly addresses: readonly string[]; readonly ttl: number } | string;

const servfail = 'ESERVFAIL';

/** A source that is watched, in virtual time. */
class Watched {
  readonly clock = new VirtualClock();
  readonly start = this.clock.now();
  /** Without those that only say that nothing has changed. */
  readonly snapshots: DiscoverySnapshot[] = [];
  /** When the name server was asked, ms from the start. */
  readonly askedAt: number[] = [];
  readonly controller = new AbortController();
  /** What the next query is answered; a promise leaves it open. */
  reply: Reply | Promise<Reply> = { addresses: ['10.0.0.1'], ttl: 60 };
  done = false;
  readonly lookups: Lookups = {
    hosts: async () => [],
    a: async () => {
      this.askedAt.push(this.clock.now() - this.start);
      const reply = await this.reply;
      if (typeof reply === 'string') throw Object.assign(new Error(reply), { code: reply });
      return reply.addresses.map((address) => ({ address, ttl: reply.ttl }));
    },
    aaaa: async () => [],
  };

  /** Begins, and goes as far as it can without time passing. `random` 1: the longest waits. */
  async watch(lookups: Partial<Lookups> = {}): Promise<void> {
    const source = dnsSource(upstream, {
      settings,
      lookups: { ...this.lookups, ...lookups },
      clock: this.clock,
      random: () => 1,
    });
    void this.#follow(source.watch(this.controller.signal));
    await turn();
  }

  async #follow(snapshots: AsyncIterable<DiscoverySnapshot>): Promise<void> {
    for await (const snapshot of snapshots) if (snapshot.kind !== 'unchanged') this.snapshots.push(snapshot);
    this.done = true;
  }

  get last(): DiscoverySnapshot | undefined {
    return this.snapshots.at(-1);
  }
}

function endpoints(...hosts: string[]): DiscoverySnapshot {
  return {
    kind: 'endpoints',
    endpoints: hosts.map((host) => ({ id: `${host}:80`, addresses: [{ kind: 'ip', host, port: 80 }] })),
  };
}

describe('dns source', () => {
  it('tells the endpoints as soon as they are known', async () => {
    const watched = new Watched();
    await watched.watch();
    expect(watched.snapshots).toEqual([endpoints('10.0.0.1')]);
  });

  it('asks again when the answer has expired, and tells what has changed', async () => {
    const watched = new Watched();
    await watched.watch();
    await watched.clock.advanceAsync(59_999);
    expect(watched.askedAt).toEqual([0]);
    watched.reply = { addresses: ['10.0.0.2', '10.0.0.1'], ttl: 10 };
    await watched.clock.advanceAsync(1);
    expect(watched.snapshots).toEqual([endpoints('10.0.0.1'), endpoints('10.0.0.1', '10.0.0.2')]);
    await watched.clock.advanceAsync(10_000);
    expect(watched.askedAt).toEqual([0, 60_000, 70_000]);
  });

  it('tells nothing where the answer is the same, in whatever order', async () => {
    const watched = new Watched();
    watched.reply = { addresses: ['10.0.0.1', '10.0.0.2'], ttl: 1 };
    await watched.watch();
    watched.reply = { addresses: ['10.0.0.2', '10.0.0.1'], ttl: 1 };
    await watched.clock.advanceAsync(10_000);
    expect(watched.askedAt.length).toBe(11);
    expect(watched.snapshots.length).toBe(1);
  });

  it.each([
    ['0 s', 0, 1000],
    ['a week', 7 * 86_400, 300_000],
    ['2 s', 2, 2000],
  ])('keeps an answer that may be kept for %s within the configured bounds', async (_, ttl, expected) => {
    const watched = new Watched();
    watched.reply = { addresses: ['10.0.0.1'], ttl };
    await watched.watch();
    await watched.clock.advanceAsync(expected);
    expect(watched.askedAt).toEqual([0, expected]);
  });

  it('looks into the hosts file again after the time for answers that name none', async () => {
    const watched = new Watched();
    const known = [['10.0.0.8'], ['10.0.0.9']];
    await watched.watch({ hosts: async () => known.shift() ?? [] });
    await watched.clock.advanceAsync(30_000);
    expect(watched.snapshots).toEqual([endpoints('10.0.0.8'), endpoints('10.0.0.9')]);
    expect(watched.askedAt).toEqual([]);
  });

  it('tells every failure, waits longer after each, and tells the endpoints again once they are known again', async () => {
    const watched = new Watched();
    await watched.watch();
    watched.reply = servfail;
    await watched.clock.advanceAsync(60_000 + 2000 + 4000 + 8000 + 16_000 + 30_000 + 30_000);
    expect(watched.askedAt.map((at) => (at - 60_000) / 1000)).toEqual([-60, 0, 2, 6, 14, 30, 60, 90]);
    expect(watched.snapshots.map(({ kind }) => kind)).toEqual(['endpoints', ...Array(7).fill('failed')]);
    expect(watched.last).toMatchObject({ error: { code: 'resolve', message: expect.stringContaining('ESERVFAIL') } });

    watched.reply = { addresses: ['10.0.0.1'], ttl: 60 };
    await watched.clock.advanceAsync(30_000);
    expect(watched.last).toEqual(endpoints('10.0.0.1'));
    // The next failure is a first one again.
    watched.reply = servfail;
    await watched.clock.advanceAsync(60_000 + 2000);
    expect(watched.askedAt.slice(-2).map((at) => (at - 60_000) / 1000)).toEqual([180, 182]);
  });

  it('tells at once that the name has no address any more, and looks every few seconds whether it has again', async () => {
    const watched = new Watched();
    await watched.watch();
    watched.reply = 'ENODATA';
    await watched.clock.advanceAsync(60_000);
    expect(watched.last).toEqual({ kind: 'endpoints', endpoints: [], why: 'the name has no address' });
    await watched.clock.advanceAsync(10_000);
    expect(watched.askedAt).toEqual([0, 60_000, 65_000, 70_000]);
    watched.reply = { addresses: ['10.0.0.1'], ttl: 60 };
    await watched.clock.advanceAsync(5000);
    expect(watched.last).toEqual(endpoints('10.0.0.1'));
  });

  it('keeps the addresses of a family that cannot be told for now, says so, and lets them go when they were taken out', async () => {
    const watched = new Watched();
    let v6: readonly string[] | string = ['2001:db8::1', '2001:db8::2'];
    await watched.watch({
      aaaa: async () => {
        if (typeof v6 === 'string') throw Object.assign(new Error(v6), { code: v6 });
        return v6.map((address) => ({ address, ttl: 60 }));
      },
    });
    const addressesOf = (snapshot: DiscoverySnapshot | undefined): unknown[] =>
      snapshot?.kind === 'endpoints'
        ? snapshot.endpoints.flatMap(({ addresses }) => addresses.map((one) => one.kind === 'ip' && one.host))
        : [];
    expect(addressesOf(watched.last)).toEqual(['2001:db8::1', '10.0.0.1', '2001:db8::2', '10.0.0.1']);
    v6 = servfail;
    await watched.clock.advanceAsync(60_000);
    expect(watched.last).toMatchObject({ kind: 'failed', error: { message: expect.stringContaining(servfail) } });
    watched.reply = { addresses: ['10.0.0.2'], ttl: 60 };
    await watched.clock.advanceAsync(60_000);
    expect(watched.last).toMatchObject({ incomplete: { message: expect.stringContaining(servfail) } });
    expect(addressesOf(watched.last)).toEqual(['2001:db8::1', '10.0.0.2', '2001:db8::2', '10.0.0.2']);
    v6 = 'ENODATA';
    await watched.clock.advanceAsync(60_000);
    expect(watched.last).toEqual(endpoints('10.0.0.2'));
  });

  it('says nothing of a family that there never was, and that cannot be told', async () => {
    const watched = new Watched();
    await watched.watch({ aaaa: async () => Promise.reject(Object.assign(new Error('x'), { code: servfail })) });
    await watched.clock.advanceAsync(600_000);
    expect(watched.snapshots).toEqual([endpoints('10.0.0.1')]);
  });

  it('may begin with no address, which is an answer', async () => {
    const watched = new Watched();
    watched.reply = 'ENODATA';
    await watched.watch();
    expect(watched.snapshots).toEqual([{ kind: 'endpoints', endpoints: [], why: 'the name has no address' }]);
  });

  it('keeps the endpoints of a name that vanishes for half a minute, and no longer', async () => {
    const watched = new Watched();
    await watched.watch();
    watched.reply = 'ENOTFOUND';
    // Asked after 0, 2, 6, 14 and 30 s.
    await watched.clock.advanceAsync(60_000 + 29_999);
    expect(watched.snapshots.map(({ kind }) => kind)).toEqual(['endpoints', ...Array(4).fill('failed')]);
    await watched.clock.advanceAsync(1);
    expect(watched.last).toEqual({ kind: 'endpoints', endpoints: [], why: 'there has been no such name for 30s' });
    watched.reply = { addresses: ['10.0.0.1'], ttl: 60 };
    await watched.clock.advanceAsync(5000);
    expect(watched.last).toEqual(endpoints('10.0.0.1'));
  });

  it('keeps them as long as nobody can tell whether the name has vanished', async () => {
    const watched = new Watched();
    await watched.watch();
    for (let minute = 0; minute < 10; minute += 1) {
      watched.reply = minute % 2 === 0 ? 'ENOTFOUND' : servfail;
      await watched.clock.advanceAsync(30_000);
    }
    expect(watched.snapshots.filter(({ kind }) => kind === 'endpoints').length).toBe(1);
  });

  it('never takes a name that was never found for one without endpoints', async () => {
    const watched = new Watched();
    watched.reply = 'ENOTFOUND';
    await watched.watch();
    await watched.clock.advanceAsync(600_000);
    expect(new Set(watched.snapshots.map(({ kind }) => kind))).toEqual(new Set(['failed']));
  });

  it('does not retry in step with others', async () => {
    const watched = new Watched();
    watched.reply = servfail;
    const source = dnsSource(upstream, { settings, lookups: watched.lookups, clock: watched.clock, random: () => 0 });
    const snapshots = source.watch(watched.controller.signal)[Symbol.asyncIterator]();
    await snapshots.next();
    void snapshots.next();
    await watched.clock.advanceAsync(1000);
    expect(watched.askedAt).toEqual([0, 1000]);
  });

  it('takes no answer within its time for a failure, and asks again', async () => {
    const watched = new Watched();
    watched.reply = new Promise<never>(() => {});
    const signals: AbortSignal[] = [];
    const a: Lookups['a'] = (name, signal) => {
      signals.push(signal);
      return watched.lookups.a(name, signal);
    };
    await watched.watch({ a });
    await watched.clock.advanceAsync(14_999);
    expect(watched.snapshots).toEqual([]);
    await watched.clock.advanceAsync(1);
    expect(watched.last).toMatchObject({
      error: { code: 'resolve', message: 'cannot resolve example.org: no answer within 15s' },
    });
    await watched.clock.advanceAsync(2000);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
  });

  it('makes a failure of whatever a lookup throws', async () => {
    const watched = new Watched();
    const tooLarge = new MeshproxyError('file', '/etc/hosts has 20 MiB', { hint: 'make it smaller' });
    await watched.watch({ hosts: () => Promise.reject(tooLarge) });
    expect(watched.last).toMatchObject({
      error: { code: 'resolve', message: 'cannot resolve example.org: /etc/hosts has 20 MiB', hint: 'make it smaller' },
    });
    const surprised = new Watched();
    await surprised.watch({ hosts: () => Promise.reject(new TypeError('what?')) });
    expect(surprised.last).toMatchObject({ error: { code: 'resolve', message: 'cannot resolve example.org: what?' } });
  });

  describe('ends at once when it is aborted, with no timer and no query left', () => {
    it('while it asks', async () => {
      const watched = new Watched();
      watched.reply = new Promise<never>(() => {});
      let query: AbortSignal | undefined;
      const aaaa: Lookups['aaaa'] = async (_, signal) => {
        query = signal;
        return [];
      };
      await watched.watch({ aaaa });
      expect(query?.aborted).toBe(false);
      watched.controller.abort();
      await turn();
      expect(query?.aborted).toBe(true);
      expect([watched.done, watched.clock.pending, watched.snapshots]).toEqual([true, 0, []]);
    });

    it.each([
      ['an answer', { addresses: ['10.0.0.1'], ttl: 60 }],
      ['a failure', servfail],
    ])('while it waits after %s', async (_, reply) => {
      const watched = new Watched();
      watched.reply = reply;
      await watched.watch();
      expect([watched.done, watched.clock.pending]).toEqual([false, 1]);
      watched.controller.abort();
      await turn();
      expect([watched.done, watched.clock.pending, watched.snapshots.length]).toEqual([true, 0, 1]);
    });

    it('before it begins', async () => {
      const watched = new Watched();
      watched.controller.abort();
      await watched.watch();
      expect([watched.done, watched.askedAt, watched.snapshots]).toEqual([true, [], []]);
    });
  });

  it('whoever follows it knows the last good answer and whether it is still good, whatever the name server does', async () => {
    const hosts = fc.subarray(['10.0.0.1', '10.0.0.2', '10.0.0.3'], { minLength: 1 });
    const answer = hosts.chain((all) => fc.shuffledSubarray(all, { minLength: all.length }));
    const replies = fc.array(fc.oneof(answer, fc.constant(servfail)), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(replies, async (replies) => {
        const watched = new Watched();
        let told = 0;
        let before = '';
        for (const [index, reply] of replies.entries()) {
          watched.reply = typeof reply === 'string' ? reply : { addresses: reply, ttl: 1 };
          if (index === 0) await watched.watch();
          // On to the next query, whenever that is.
          while (watched.askedAt.length <= index) await watched.clock.advanceAsync(1000);
          const expected = typeof reply === 'string' ? { kind: 'failed' } : endpoints(...[...reply].sort());
          expect(watched.last).toMatchObject(expected);
          const now = JSON.stringify(expected);
          if (now !== before || typeof reply === 'string') told += 1;
          before = now;
          expect(watched.snapshots.length).toBe(told);
        }
        watched.controller.abort();
        await turn();
        expect([watched.done, watched.clock.pending]).toEqual([true, 0]);
      }),
    );
  });
});
