import { expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.js';
import type { ConfigInput } from '../../src/config/schema.js';

const FILES = { certificate: 'a.crt', key: 'a.key', bundle: 'roots.pem' };
const ORDERS = 'spiffe://example.org/ns/default/sa/orders';

type Parts = { listener?: object; service?: object; identity?: ConfigInput['identity']; upstreams?: string[] };

function configure({ listener, service, identity, upstreams = ['127.0.0.1:2'] }: Parts): () => void {
  return () =>
    void parseConfig({
      listeners: { a: { address: '127.0.0.1:1', ...listener } },
      services: { a: { upstreams, ...service } },
      ...(identity && { identity }),
    });
}

test.each<[string, Parts, RegExp]>([
  [
    'a key without its certificate',
    { identity: { key: 'a.key' } },
    /identity\.key: is of no use without identity\.certificate/,
  ],
  [
    'a certificate without its key',
    { identity: { certificate: 'a.crt' } },
    /identity\.certificate: is of no use without/,
  ],
  [
    'TLS with clients, and nobody to be',
    { listener: { tlsAccept: 'terminate' } },
    /tlsAccept: "terminate" needs files .*: certificate, key \(--tls-certificate, --tls-key, or --ca\)/,
  ],
  [
    'clients to be verified, by nothing',
    { listener: { tlsAccept: 'mutual' }, identity: { certificate: 'a', key: 'b' } },
    /needs files .*: bundle/,
  ],
  [
    'identities of clients that show none',
    { listener: { clientIdentities: [ORDERS] } },
    /clientIdentities: has no meaning without tlsAccept mutual/,
  ],
  [
    'a server that nobody asks who it is',
    { service: { serverIdentity: ORDERS } },
    /serverIdentity: has no meaning without tlsDial mutual/,
  ],
  [
    'a server that may be anybody',
    { service: { tlsDial: 'mutual' }, identity: FILES },
    /"mutual" needs serverIdentity/,
  ],
  [
    'a name that is none',
    { service: { tlsDial: 'mutual', serverIdentity: 'orders' }, identity: FILES },
    /not a SPIFFE ID/,
  ],
  [
    'a path with a dot segment',
    { service: { tlsDial: 'mutual', serverIdentity: 'spiffe://a/../b' }, identity: FILES },
    /not a SPIFFE ID/,
  ],
  [
    'several hosts, and one certificate for them',
    { service: { tlsDial: 'originate' }, upstreams: ['a.example:1', 'b.example:1'] },
    /"originate" needs serverName/,
  ],
  [
    'a unix socket, which has no host',
    { service: { tlsDial: 'originate' }, upstreams: ['unix:/run/a'] },
    /"originate" needs serverName/,
  ],
  [
    'originated to SRV records, by no name',
    { service: { tlsDial: 'originate' }, upstreams: ['srv://_a._tcp.example'] },
    /"originate" needs serverName/,
  ],
  [
    'an authority and files',
    { identity: { ...FILES, ca: { addresses: ['127.0.0.1:8443'] } } },
    /identity\.ca: gives this proxy its certificate, key, bundle and what is revoked: leave out the files/,
  ],
  [
    'a token and no authority to show it to',
    { identity: { ca: { tokenFile: 'web.token' } } },
    /identity\.ca\.tokenFile: is of no use without the address of an authority/,
  ],
  [
    'nobody let in',
    { listener: { tlsAccept: 'mutual', clientIdentities: [] }, identity: FILES },
    /an empty list lets nobody in/,
  ],
])('TLS cannot be configured with %s', (_, parts, words) => {
  expect(configure(parts)).toThrow(words);
});

test.each<[string, Parts]>([
  [
    'mutual on both sides',
    {
      listener: { tlsAccept: 'mutual', clientIdentities: [ORDERS] },
      service: { tlsDial: 'mutual', serverIdentity: ORDERS },
      identity: FILES,
    },
  ],
  [
    'terminated, with nobody to trust',
    { listener: { tlsAccept: 'terminate' }, identity: { certificate: 'a', key: 'b' } },
  ],
  [
    'originated to a name, trusting the public',
    { service: { tlsDial: 'originate' }, upstreams: ['a.example:1', 'a.example:2'] },
  ],
  ['originated to addresses', { service: { tlsDial: 'originate' }, upstreams: ['10.0.0.1:1', '10.0.0.2:1'] }],
  [
    'originated to a unix socket, by a name',
    { service: { tlsDial: 'originate', serverName: 'a.example' }, upstreams: ['unix:/run/a'] },
  ],
])('TLS can be %s', (_, parts) => {
  expect(configure(parts)).not.toThrow();
});
