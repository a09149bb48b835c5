import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatAddress } from '../../src/core/address.js';
import { pairFamilies } from '../../src/discovery/endpoints.js';
import { ipv4, ipv6 } from '../core/arbitraries.js';

/** Each endpoint as `id: addresses`. */
function shown(hosts: readonly string[]): string[] {
  return pairFamilies(hosts, 80).map(({ id, addresses }) => `${id}: ${addresses.map(formatAddress).join(' ')}`);
}

describe('pairing of families', () => {
  it.each([
    [['10.0.0.1'], ['10.0.0.1:80: 10.0.0.1:80']],
    [['2001:db8::1'], ['[2001:db8::1]:80: [2001:db8::1]:80']],
    [['10.0.0.1', '2001:db8::1'], ['10.0.0.1:80: [2001:db8::1]:80 10.0.0.1:80']],
    [
      ['10.0.0.2', '2001:db8::1', '10.0.0.1', '2001:db8::2'],
      ['10.0.0.1:80: [2001:db8::1]:80 10.0.0.1:80', '10.0.0.2:80: [2001:db8::2]:80 10.0.0.2:80'],
    ],
    [
      ['2001:db8::1', '2001:db8::2', '2001:db8::3', '10.0.0.1', '10.0.0.2'],
      [
        '[2001:db8::1]:80: [2001:db8::1]:80 10.0.0.1:80',
        '[2001:db8::2]:80: [2001:db8::2]:80 10.0.0.2:80',
        '[2001:db8::3]:80: [2001:db8::3]:80 10.0.0.1:80',
      ],
    ],
    [['10.0.0.1', '::ffff:10.0.0.1', '::FFFF:a00:1'], ['10.0.0.1:80: 10.0.0.1:80']],
    [['2001:DB8::1', '2001:db8:0:0::1'], ['[2001:db8::1]:80: [2001:db8::1]:80']],
    [['fe80::1%eth0'], ['[fe80::1%eth0]:80: [fe80::1%eth0]:80']],
    [['not an address'], []],
    [[], []],
  ])('%j stand for %j', (hosts, endpoints) => {
    expect(shown(hosts)).toEqual(endpoints);
  });

  const hosts = fc.tuple(fc.array(ipv4, { maxLength: 12 }), fc.array(ipv6, { maxLength: 12 })).map((all) => all.flat());

  it('uses every address, and no endpoint has two of one family', () => {
    fc.assert(
      fc.property(hosts, (hosts) => {
        const endpoints = pairFamilies(hosts, 80);
        const used = new Set(endpoints.flatMap(({ addresses }) => addresses.map(formatAddress)));
        const given = new Set(hosts.flatMap((host) => shown([host]).map((line) => line.split(': ')[1])));
        expect(used).toEqual(given);
        for (const { addresses } of endpoints) {
          const families = addresses.map((address) => formatAddress(address).startsWith('['));
          expect([[true], [false], [true, false]]).toContainEqual(families);
        }
      }),
    );
  });

  it('gives each endpoint an id of its own, the same whatever the order of the answer', () => {
    const shuffled = hosts.chain((hosts) =>
      fc.tuple(fc.constant(hosts), fc.shuffledSubarray(hosts, { minLength: hosts.length })),
    );
    fc.assert(
      fc.property(shuffled, ([hosts, others]) => {
        const endpoints = pairFamilies(hosts, 80);
        expect(new Set(endpoints.map(({ id }) => id)).size).toBe(endpoints.length);
        expect(pairFamilies(others, 80)).toEqual(endpoints);
      }),
    );
  });

  it('keeps the ids of addresses that stay when others come and go', () => {
    const two = fc.tuple(fc.uniqueArray(ipv4), fc.uniqueArray(ipv4));
    const ids = (hosts: readonly string[]) => new Map(pairFamilies(hosts, 80).map((each) => [each.id, each]));
    fc.assert(
      fc.property(two, ([before, after]) => {
        const kept = before.filter((host) => after.includes(host));
        for (const host of kept) expect(ids(after).get(`${host}:80`)).toEqual(ids(before).get(`${host}:80`));
      }),
    );
  });
});
