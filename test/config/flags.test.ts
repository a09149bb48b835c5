import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FLAG_NAMES, FLAGS, type Flags, mergeFlags } from '../../src/config/flags.js';
import { schemaAt } from '../../src/config/json-schema.js';
import { loadFlags } from '../../src/config/load.js';
import type { MeshproxyError } from '../../src/core/errors.js';

const PAIR: Flags = { '--listen': [':8080'], '--upstream': ['a:1'] };

function errorOf(action: () => unknown): MeshproxyError {
  try {
    action();
  } catch (error) {
    return error as MeshproxyError;
  }
  throw new Error('it was accepted');
}

describe('flags', () => {
  it('set what the schema knows, each at a place of its own', () => {
    const paths = FLAG_NAMES.map((name) => FLAGS[name].path.join('.'));
    expect(new Set(paths).size).toBe(paths.length);
    for (const name of FLAG_NAMES) expect(schemaAt(FLAGS[name].path), name).toBeDefined();
  });

  it('make listeners that all go to one service', () => {
    const { config } = loadFlags({ '--listen': [':1', 'unix:/a', '[::1]:3'], '--upstream': ['a:1', 'b:2'] });
    expect(config.listeners).toMatchObject({
      default: { address: { kind: 'any', port: 1 }, service: 'default' },
      'default-2': { address: { kind: 'unix', path: '/a' }, service: 'default' },
      'default-3': { address: { kind: 'ip', host: '::1', port: 3 }, service: 'default' },
    });
    expect(config.services['default']?.upstreams).toEqual([
      { kind: 'name', name: 'a', port: 1 },
      { kind: 'name', name: 'b', port: 2 },
    ]);
  });

  it.each<[keyof Flags, string | true | readonly string[], object]>([
    ['--admin', 'off', { admin: 'off' }],
    ['--accept-proxy-protocol', true, { listeners: { default: { acceptProxyProtocol: true } } }],
    ['--proxy-protocol-timeout', '1s', { listeners: { default: { proxyProtocolTimeout: 1000 } } }],
    ['--detect-timeout', '1s', { listeners: { default: { detectTimeout: 1000 } } }],
    ['--max-connections-per-listener', '7', { listeners: { default: { maxConnections: 7 } } }],
    ['--send-proxy-protocol', 'v2', { services: { default: { sendProxyProtocol: 'v2' } } }],
    ['--connect-timeout', '1s', { services: { default: { connectTimeout: 1000 } } }],
    ['--connect-deadline', '1m', { services: { default: { connectDeadline: 60_000 } } }],
    ['--connect-attempts', '3', { services: { default: { connectAttempts: 3 } } }],
    ['--max-connections-per-service', '9', { services: { default: { maxConnections: 9 } } }],
    ['--max-pending', '5', { services: { default: { maxPending: 5 } } }],
    ['--queue-timeout', '2s', { services: { default: { queueTimeout: 2000 } } }],
    ['--queue-target', 'off', { services: { default: { queueTarget: 0 } } }],
    ['--max-retries', '4', { services: { default: { maxRetries: 4 } } }],
    ['--retry-budget', '10%', { services: { default: { retryBudget: 10 } } }],
    ['--replay', '64KiB', { services: { default: { replay: 65536 } } }],
    ['--balance', 'maglev', { services: { default: { balance: 'maglev' } } }],
    ['--hash-key', 'proxy-tlv:0xea', { services: { default: { hashKey: { kind: 'proxy-tlv', type: 0xea } } } }],
    ['--hash-balance-factor', '150%', { services: { default: { hashBalanceFactor: 150 } } }],
    ['--retry-min-rate', '7', { services: { default: { retryMinRate: 7 } } }],
    ['--race-delay', '100ms', { services: { default: { raceDelay: 100 } } }],
    ['--idle-timeout', '1h', { services: { default: { idleTimeout: 3_600_000 } } }],
    ['--half-close-timeout', 'off', { services: { default: { halfCloseTimeout: 0 } } }],
    ['--max-connections', '9', { limits: { maxConnections: 9 } }],
    ['--max-memory', '1GiB', { limits: { maxMemory: 1024 ** 3 } }],
    ['--buffer-size', '16k', { limits: { bufferSize: 16_384 } }],
    ['--keepalive', 'off', { limits: { keepalive: 0 } }],
    ['--dns-server', ['10.0.0.53', '10.0.0.54:5353'], { dns: { servers: ['10.0.0.53', '10.0.0.54:5353'] } }],
    ['--dns-min-ttl', '2s', { dns: { minTtl: 2000 } }],
    ['--dns-max-ttl', '1m', { dns: { maxTtl: 60_000 } }],
    ['--dns-fallback-ttl', '1m', { dns: { fallbackTtl: 60_000 } }],
    ['--engine', 'native', { engine: 'native' }],
    ['--workers', '4', { workers: 4 }],
    ['--drain-timeout', '0', { drainTimeout: 0 }],
    ['--access-log', 'errors', { accessLog: 'errors' }],
    ['--log-level', 'debug', { log: { level: 'debug' } }],
    ['--log-format', 'json', { log: { format: 'json' } }],
  ])('%s %s is set', (flag, value, expected) => {
    expect(loadFlags({ ...PAIR, [flag]: value }).config).toMatchObject(expected);
  });

  it.each<[Flags, string, string, string | undefined]>([
    [
      { '--listen': [':1'] },
      'usage',
      '--listen without --upstream: where are its connections to go?',
      'add --upstream HOST:PORT',
    ],
    [
      { '--upstream': ['a:1'] },
      'usage',
      '--upstream without --listen: where are its connections to come from?',
      'add --listen 127.0.0.1:8080',
    ],
    [
      { '--listen': ['foo'], '--upstream': ['a:1', '99999'] },
      'bad-address',
      '--listen "foo": the port is missing; accepted are host:port, :port, [ipv6]:port and unix:/path (write foo:80, for example)\n' +
        '--upstream "99999": the port is missing; accepted are host:port, :port, [ipv6]:port and unix:/path (write :99999)',
      undefined,
    ],
    [
      { ...PAIR, '--connect-timeout': '5x' },
      'usage',
      '--connect-timeout "5x" is not a duration; write 250ms, 2s, 1m30s or 1h',
      undefined,
    ],
    [{ ...PAIR, '--idle-timeout': '5' }, 'usage', '--idle-timeout "5" is not a duration; write 5s or 5ms', undefined],
    [{ ...PAIR, '--connect-attempts': '0' }, 'usage', '--connect-attempts 0 is too small; the least is 1', undefined],
    [
      { ...PAIR, '--connect-attempts': 'few' },
      'usage',
      '--connect-attempts "few": this is "few"; a number is needed',
      undefined,
    ],
    [{ ...PAIR, '--max-memory': '1k' }, 'usage', '--max-memory "1k" is too small; the least is 64MiB', undefined],
    [
      { ...PAIR, '--access-log': 'al' },
      'usage',
      '--access-log "al" is not one of off, errors, all; did you mean "all"?',
      undefined,
    ],
    [
      { ...PAIR, '--dns-server': ['10.0.0.1', 'x'] },
      'usage',
      '--dns-server "x" is not a name server; write 10.0.0.53, 10.0.0.53:5353 or [fd00::53]:53',
      undefined,
    ],
    [
      { ...PAIR, '--listen': [':1', ':1'] },
      'usage',
      '--listen ":1" is taken: listener default has the same address',
      undefined,
    ],
    [
      { ...PAIR, '--upstream': ['localhost:8080'] },
      'usage',
      '--upstream "localhost:8080" is where listener default listens: its connections would come back to it without end',
      undefined,
    ],
    [
      { ...PAIR, '--dns-min-ttl': '10m' },
      'usage',
      '--dns-min-ttl "10m": 10m is longer than dns.maxTtl, which is 5m',
      undefined,
    ],
  ])('%j are refused with words that name the flag', (flags, code, message, hint) => {
    expect(errorOf(() => loadFlags(flags))).toMatchObject({ code, message, hint });
  });

  it('of any text are answered with a configuration, or with an error that begins with a flag', () => {
    const value = fc.oneof(
      fc.string(),
      fc.constantFrom('5s', '0', '10', ':0', 'off', 'v1', 'all', 'json', '1m', '10.0.0.1'),
    );
    const flags = fc.dictionary(fc.constantFrom(...FLAG_NAMES), value).map((flags) =>
      Object.fromEntries(
        Object.entries(flags).map(([name, value]) => {
          const { repeats, value: kind } = { repeats: false, value: undefined, ...FLAGS[name as keyof Flags] };
          return [name, kind === undefined ? true : repeats ? [value] : value];
        }),
      ),
    );
    fc.assert(
      fc.property(flags, (flags) => {
        try {
          loadFlags(flags);
        } catch (error) {
          expect(error).toMatchObject({ name: 'MeshproxyError', code: expect.stringMatching(/^(usage|bad-address)$/) });
          expect((error as Error).message).toMatch(/^--[a-z-]+/);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('flags beside a file', () => {
  const FILE = {
    services: { api: { upstreams: ['b:2'], connectTimeout: '9s' } },
    admin: ':1',
    limits: { keepalive: '5s', maxConnections: 3 },
  };

  it('win where they are about the whole process', () => {
    expect(mergeFlags({ '--admin': 'off', '--keepalive': 'off', '--drain-timeout': '1s' }, FILE).input).toEqual({
      ...FILE,
      admin: 'off',
      drainTimeout: '1s',
      limits: { keepalive: 'off', maxConnections: 3 },
    });
  });

  it('are defaults where they are about listeners and services', () => {
    expect(mergeFlags({ '--connect-timeout': '1s', '--max-connections-per-listener': '5' }, FILE).input).toEqual({
      ...FILE,
      defaults: { service: { connectTimeout: '1s' }, listener: { maxConnections: 5 } },
    });
  });

  it('win over its defaults', () => {
    const file = { defaults: { service: { connectTimeout: '9s', raceDelay: '1s' } } };
    expect(mergeFlags({ '--connect-timeout': '1s' }, file).input).toEqual({
      defaults: { service: { connectTimeout: '1s', raceDelay: '1s' } },
    });
  });

  it('replace its name servers', () => {
    expect(mergeFlags({ '--dns-server': ['10.0.0.2'] }, { dns: { servers: ['10.0.0.1', '10.0.0.3'] } }).input).toEqual({
      dns: { servers: ['10.0.0.2'] },
    });
  });

  it('add a listener and a service', () => {
    expect(mergeFlags(PAIR, FILE).input).toMatchObject({
      listeners: { default: { address: ':8080', service: 'default' } },
      services: { ...FILE.services, default: { upstreams: ['a:1'] } },
    });
  });

  it.each([
    [{ listeners: { default: {} } }, '--listen makes a listener "default", and web.yaml has one of that name'],
    [{ services: { default: {} } }, '--upstream makes a service "default", and web.yaml has one of that name'],
  ])('do not take the place of what %j has', (file, message) => {
    expect(errorOf(() => mergeFlags(PAIR, file, 'web.yaml'))).toMatchObject({
      code: 'usage',
      message,
      hint: 'rename it in web.yaml, or leave out --listen and --upstream',
    });
  });

  it('leave what is wrong in the file for the file to answer for', () => {
    expect(mergeFlags({ '--keepalive': 'off' }, { limits: 5 }).input).toEqual({ limits: 5 });
    expect(mergeFlags({ '--keepalive': 'off' }, [1]).input).toEqual([1]);
  });

  it('leave the content of the file as it was', () => {
    const file = structuredClone(FILE);
    mergeFlags({ ...PAIR, '--keepalive': 'off' }, file);
    expect(file).toEqual(FILE);
  });
});
