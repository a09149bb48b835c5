import { describe, expect, it } from 'vitest';
import { formatNamePattern, matchesName, parseNamePattern } from '../../src/routing/name-pattern.js';

describe('a pattern of names', () => {
  it.each([
    ['orders', ['orders'], ['a.orders', 'orders.a', 'order']],
    ['Orders.Example.', ['orders.example'], ['a.orders.example']],
    ['*.example', ['a.example'], ['example', 'b.a.example', 'aexample']],
    ['.example', ['a.example', 'b.a.example'], ['example', 'aexample']],
    ['*', ['a', 'a.b', '10.0.0.1'], []],
    ['10.0.0.1', ['10.0.0.1'], ['10.0.0.2']],
    ['2001:db8::1', ['2001:db8::1'], []],
  ])('%s', (text, yes, no) => {
    const pattern = parseNamePattern(text);
    expect(pattern).toBeDefined();
    if (pattern === undefined) return;
    expect(parseNamePattern(formatNamePattern(pattern))).toEqual(pattern);
    for (const name of yes) expect([name, matchesName(pattern, name)]).toEqual([name, true]);
    for (const name of no) expect([name, matchesName(pattern, name)]).toEqual([name, false]);
  });

  it.each(['', '.', '*.', '**', 'a*.b', '*.*.a', 'a b', 'a..b', '..a', 'a/b', `${'a'.repeat(64)}`, 'a:80'])(
    '%j is none',
    (text) => {
      expect(parseNamePattern(text)).toBeUndefined();
    },
  );
});
