import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.js';
import { TlsSetups, workloadOf } from '../../src/l4/tls-setups.js';
import { NOTHING_REVOKED } from '../../src/pki/identity-files.js';
import { hasOpenssl, idOf } from '../e2e/mesh-certificates.js';
import { BOTH_SIDES, CertificateMaker, type Issued, LEAF } from '../fakes/certificates.js';

const ADDRESS = { kind: 'ip', host: '127.0.0.1', port: 2 } as const;

describe('what TLS is asked for', () => {
  let maker: CertificateMaker;
  let root: Issued;
  beforeAll(() => {
    if (!hasOpenssl) return;
    maker = new CertificateMaker();
    root = maker.root('root');
  });
  afterAll(() => maker?.close());
  beforeEach((context) => context.skip(!hasOpenssl, 'openssl is not on PATH'));

  function leaf(...names: string[]): X509Certificate {
    const extensions = [...LEAF, BOTH_SIDES, ...(names.length > 0 ? [`subjectAltName=${names.join(',')}`] : [])];
    return new X509Certificate(maker.leaf({ name: 'a', extensions }, root).certificate);
  }

  function configured(listener: object, service: object) {
    const identity = { certificate: 'a', key: 'b', bundle: 'c' };
    const config = parseConfig({
      listeners: { a: { address: ':1', ...listener } },
      services: { a: { upstreams: ['127.0.0.1:2'], ...service } },
      identity,
    });
    const setups = new TlsSetups({
      version: 1,
      credential: { chain: 'chain', key: 'key' },
      roots: 'roots',
      revoked: NOTHING_REVOKED,
    });
    const [one, other] = [config.listeners['a'], config.services['a']];
    if (!one || !other) throw new Error('unreachable');
    return { accept: () => setups.accept(one), dial: () => setups.dial(other, ADDRESS) };
  }

  it('is nothing where it is off', () => {
    const { accept, dial } = configured({}, {});
    expect([accept(), dial()]).toEqual([undefined, undefined]);
  });

  it('is the same setup for all handshakes of an identity: a context is made of each', () => {
    const { accept, dial } = configured({ tlsAccept: 'mutual' }, { tlsDial: 'mutual', serverIdentity: idOf('b') });
    expect(accept()?.setup).toBe(accept()?.setup);
    expect(dial()?.setup).toBe(dial()?.setup);
    expect(accept()?.setup).toMatchObject({
      role: 'server',
      minVersion: 'TLSv1.3',
      peerCertificate: 'required',
      roots: 'roots',
    });
    expect(dial()?.setup).toMatchObject({ role: 'client', minVersion: 'TLSv1.3', peerCertificate: 'required' });
  });

  it.each([
    [() => leaf(), /names no workload/],
    [() => leaf('DNS:a.example'), /names no workload/],
    [() => leaf(`URI:${idOf('a')}`, `URI:${idOf('b')}`), /names 2 URIs/],
    [() => leaf('URI:https://a.example/'), /its URI is no SPIFFE ID/],
    [() => new X509Certificate(root.certificate), /names no workload/],
  ])('a certificate that is for no workload says so', (make, words) => {
    expect(workloadOf(make())).toEqual({ refused: expect.stringMatching(words) });
  });

  it('a client is let in where it is wanted', () => {
    const all = configured({ tlsAccept: 'mutual' }, {}).accept()?.call;
    const some = configured({ tlsAccept: 'mutual', clientIdentities: [idOf('a')] }, {}).accept()?.call;
    expect(all?.judge?.(leaf(`URI:${idOf('b')}`))).toBeUndefined();
    expect(some?.judge?.(leaf(`URI:${idOf('a')}`))).toBeUndefined();
    expect(some?.judge?.(leaf(`URI:${idOf('b')}`))).toMatch(/sa\/b is not among the clientIdentities/);
  });

  it('a server is the one that is wanted, or another, or of another trust domain', () => {
    const call = configured({}, { tlsDial: 'mutual', serverIdentity: idOf('a') }).dial()?.call;
    expect(call?.judge?.(leaf(`URI:${idOf('a')}`))).toBeUndefined();
    expect(call?.judge?.(leaf(`URI:${idOf('b')}`))).toBe(`it is for ${idOf('b')}, where ${idOf('a')} is wanted`);
    const elsewhere = call?.judge?.(leaf(`URI:${idOf('a').replace('example.org', 'other.test')}`));
    expect(elsewhere).toContain('of another trust domain (other.test, not example.org)');
  });

  it('a host is known by its name, or by its address, which is never sent as a name', () => {
    const named = configured({}, { tlsDial: 'originate', upstreams: ['web.example:2'] }).dial()?.call;
    expect(named?.serverName).toBe('web.example');
    expect(named?.judge?.(leaf('DNS:web.example'))).toBeUndefined();
    expect(named?.judge?.(leaf('DNS:other.example'))).toMatch(/not for web\.example: it is for DNS:other\.example/);
    const bare = configured({}, { tlsDial: 'originate' }).dial()?.call;
    expect(bare?.serverName).toBeUndefined();
    expect(bare?.judge?.(leaf('IP:127.0.0.1'))).toBeUndefined();
    expect(bare?.judge?.(leaf('IP:127.0.0.2'))).toMatch(/not for 127\.0\.0\.1/);
  });
});
