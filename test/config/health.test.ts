import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBytes, parseHealthCheck, parseStatuses } from '../../src/config/health-check.js';
import { parseConfig } from '../../src/config/load.js';

const parse = (settings: object, defaults: object = {}) =>
  parseConfig({
    defaults: { service: defaults },
    services: { one: { upstreams: ['10.0.0.1:80'], ...settings } },
  }).services['one'];

describe('a health check is written as', () => {
  it.each([
    ['off', { kind: 'off' }],
    ['tcp', { kind: 'tcp' }],
    ['tls', { kind: 'tls' }],
    ['send-expect', { kind: 'send-expect' }],
    ['http:/', { kind: 'http', host: undefined, path: '/' }],
    ['http:/health?a=b', { kind: 'http', host: undefined, path: '/health?a=b' }],
    ['http://orders.example:8080/up', { kind: 'http', host: 'orders.example:8080', path: '/up' }],
    ['http://[::1]/up', { kind: 'http', host: '[::1]', path: '/up' }],
  ])('%s', (text, check) => {
    expect(parseHealthCheck(text)).toEqual(check);
    if (check.kind !== 'send-expect') expect(parse({ healthCheck: text })?.healthCheck).toBe(text);
  });

  it.each(['', 'udp', 'http', 'http:', 'http://health', 'http:health', 'https:/x', 'http:/a b', 'http:/a\r\nX: y'])(
    'and not as %j',
    (healthCheck) => {
      expect(() => parse({ healthCheck })).toThrow(/services\.one\.healthCheck: /);
    },
  );

  it('a request that no path and no host could add a line to', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        for (const written of [`http:/${text}`, `http://${text}`]) {
          const check = parseHealthCheck(written);
          if (check?.kind === 'http') expect(`${check.host}${check.path}`).toMatch(/^[!-~]+$/);
        }
      }),
    );
  });
});

describe('what is sent and expected', () => {
  it('is text, or bytes in hexadecimal or base64', () => {
    const ping = Buffer.from('PING\r\n');
    for (const text of ['PING\r\n', 'hex:50494e470d0a', 'hex:50494E470D0A', 'base64:UElORw0K']) {
      expect(Buffer.from(parseBytes(text) ?? [])).toEqual(ping);
    }
  });

  it.each(['', 'hex:', 'hex:5', 'hex:zz', 'base64:', 'base64:U', 'base64:UEl ORw'])('is not %j', (healthExpect) => {
    expect(() => parse({ healthCheck: 'send-expect', healthExpect })).toThrow(
      /services\.one\.healthExpect: .*is not bytes/,
    );
  });

  it('has to be there where it is asked for, and nobody forgets to ask', () => {
    expect(() => parse({ healthCheck: 'send-expect' })).toThrow(/healthCheck: "send-expect" needs healthExpect/);
    expect(() => parse({ healthExpect: '+PONG' })).toThrow(
      /healthExpect: has no meaning without healthCheck send-expect/,
    );
    const defaults = { healthCheck: 'send-expect', healthExpect: '+PONG' };
    expect(parse({ healthExpect: 'OK' }, defaults)).toMatchObject({ healthCheck: 'send-expect', healthExpect: 'OK' });
    expect(parse({ healthCheck: 'off' }, defaults)).toMatchObject({ healthCheck: 'off' });
  });
});

describe('statuses', () => {
  it('are codes and ranges of them', () => {
    expect(parseStatuses('200')).toEqual([[200, 200]]);
    expect(parseStatuses('200-299,404')).toEqual([
      [200, 299],
      [404, 404],
    ]);
  });

  it.each(['', '99', '600', '300-200', '200,', '2xx', '200 - 299'])('are not %j', (healthStatus) => {
    expect(() => parse({ healthStatus })).toThrow(/is no list of HTTP statuses/);
  });
});
