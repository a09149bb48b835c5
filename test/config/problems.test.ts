import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfigFile } from '../../src/config/load.js';
import { nearest } from '../../src/config/nearest.js';
import { parseText } from '../../src/config/text.js';

const path = join(mkdtempSync(join(tmpdir(), 'meshproxy-problems-')), 'web.yaml');

/** What is said of a file with this text. */
async function problemsOf(text: string): Promise<string> {
  writeFileSync(path, text);
  const error: unknown = await loadConfigFile(path).then(
    () => new Error('it was accepted'),
    (error: unknown) => error,
  );
  return (error as Error).message.replaceAll(path, 'web.yaml');
}

/** What is written, and the lines of the error, without the name of the file. */
const BAD: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'an unknown key that is nearly a known one',
    'services:\n  web:\n    upstream: [":1"]',
    [
      '3:5: services.web: unknown key "upstream"; did you mean "upstreams"?',
      '3:5: services.web.upstreams: is missing; a list is needed',
    ],
  ],
  [
    'an unknown key in other letters',
    'drain_timeout: 5s',
    ['1:1: unknown key "drain_timeout"; did you mean "drainTimeout"?'],
  ],
  [
    'a key in the wrong place',
    'connectTimeout: 5s',
    ['1:1: unknown key "connectTimeout" here; it belongs in services.NAME or defaults.service'],
  ],
  [
    'a key that nothing is like',
    'log: {colour: red}',
    ['1:7: log: unknown key "colour"; known here are level, format'],
  ],
  [
    'a duration with a wrong unit',
    'drainTimeout: 5x',
    ['1:15: drainTimeout: "5x" is not a duration; write 250ms, 2s, 1m30s or 1h'],
  ],
  ['a duration without a unit', 'drainTimeout: 30', ['1:15: drainTimeout: 30 is not a duration; write 30s or 30ms']],
  [
    'a duration without a unit, in quotes',
    'drainTimeout: "30"',
    ['1:15: drainTimeout: "30" is not a duration; write 30s or 30ms'],
  ],
  [
    'a keepalive that the kernel, which counts in seconds, would take for none',
    'limits: {keepalive: 900ms}',
    ['1:21: limits.keepalive: "900ms" is too small; the least is 1s'],
  ],
  [
    'off where there is no off',
    'drainTimeout: off',
    ['1:15: drainTimeout: "off" is not a duration; write 250ms, 2s, 1m30s or 1h'],
  ],
  [
    'something else where off may be',
    'limits: {keepalive: true}',
    ['1:21: limits.keepalive: true is not a duration; write 250ms, 2s, 1m30s or 1h, or off'],
  ],
  ['a duration below its least', 'dns: {minTtl: 1ms}', ['1:15: dns.minTtl: "1ms" is too small; the least is 100ms']],
  [
    'several workers with the engine that has one thread',
    'engine: streams\nworkers: 2',
    [
      '2:10: workers: 2 needs the native engine: streams runs in one thread; leave workers out, or set engine to native or auto',
    ],
  ],
  ['a duration above its most', 'drainTimeout: 1000d', ['1:15: drainTimeout: "1000d" is too large; the most is 365d']],
  ['a range upside down', 'dns: {minTtl: 10m}', ['1:15: dns.minTtl: 10m is longer than dns.maxTtl, which is 5m']],
  [
    'a size in words',
    'limits: {bufferSize: lots}',
    ['1:22: limits.bufferSize: "lots" is not a size; write 65536, 64KiB, 16MiB or 2GiB'],
  ],
  [
    'a size of another type',
    'limits: {bufferSize: [1]}',
    ['1:22: limits.bufferSize: a list is not a size; write 65536, 64KiB, 16MiB or 2GiB'],
  ],
  [
    'a size below its least',
    'limits: {maxMemory: 1m}',
    ['1:21: limits.maxMemory: "1m" is too small; the least is 64MiB'],
  ],
  [
    'a number in quotes',
    'limits: {maxConnections: "5"}',
    ['1:26: limits.maxConnections: this is "5"; a number is needed; leave out the quotes'],
  ],
  [
    'a number with a fraction',
    'limits: {maxConnections: 1.5}',
    ['1:26: limits.maxConnections: this is 1.5; a whole number is needed'],
  ],
  [
    'a number below its least',
    'limits: {maxConnections: 0}',
    ['1:26: limits.maxConnections: 0 is too small; the least is 1'],
  ],
  [
    'a number above its most',
    'defaults: {service: {connectAttempts: 101}}',
    ['1:39: defaults.service.connectAttempts: 101 is too large; the most is 100'],
  ],
  [
    'a port for an address',
    'admin: 9901',
    ['1:8: admin: 9901 is a number, not an address; write ":9901" or "127.0.0.1:9901"'],
  ],
  [
    'an address without a port',
    'admin: localhost',
    [
      '1:8: admin: "localhost": the port is missing; accepted are host:port, :port, [ipv6]:port and unix:/path (write localhost:80, for example)',
    ],
  ],
  [
    'one of several words, misspelt',
    'log: {level: wran}',
    ['1:14: log.level: "wran" is not one of silent, fatal, error, warn, info, debug, trace; did you mean "warn"?'],
  ],
  ['none of several words', 'accessLog: sometimes', ['1:12: accessLog: "sometimes" is not one of off, errors, all']],
  [
    'a section with nothing in it',
    'limits:\nadmin: off',
    ['1:1: limits: nothing is written here; a mapping of keys to values is needed'],
  ],
  [
    'text for a list',
    'services: {web: {upstreams: "a:1"}}',
    ['1:29: services.web.upstreams: this is "a:1"; a list is needed; write ["a:1"]'],
  ],
  [
    'an empty list',
    'services: {web: {upstreams: []}}',
    ['1:29: services.web.upstreams: a service needs at least one upstream'],
  ],
  [
    'a name server by name',
    'dns: {servers: [ns.example]}',
    ['1:17: dns.servers[0]: "ns.example" is not a name server; write 10.0.0.53, 10.0.0.53:5353 or [fd00::53]:53'],
  ],
  [
    'a name that is none',
    'services: {"a/b": {upstreams: [":1"]}}',
    [
      '1:12: services: "a/b" is not a name: a name has 1 to 63 letters, digits, ".", "_" and "-", and begins and ends with a letter or digit',
    ],
  ],
  ['a list for everything', '[]', ['1:1: this is a list; a mapping of keys to values is needed']],
  [
    'a service that is not there, nearly',
    'listeners: {web: {address: ":1", service: wbe}}\nservices: {web: {upstreams: [":2"]}}',
    ['1:43: listeners.web.service: there is no service "wbe"; did you mean "web"?'],
  ],
  [
    'a service that is not there at all',
    'listeners: {web: {address: ":1", service: other}}\nservices: {web: {upstreams: [":2"]}}',
    ['1:43: listeners.web.service: there is no service "other"; the services are web'],
  ],
  [
    'no service',
    'listeners: {web: {address: ":1"}}',
    [
      '1:18: listeners.web.service: there is no service; a service is what has upstreams: services: {NAME: {upstreams: [...]}}',
    ],
  ],
  [
    'two listeners on one address',
    'listeners:\n  a: {address: "[::1]:1"}\n  b: {address: "[0:0::1]:1"}\nservices: {s: {upstreams: [":2"]}}',
    ['3:16: listeners.b.address: "[::1]:1" is taken: listener a has the same address'],
  ],
  [
    'a listener on the address of the admin',
    'listeners: {a: {address: "127.0.0.1:9901"}}\nservices: {s: {upstreams: [":2"]}}',
    ['1:26: listeners.a.address: "127.0.0.1:9901" is taken: the admin listener has the same address'],
  ],
  [
    'an upstream that is its own listener',
    'listeners: {a: {address: ":1"}}\nservices: {s: {upstreams: [":2", "localhost:1"]}}',
    [
      '2:34: services.s.upstreams[1]: "localhost:1" is where listener a listens: its connections would come back to it without end',
    ],
  ],
  [
    'many things at once, in the order of their lines',
    'log: {level: 5}\nlisteners:\n  web: {address: 1}\n  # here\n  api: {adress: ":2"}\nservices:\n  s: 5\nadmin: x\n',
    [
      '1:14: log.level: 5 is not one of silent, fatal, error, warn, info, debug, trace',
      '3:18: listeners.web.address: 1 is a number, not an address; write ":1" or "127.0.0.1:1"',
      '5:8: listeners.api.address: is missing; text is needed',
      '5:9: listeners.api: unknown key "adress"; did you mean "address"?',
      '7:6: services.s: this is 5; a mapping of keys to values is needed',
      '8:8: admin: "x": the port is missing; accepted are host:port, :port, [ipv6]:port and unix:/path (write x:80, for example)',
    ],
  ],
];

describe('a file with problems', () => {
  it.each(BAD)('is refused for %s, with line and column', async (_, text, lines) => {
    expect(await problemsOf(text)).toEqual(lines.map((line) => `web.yaml:${line}`).join('\n'));
  });

  it('lists fifty problems and counts the rest', async () => {
    const text = Array.from({ length: 70 }, (_, index) => `key${index}: 1`).join('\n');
    const lines = (await problemsOf(text)).split('\n');
    expect(lines).toHaveLength(51);
    expect(lines[49]).toMatch(/^web\.yaml:50:1: unknown key "key49"/);
    expect(lines[50]).toBe('... and 20 more');
  });

  it('shows values cut to a length that can be read', async () => {
    expect((await problemsOf(`accessLog: ${'x'.repeat(5000)}`)).length).toBeLessThan(200);
    expect((await problemsOf(`admin: ${'x'.repeat(5000)}`)).length).toBeLessThan(700);
  });
});

describe('a place in a text', () => {
  const text = parseText('a: &x\n  b: 1\n  c: [10, {d: 2}]\ne: *x\nf:\n', 'f');

  it.each([
    [['a', 'b'], 'value', 'f:2:6'],
    [['a', 'b'], 'key', 'f:2:3'],
    [['a', 'c', 1, 'd'], 'value', 'f:3:15'],
    [['a', 'missing'], 'value', 'f:2:3'],
    [['a', 'b', 'deeper'], 'value', 'f:2:6'],
    [['e', 'c', 0], 'value', 'f:3:7'],
    [['f'], 'value', 'f:5:1'],
    [[], 'value', 'f:1:1'],
  ] as const)('is found for %j, the %s', (path, at, place) => {
    expect(text.locate(path, at)).toBe(place);
  });
});

describe('the nearest of several words', () => {
  it.each([
    ['upstrems', ['upstreams', 'connectTimeout'], 'upstreams'],
    ['wran', ['warn', 'info'], 'warn'],
    ['max-connections', ['maxConnections'], 'maxConnections'],
    ['x', ['a', 'b'], undefined],
    ['', ['a'], undefined],
    ['completely', ['different'], undefined],
    ['y'.repeat(1_000_000), ['y'], undefined],
  ])('to %j among %j is %j', (word, candidates, expected) => {
    expect(nearest(word, candidates)).toBe(expected);
  });
});
