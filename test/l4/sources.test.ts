import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalIpv6 } from '../../src/core/ip.js';
import { Shares, sourceOf } from '../../src/l4/sources.js';

const ip = (host: string) => sourceOf({ kind: 'ip', host, port: 4711 });

describe('the source of a connection', () => {
  it.each([
    ['10.0.0.7', '10.0.0.7'],
    ['::ffff:10.0.0.7', '10.0.0.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::6', '2001:db8:1:2::/64'],
    ['2001:db8::6', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ])('of %s is %s', (host, source) => {
    expect(ip(host)).toBe(source);
  });

  it('is one for all who come by a unix socket', () => {
    expect(sourceOf(undefined)).toBe('unknown');
    expect(sourceOf({ kind: 'unix', path: '/run/a' })).toBe(sourceOf({ kind: 'unix', path: '/run/b' }));
  });

  it('is the same for two IPv6 addresses exactly where their first 64 bits are', () => {
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
    const address = fc.array(group, { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(address, address, fc.boolean(), (one, other, share) => {
        const second = share ? [...one.slice(0, 4), ...other.slice(4)] : other;
        // IPv4-mapped ones are IPv4's.
        fc.pre([one, second].every((groups) => groups.slice(0, 4).some((value) => value > 0)));
        const text = (groups: readonly number[]): string =>
          canonicalIpv6(groups.map((value) => value.toString(16)).join(':'));
        const same = one.slice(0, 4).join() === second.slice(0, 4).join();
        expect(ip(text(one)) === ip(text(second))).toBe(same);
      }),
    );
  });
});

describe('the shares of sources', () => {
  it('tell who has had far less than the mean', () => {
    const shares = new Shares();
    for (let times = 0; times < 100; times += 1) shares.add('noisy', 0);
    shares.add('quiet', 0);
    expect(shares.isQuiet('quiet', 0)).toBe(true);
    expect(shares.isQuiet('never seen', 0)).toBe(true);
    expect(shares.isQuiet('noisy', 0)).toBe(false);
  });

  it('call nobody quiet where all have the same, or there is only one', () => {
    const shares = new Shares();
    expect(shares.isQuiet('a', 0)).toBe(false);
    shares.add('a', 0);
    expect(shares.isQuiet('a', 0)).toBe(false);
    shares.add('b', 0);
    expect([shares.isQuiet('a', 0), shares.isQuiet('b', 0)]).toEqual([false, false]);
  });

  it('forget what was long ago: who was noisy then is not now', () => {
    const shares = new Shares();
    for (let times = 0; times < 100; times += 1) shares.add('before', 0);
    for (let now = 0; now < 20_000; now += 100) shares.add('now', now);
    expect(shares.isQuiet('before', 20_000)).toBe(true);
    expect(shares.size).toBe(1);
  });

  it('take no more memory for a million sources than for a thousand, and one that keeps coming is not forgotten for it', () => {
    const shares = new Shares();
    for (let one = 0; one < 200_000; one += 1) {
      if (one % 10 === 0) shares.add('noisy', one / 100);
      shares.add(`10.${one}`, one / 100);
      if (shares.size > 1024) throw new Error(`it knows ${shares.size} sources`);
    }
    expect(shares.size).toBe(1024);
    expect(shares.isQuiet('noisy', 2000)).toBe(false);
    expect(shares.isQuiet('somebody else', 2000)).toBe(true);
  });

  it('agree with counts that are made anew each time, whatever the clock does', () => {
    const step = fc.record({ source: fc.constantFrom('a', 'b', 'c', 'd'), afterMs: fc.integer({ min: 0, max: 4000 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const shares = new Shares();
        const all: { readonly source: string; readonly at: number }[] = [];
        let now = 0;
        for (const { source, afterMs } of steps) {
          now += afterMs;
          shares.add(source, now);
          all.push({ source, at: now });
          const known = new Set(all.filter(({ at }) => now - at < 10_000).map((one) => one.source));
          // Of one that was forgotten and came back, only what came since.
          const recent = all.filter((one, index) => {
            if (!known.has(one.source)) return false;
            const later = all.slice(index).filter((other) => other.source === one.source);
            return later.every(({ at }, place) => place === 0 || at - (later[place - 1]?.at ?? at) < 10_000);
          });
          const faded = (of?: string): number =>
            recent
              .filter((one) => of === undefined || one.source === of)
              .reduce((sum, { at }) => sum + 2 ** ((at - now) / 2000), 0);
          for (const one of known) {
            const [own, half] = [faded(one) * known.size, 0.5 * faded()];
            if (Math.abs(own - half) > 1e-6) expect(shares.isQuiet(one, now)).toBe(own < half);
          }
        }
      }),
    );
  });

  it('survive a clock that jumps', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ source: fc.nat({ max: 5 }), now: fc.double({ min: -1e9, max: 1e12, noNaN: true }) })),
        (steps) => {
          const shares = new Shares();
          for (const { source, now } of steps) {
            shares.add(String(source), now);
            shares.isQuiet('0', now);
          }
          const now = 2e12;
          for (let times = 0; times < 100; times += 1) shares.add('noisy', now);
          expect(shares.isQuiet('quiet', now)).toBe(true);
          expect(shares.isQuiet('noisy', now)).toBe(false);
        },
      ),
    );
  });
});
