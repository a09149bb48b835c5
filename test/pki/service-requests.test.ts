import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readCertificateAsk, readTarget } from '../../src/pki/service-requests.js';

describe('the request line', () => {
  it.each([
    ['POST', '/v1/certificate', { kind: 'certificate' }],
    ['GET', '/v1/trust', { kind: 'trust', after: undefined, waitMs: 0 }],
    ['GET', '/v1/trust?after=abc&wait=7', { kind: 'trust', after: 'abc', waitMs: 7000 }],
    ['GET', '/v1/trust?wait=100000', { kind: 'trust', after: undefined, waitMs: 3_600_000 }],
    ['GET', '/healthz', { kind: 'health' }],
    ['HEAD', '/healthz?x', { kind: 'health' }],
    ['GET', '/metrics', { kind: 'metrics' }],
    ['GET', '/v1/trust?wait=-1', { kind: 'refused', code: 'bad-request' }],
    ['GET', '/v1/trust?wait=1e3', { kind: 'refused', code: 'bad-request' }],
    ['GET', '/v1/certificate', { kind: 'refused', code: 'not-found' }],
    ['POST', '/v1/trust', { kind: 'refused', code: 'not-found' }],
    ['GET', '/v1/../healthz', { kind: 'refused', code: 'not-found' }],
    [undefined, undefined, { kind: 'refused', code: 'not-found' }],
  ])('%s %s is %o', (method, url, target) => {
    expect(readTarget(method, url)).toMatchObject(target);
  });

  it('is read without throwing, whatever it is, and nobody waits for more than a minute', () => {
    const paths = fc.constantFrom('/v1/trust?', '/v1/trust?wait=', '/', '');
    fc.assert(
      fc.property(paths, fc.string(), (path, rest) => {
        const target = readTarget('GET', path + rest);
        if (target.kind === 'trust') expect(target.waitMs).toBeLessThanOrEqual(3_600_000);
      }),
    );
  });
});

describe('the body', () => {
  const read = (text: string) => readCertificateAsk(Buffer.from(text));

  it('brings a request and may bring a token; what is not known is passed over', () => {
    expect(read('{"csr":"x"}')).toEqual({ kind: 'ask', csr: 'x', token: undefined });
    expect(read('{"csr":"x","token":"t","lifetime":9,"__proto__":{"token":1}}')).toEqual({
      kind: 'ask',
      csr: 'x',
      token: 't',
    });
  });

  it.each([
    ['', 'not a JSON object'],
    ['{"csr":', 'not a JSON object'],
    ['null', 'not a JSON object'],
    ['[]', 'csr is missing'],
    ['{"csr":1}', 'csr is missing'],
    ['{"csr":"x","token":null}', 'token is not a text'],
  ])('%s is refused: %s', (text, why) => {
    expect(read(text)).toMatchObject({ kind: 'refused', code: 'bad-request', error: expect.stringContaining(why) });
  });

  it('is read without throwing, whatever it is', () => {
    const bytes = fc.oneof(fc.uint8Array(), fc.json().map(Buffer.from), fc.string().map(Buffer.from));
    fc.assert(
      fc.property(bytes, (body) => {
        expect(['ask', 'refused']).toContain(readCertificateAsk(body).kind);
      }),
    );
  });
});
