import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCidr } from '../../src/core/cidr.js';
import { ipToBytes } from '../../src/core/ip.js';
import { type NamePattern, parseNamePattern } from '../../src/routing/name-pattern.js';
import { type Match, obstacle, type Route, type RouteKey, scoreOf } from '../../src/routing/route.js';
import { RouteTable } from '../../src/routing/route-table.js';

function names(...texts: string[]): readonly NamePattern[] {
  return texts.map((text) => {
    const pattern = parseNamePattern(text);
    if (pattern === undefined) throw new Error(`${text} is no pattern`);
    return pattern;
  });
}
const to = (cidr: string, port?: number) => ({ cidr: parseCidr(cidr), port });
const key = (
  more: Partial<Record<'serverName' | 'host' | 'identity', string>> & {
    to?: string;
    port?: number;
    from?: string;
    protocols?: string[];
    listener?: string;
  } = {},
): RouteKey => ({
  listener: more.listener ?? 'in',
  serverName: more.serverName,
  host: more.host,
  identity: more.identity,
  protocols: more.protocols,
  destination: more.to === undefined ? undefined : { host: more.to, bytes: ipToBytes(more.to), port: more.port ?? 80 },
  source: more.from === undefined ? undefined : { host: more.from, bytes: ipToBytes(more.from) },
});
const table = (matches: Readonly<Record<string, Match>>) =>
  new RouteTable(Object.entries(matches).map(([name, match]) => ({ name, match, service: name })));

describe('routes', () => {
  const routes = table({
    all: {},
    exact: { serverNames: names('a.example') },
    wildcard: { serverNames: names('*.example') },
    suffix: { serverNames: names('.example') },
    deeper: { serverNames: names('.b.example') },
    named: { serverNames: names('*') },
    web: { hosts: names('a.example') },
    net: { destinations: [to('10.0.0.0/8')] },
    smaller: { destinations: [to('10.1.0.0/16')] },
    port: { destinations: [to('10.0.0.0/8', 443)] },
    six: { destinations: [to('2001:db8::/32', 443)] },
    source: { sources: [parseCidr('192.168.0.0/16')] },
    person: { identities: ['spiffe://a/b'] },
    h2: { protocols: ['h2'] },
    other: { listeners: ['out'] },
  });

  it.each([
    ['nothing known', key(), 'all'],
    ['an exact name', key({ serverName: 'a.example' }), 'exact'],
    ['one label below', key({ serverName: 'c.example' }), 'wildcard'],
    ['two labels below', key({ serverName: 'd.c.example' }), 'suffix'],
    ['below a longer one', key({ serverName: 'c.b.example' }), 'deeper'],
    ['the base itself', key({ serverName: 'example' }), 'named'],
    ['any other name', key({ serverName: 'badexample' }), 'named'],
    ['a host of HTTP', key({ host: 'a.example' }), 'web'],
    ['a block', key({ to: '10.9.9.9' }), 'net'],
    ['a smaller block', key({ to: '10.1.9.9' }), 'smaller'],
    ['a port of a block', key({ to: '10.9.9.9', port: 443 }), 'port'],
    ['a smaller block before a port of a larger one', key({ to: '10.1.9.9', port: 443 }), 'smaller'],
    ['an address of IPv6', key({ to: '2001:db8::1', port: 443 }), 'six'],
    ['another port there', key({ to: '2001:db8::1', port: 80 }), 'all'],
    ['a source', key({ from: '192.168.1.1' }), 'source'],
    ['an identity', key({ identity: 'spiffe://a/b' }), 'person'],
    ['a protocol', key({ protocols: ['http/1.1', 'h2'] }), 'h2'],
    ['a listener', key({ listener: 'out' }), 'other'],
    ['a name before a destination', key({ serverName: 'x.y', to: '10.1.1.1' }), 'named'],
    ['a destination before a source', key({ to: '10.9.9.9', from: '192.168.1.1' }), 'net'],
  ])('with %s: the most specific', (_, of, expected) => expect(routes.find(of)?.name).toBe(expected));

  it('of which all conditions have to hold', () => {
    const both = table({ both: { serverNames: names('a'), destinations: [to('10.0.0.0/8', 443)], listeners: ['in'] } });
    const good = { serverName: 'a', to: '10.0.0.1', port: 443 };
    expect(both.find(key(good))?.name).toBe('both');
    for (const bad of [{ serverName: 'b' }, { port: 80 }, { to: '11.0.0.1' }, { listener: 'out' }])
      expect(both.find(key({ ...good, ...bad }))).toBeUndefined();
  });

  it('that are equally specific: the first', () => {
    const both = table({
      first: { serverNames: names('a'), listeners: ['in'] },
      second: { serverNames: names('a'), listeners: ['in'] },
    });
    expect(both.find(key({ serverName: 'a' }))?.name).toBe('first');
    const mixed = table({
      first: { sources: [parseCidr('0.0.0.0/0')] },
      second: { sources: [parseCidr('::/0'), parseCidr('0.0.0.0/0')] },
    });
    expect(mixed.find(key({ from: '1.2.3.4' }))?.name).toBe('first');
  });

  it('say why each is passed over', () => {
    const [taken, ...others] = routes.explain(key({ serverName: 'a.example', to: '10.1.1.1' }));
    expect(taken).toMatchObject({ route: { name: 'exact' }, passedOver: undefined });
    const why = Object.fromEntries(others.map(({ route, passedOver }) => [route.name, passedOver]));
    expect(why).toMatchObject({
      all: 'exact is more specific, or comes before it',
      deeper: 'server name is a.example, and it is for .b.example',
      web: 'host is not known, and it is for a.example',
      port: 'destination is 10.1.1.1:80, and it is for 10.0.0.0/8:443',
      six: 'destination is 10.1.1.1:80, and it is for [2001:db8::/32]:443',
    });
    expect(others).toHaveLength(routes.routes.length - 1);
  });

  it('are found in a table as they are found by looking at all of them', () => {
    const label = fc.constantFrom('a', 'b', 'c');
    const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'));
    const pattern = fc.oneof(
      name,
      name.map((one) => `*.${one}`),
      name.map((one) => `.${one}`),
      fc.constant('*'),
    );
    const host = fc.constantFrom('10.0.0.1', '10.0.0.2', '10.128.0.1', '11.0.0.1', '::1', '::2', '8000::1');
    const cidr = fc.tuple(host, fc.constantFrom(0, 1, 8, 9, 31, 32, 33, 64, 127, 128)).map(([ip, bits]) => {
      const bytes = ipToBytes(ip);
      const kept = Math.min(bits, bytes.length * 8);
      const network = bytes.map(
        (byte, index) => byte & (0xff << (8 - Math.max(0, Math.min(8, kept - 8 * index)))) & 0xff,
      );
      return { network, bits: kept };
    });
    const list = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: 1, maxLength: 3 });
    const match = fc.record(
      {
        serverNames: list(pattern).map((all) => names(...all)),
        hosts: list(pattern).map((all) => names(...all)),
        destinations: list(fc.record({ cidr, port: fc.option(fc.constantFrom(80, 443), { nil: undefined }) })),
        sources: list(cidr),
        identities: list(label),
        protocols: list(label),
        listeners: list(label),
      },
      { requiredKeys: [] },
    );
    const keys = fc.record({
      listener: label,
      serverName: fc.option(name, { nil: undefined }),
      host: fc.option(name, { nil: undefined }),
      identity: fc.option(label, { nil: undefined }),
      protocols: fc.option(list(label), { nil: undefined }),
      to: fc.option(host, { nil: undefined }),
      from: fc.option(host, { nil: undefined }),
      port: fc.constantFrom(80, 443),
    });
    fc.assert(
      fc.property(fc.array(match, { maxLength: 12 }), keys, (matches, { to: host_, from, ...rest }) => {
        const all: Route[] = matches.map((one, index) => ({ name: `${index}`, match: one, service: 's' }));
        const of: RouteKey = {
          ...rest,
          destination: host_ === undefined ? undefined : { host: host_, bytes: ipToBytes(host_), port: rest.port },
          source: from === undefined ? undefined : { host: from, bytes: ipToBytes(from) },
        };
        let expected: Route | undefined;
        for (const route of all)
          if (scoreOf(route, of) > (expected === undefined ? -1 : scoreOf(expected, of))) expected = route;
        expect(new RouteTable(all).find(of)).toBe(expected);
        for (const route of all) expect(obstacle(route, of) === undefined).toBe(scoreOf(route, of) >= 0);
      }),
      { numRuns: 2000 },
    );
  });
});
