import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { loadConfigFile, parseConfig } from '../../src/config/load.js';
import { MeshproxyError } from '../../src/core/errors.js';
import { validInput } from './arbitraries.js';

const folder = mkdtempSync(join(tmpdir(), 'meshproxy-load-'));

function fileWith(content: string | Uint8Array): string {
  const path = join(folder, 'meshproxy.yaml');
  writeFileSync(path, content);
  return path;
}

function errorOf(action: () => unknown): MeshproxyError {
  try {
    action();
  } catch (error) {
    if (error instanceof MeshproxyError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

const MINIMAL = { listeners: { web: { address: ':8080' } }, services: { web: { upstreams: ['10.0.0.1:80'] } } };

describe('parseConfig', () => {
  it('fills in every default', () => {
    expect(parseConfig(MINIMAL)).toEqual({
      listeners: {
        web: {
          address: { kind: 'any', port: 8080 },
          service: 'web',
          acceptProxyProtocol: false,
          proxyProtocolTimeout: 5000,
          detectTimeout: 250,
          tlsAccept: 'off',
          tlsHandshakeTimeout: 10_000,
        },
      },
      services: {
        web: {
          upstreams: [{ kind: 'ip', host: '10.0.0.1', port: 80 }],
          connectTimeout: 2000,
          connectDeadline: 10_000,
          connectAttempts: 8,
          maxPending: 1024,
          queueTimeout: 5000,
          queueTarget: 50,
          retryBudget: 20,
          replay: 0,
          retryMinRate: 3,
          raceDelay: 250,
          idleTimeout: 0,
          halfCloseTimeout: 300_000,
          onEndpointRemoved: 'drain',
          balance: 'ewma',
          hashKey: { kind: 'source-ip' },
          hashBalanceFactor: 0,
          ewmaDecay: 10_000,
          ewmaInitial: 30,
          slowStart: 0,
          panicThreshold: 50,
          ejectAfter: 5,
          ejectLatency: 10,
          ejectTime: 30_000,
          ejectMaxTime: 300_000,
          ejectMaxShare: 50,
          healthCheck: 'off',
          healthInterval: 5000,
          healthTimeout: 2000,
          healthRise: 2,
          healthFall: 3,
          healthStatus: '200-399',
          sendProxyProtocol: 'off',
          tlsDial: 'off',
        },
      },
      admin: { kind: 'ip', host: '127.0.0.1', port: 9901 },
      engine: 'auto',
      identity: {},
      drainTimeout: 30_000,
      accessLog: 'all',
      log: { level: 'info', format: 'auto' },
      limits: { shedTarget: 100, bufferSize: 65_536, keepalive: 60_000 },
      dns: { minTtl: 1000, maxTtl: 300_000, fallbackTtl: 30_000 },
    });
  });

  it('accepts an empty configuration, to which flags may add', () => {
    expect(parseConfig({})).toMatchObject({ listeners: {}, services: {} });
  });

  it('takes a key whose value is undefined for one that is not there', () => {
    const services = { web: { upstreams: [':1'], connectTimeout: undefined } };
    expect(parseConfig({ ...MINIMAL, services, admin: undefined, nonsense: undefined }).services['web']).toMatchObject({
      connectTimeout: 2000,
    });
  });

  it('gives a frozen result, at every depth', () => {
    const isFrozen = (value: unknown): boolean =>
      typeof value !== 'object' || value === null || (Object.isFrozen(value) && Object.values(value).every(isFrozen));
    fc.assert(fc.property(validInput, (input) => isFrozen(parseConfig(input))));
  });

  it('leaves what it was given as it was', () => {
    const input = structuredClone(MINIMAL);
    parseConfig(input);
    expect(input).toEqual(MINIMAL);
    expect(Object.isFrozen(input)).toBe(false);
  });

  it('answers whatever it is given with a configuration or with bad-config', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }),
        (input) => {
          try {
            parseConfig(input);
          } catch (error) {
            expect(error).toMatchObject({ name: 'MeshproxyError', code: 'bad-config' });
          }
        },
      ),
    );
  });

  it('answers with bad-config wherever a valid configuration has something else put into it', () => {
    const rubbish = fc.oneof(
      fc.anything({ withBigInt: true, withMap: true }),
      fc.constantFrom('', '\0', '__proto__', -1, 1e21),
    );
    fc.assert(
      fc.property(validInput, fc.array(fc.nat()), rubbish, (input, choices, value) => {
        const copy = structuredClone(input);
        putAnywhere(copy, choices, value);
        try {
          parseConfig(copy);
        } catch (error) {
          expect(error).toMatchObject({ name: 'MeshproxyError', code: 'bad-config' });
        }
      }),
    );
  });

  it('answers objects that refer to themselves, and getters that throw', () => {
    const circle: Record<string, unknown> = {};
    for (const key of ['listeners', 'services', 'defaults', 'log', 'a', 'b', 'c', 'd', 'e', 'f']) circle[key] = circle;
    expect(errorOf(() => parseConfig(circle)).code).toBe('bad-config');
    const trap = {
      get admin() {
        throw new Error('do not look');
      },
    };
    expect(errorOf(() => parseConfig(trap)).message).toBe('configuration: cannot be read: do not look');
  });

  it('refuses names that an object would swallow', () => {
    const services = JSON.parse('{"__proto__": {"upstreams": [":1"]}}') as unknown;
    expect(errorOf(() => parseConfig({ services })).message).toBe(
      'configuration: services: "__proto__" cannot be a name',
    );
  });

  it('does not take an instance of a class for a mapping', () => {
    expect(errorOf(() => parseConfig({ services: new Map() })).message).toBe(
      'configuration: services: this is "[object Map]"; a mapping of names to settings is needed',
    );
  });
});

function putAnywhere(target: object, choices: readonly number[], value: unknown): void {
  const keys = Object.keys(target);
  const [choice, ...rest] = choices;
  const key = keys[(choice ?? 0) % Math.max(keys.length, 1)] ?? 'surplus';
  const child: unknown = Reflect.get(target, key);
  if (rest.length > 0 && typeof child === 'object' && child !== null) putAnywhere(child, rest, value);
  else Reflect.set(target, key, value);
}

describe('the service of a listener', () => {
  const upstreams = ['10.0.0.1:80'];
  const serviceOf = (listener: object, services: object) =>
    parseConfig({ listeners: { web: { address: ':1', ...listener } }, services }).listeners['web']?.service;

  it('is the one it names', () => {
    expect(serviceOf({ service: 'api' }, { web: { upstreams }, api: { upstreams } })).toBe('api');
  });

  it("is the one of the listener's own name, where it names none", () => {
    expect(serviceOf({}, { web: { upstreams }, api: { upstreams } })).toBe('web');
  });

  it('is the only one there is, where none has its name', () => {
    expect(serviceOf({}, { api: { upstreams } })).toBe('api');
  });

  it('has to be named where there are several and none has its name', () => {
    expect(errorOf(() => serviceOf({}, { api: { upstreams }, db: { upstreams } })).message).toBe(
      "configuration: listeners.web.service: is missing, and no service has the listener's name; the services are api, db",
    );
  });

  it('is found under names that every object has', () => {
    expect(errorOf(() => serviceOf({ service: 'constructor' }, { api: { upstreams } })).message).toContain(
      'there is no service "constructor"',
    );
  });
});

describe('defaults', () => {
  it('hold for every listener and service that does not say otherwise', () => {
    const { listeners, services } = parseConfig({
      defaults: {
        listener: { maxConnections: 5 },
        service: { connectTimeout: '1s', idleTimeout: '1h' },
      },
      listeners: { a: { address: ':1' }, b: { address: ':2', maxConnections: 7 } },
      services: { a: { upstreams: [':3'] }, b: { upstreams: [':3'], idleTimeout: 'off' } },
    });
    expect(listeners).toMatchObject({ a: { maxConnections: 5 }, b: { maxConnections: 7 } });
    expect(services).toMatchObject({
      a: { connectTimeout: 1000, idleTimeout: 3_600_000 },
      b: { connectTimeout: 1000, idleTimeout: 0 },
    });
  });

  it('that are wrong are told of once, and where they are', () => {
    const input = {
      defaults: { service: { connectTimeout: 5 } },
      services: { a: { upstreams: [':1'] }, b: { upstreams: [':1'] } },
    };
    expect(errorOf(() => parseConfig(input)).message).toBe(
      'configuration: defaults.service.connectTimeout: 5 is not a duration; write 5s or 5ms',
    );
  });
});

describe('loadConfigFile', () => {
  it('reads every valid configuration alike as YAML, as JSON and as an object', async () => {
    await fc.assert(
      fc.asyncProperty(validInput, async (input) => {
        const config = parseConfig(input);
        expect(await loadConfigFile(fileWith(stringify(input)))).toEqual(config);
        expect(await loadConfigFile(fileWith(JSON.stringify(input, undefined, '\t')))).toEqual(config);
      }),
      { numRuns: 50 },
    );
  });

  it('answers whatever text it is given with a configuration or with bad-config', async () => {
    const fragment = fc.oneof(
      fc.constantFrom(
        'listeners:',
        'services:',
        ' web:',
        ' {',
        '}',
        '[',
        ']',
        '\n',
        '  ',
        '- ',
        ': ',
        '&a ',
        '*a',
        '"',
        '|',
        '!x',
        '%YAML 1.1\n',
        '---',
        '<<: ',
        '\t',
        '? ',
        '#',
        '__proto__: ',
      ),
      fc.string({ maxLength: 5 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fragment, { maxLength: 40 }), async (fragments) => {
        const path = fileWith(fragments.join(''));
        await loadConfigFile(path).catch((error: unknown) => {
          expect(error).toMatchObject({ name: 'MeshproxyError', code: 'bad-config' });
          // Every line says which file it is about.
          for (const line of (error as Error).message.split('\n')) expect(line.startsWith(path)).toBe(true);
        });
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['a folder', () => folder, 'file', /^cannot read .*: it is a directory \(EISDIR\)$/],
    ['no file', () => join(folder, 'none.yaml'), 'file', /^cannot read .*none\.yaml: no such file \(ENOENT\)$/],
    ['an empty file', () => fileWith(''), 'bad-config', /: the file is empty$/],
    ['a file of comments', () => fileWith('# nothing\n'), 'bad-config', /: the file is empty$/],
    [
      'text that is not UTF-8',
      () => fileWith(Uint8Array.of(0x61, 0xff, 0xfe)),
      'bad-config',
      /: this is not text in UTF-8$/,
    ],
    ['a binary file', () => fileWith('a: 1\0'), 'bad-config', /: this is a binary file, not text$/],
    ['5 MiB', () => fileWith(`#${'x'.repeat(5 * 1024 ** 2)}`), 'file', /: more than 4 MiB is not a configuration$/],
    ['an endless device', () => '/dev/zero', 'file', /: more than 4 MiB is not a configuration$/],
  ])('refuses %s in so many words', async (_, path, code, message) => {
    await expect(loadConfigFile(path())).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('takes a byte order mark for what it is', async () => {
    await expect(loadConfigFile(fileWith('\ufeffadmin: off\n'))).resolves.toMatchObject({ admin: 'off' });
  });

  it('lays flags over the file', async () => {
    const path = fileWith(stringify(MINIMAL));
    await expect(loadConfigFile(path, { '--admin': 'off', '--idle-timeout': '5s' })).resolves.toMatchObject({
      admin: 'off',
      services: { web: { idleTimeout: 5000 } },
    });
  });
});
