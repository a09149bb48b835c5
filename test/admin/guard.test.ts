import { expect, test } from 'vitest';
import { crossSite, wrongHost } from '../../src/admin/guard.js';
import { parseAddress } from '../../src/core/address.js';

const loopback = parseAddress('127.0.0.1:9901');

test.each(['127.0.0.1:9901', '127.0.0.1', '10.0.0.1:80', '[::1]:9901', '[::1]', 'localhost', 'LOCALHOST:9901'])(
  'host %s is ours',
  (host) => {
    expect(wrongHost(loopback, { host })).toBeUndefined();
  },
);

test.each([
  'evil.example',
  'evil.example:9901',
  '127.0.0.1.evil.example',
  'localhost.evil.example',
  '',
  '::1',
  '[evil]:80',
  '0x7f000001',
])('host %j is not ours: a name that was made to point here (DNS rebinding)', (host) => {
  expect(wrongHost(loopback, { host })).toContain(JSON.stringify(host.replace(/:\d+$/, '')));
});

test('the name that was bound is ours, and another is not', () => {
  const named = parseAddress('Node1.Example:9901');
  expect(wrongHost(named, { host: 'node1.example:9901' })).toBeUndefined();
  expect(wrongHost(named, { host: 'node2.example:9901' })).toBeDefined();
});

test('a unix socket and a client without the header need no host', () => {
  expect(wrongHost(parseAddress('unix:/run/x.sock'), { host: 'anything' })).toBeUndefined();
  expect(wrongHost(loopback, {})).toBeUndefined();
});

test('an endless host is not repeated in full', () => {
  expect(wrongHost(loopback, { host: 'x'.repeat(8000) })?.length).toBeLessThan(300);
});

test.each([
  ['a program', {}, true],
  ['the page itself', { site: 'same-origin', origin: 'http://127.0.0.1:9901' }, true],
  ['what a person typed', { site: 'none' }, true],
  ['another site', { site: 'cross-site', origin: 'http://evil.example' }, false],
  ['another port of this machine', { site: 'same-site', origin: 'http://127.0.0.1:80' }, false],
  ['an old browser, from another site', { origin: 'http://evil.example' }, false],
  ['a sandboxed page', { origin: 'null' }, false],
] as const)('a change asked for by %s', (_, headers, allowed) => {
  const refusal = crossSite({ host: '127.0.0.1:9901', ...headers });
  expect(refusal === undefined).toBe(allowed);
});
