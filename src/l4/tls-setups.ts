/** What a proxy shows and asks for in TLS, for one version of its identity; and whether a peer is the one that is wanted. Pure. */
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { rootCertificates } from 'node:tls';
import type { ListenerConfig, ServiceConfig } from '../config/schema.js';
import { formatAddress, type SocketAddress } from '../core/address.js';
import type { Upstream } from '../core/upstream.js';
import type { Identity } from '../pki/identity-files.js';
import type { TlsCall, TlsPeer, TlsSetup } from './tls.js';
import { type PeerCredential, Trust } from './trust.js';

/** Spoken between two proxies (RFC 7301). A peer that names no protocol, as other programs do, is let in as well. */
const MESH_PROTOCOL = 'meshproxy/1';

export class TlsSetups {
  readonly identity: Identity;
  /** Whom of those that were verified not to trust all the same. */
  readonly trust: Trust;
  readonly #setups = new Map<string, TlsSetup>();

  constructor(identity: Identity) {
    this.identity = identity;
    this.trust = new Trust(identity);
  }

  /** `undefined` where the listener speaks plainly. */
  accept({ tlsAccept, clientIdentities }: ListenerConfig): { setup: TlsSetup; call: TlsCall } | undefined {
    if (tlsAccept === 'off') return undefined;
    const setup = this.#setup(`accept ${tlsAccept}`, 'server', tlsAccept === 'mutual');
    if (tlsAccept === 'terminate') return { setup, call: {} };
    return { setup, call: { judge: (leaf) => this.#revoked(leaf) ?? judgeClient(leaf, clientIdentities) } };
  }

  /**
   * `undefined` where the service speaks plainly.
   * @param address where the upstream was reached
   */
  dial(service: ServiceConfig, address: SocketAddress): { setup: TlsSetup; call: TlsCall } | undefined {
    const { tlsDial, serverIdentity, serverName } = service;
    switch (tlsDial) {
      case 'off':
        return undefined;
      case 'mutual':
        return {
          setup: this.#setup('dial mutual', 'client', true),
          call: {
            serverName,
            sessionKey: `${serverIdentity} ${formatAddress(address)}`,
            judge: (leaf) => this.#revoked(leaf) ?? judgeServer(leaf, serverIdentity),
          },
        };
      case 'originate': {
        const name = serverName ?? hostOf(service.upstreams, address);
        return {
          setup: this.#setup('dial originate', 'client', false),
          call: { serverName: isName(name) ? name : undefined, judge: (leaf) => judgeHost(leaf, name) },
        };
      }
    }
  }

  #revoked(leaf: X509Certificate): string | undefined {
    const workload = workloadOf(leaf);
    const id = 'id' in workload ? workload.id : undefined;
    return this.trust.revocation(id, leaf.serialNumber.toLowerCase());
  }

  #setup(key: string, role: TlsSetup['role'], mutual: boolean): TlsSetup {
    const known = this.#setups.get(key);
    if (known !== undefined) return known;
    const { credential, roots, ticketKeys } = this.identity;
    const setup: TlsSetup = {
      role,
      credential,
      roots: roots ?? (role === 'client' ? rootCertificates.join('\n') : ''),
      minVersion: mutual ? 'TLSv1.3' : 'TLSv1.2',
      peerCertificate: mutual || role === 'client' ? 'required' : 'none',
      alpn: mutual ? [MESH_PROTOCOL] : [],
      strict: mutual,
      ...(mutual && { ticketKeys }),
    };
    this.#setups.set(key, setup);
    return setup;
  }
}

/** What is remembered of a peer; the same object for the same certificate, where the engine knows it again. */
export function credentialOf({ certificate, root }: TlsPeer): PeerCredential | undefined {
  if (certificate === undefined) return undefined;
  const known = credentials.get(certificate);
  if (known !== undefined && known.root === root) return known;
  const workload = workloadOf(certificate);
  const id = 'id' in workload ? workload.id : undefined;
  const credential = { id, serial: certificate.serialNumber.toLowerCase(), root };
  credentials.set(certificate, credential);
  return credential;
}

const credentials = new WeakMap<X509Certificate, PeerCredential>();

/** The workload that a certificate is for (SPIFFE X.509-SVID section 2: exactly one URI), or why it is for none. */
export function workloadOf(leaf: X509Certificate): { readonly id: string } | { readonly refused: string } {
  const uris = (leaf.subjectAltName ?? '').split(', ').filter((name) => name.startsWith('URI:'));
  const [only, second] = uris;
  if (only === undefined) return { refused: 'it names no workload (no URI among its subject alternative names)' };
  if (second !== undefined) return { refused: `it names ${uris.length} URIs, and a workload has exactly one` };
  const id = only.slice('URI:'.length);
  if (!id.startsWith('spiffe://')) return { refused: `its URI is no SPIFFE ID: ${JSON.stringify(id.slice(0, 200))}` };
  if (leaf.ca) return { refused: 'it belongs to an authority, not to a workload' };
  return { id };
}

function judgeClient(leaf: X509Certificate, allowed: readonly string[] | undefined): string | undefined {
  const workload = workloadOf(leaf);
  if ('refused' in workload) return workload.refused;
  if (allowed === undefined || allowed.includes(workload.id)) return undefined;
  return `${workload.id} is not among the clientIdentities of this listener`;
}

function judgeServer(leaf: X509Certificate, wanted: string | undefined): string | undefined {
  const workload = workloadOf(leaf);
  if ('refused' in workload) return workload.refused;
  if (workload.id === wanted) return undefined;
  const domains = [trustDomainOf(workload.id), trustDomainOf(wanted ?? '')];
  const another = domains[0] === domains[1] ? '' : `, of another trust domain (${domains[0]}, not ${domains[1]})`;
  return `it is for ${workload.id}${another}, where ${wanted ?? 'nobody'} is wanted`;
}

function judgeHost(leaf: X509Certificate, host: string | undefined): string | undefined {
  if (host !== undefined && (isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) !== undefined)
    return undefined;
  const names = (leaf.subjectAltName ?? 'no host').slice(0, 200);
  return `it is not for ${host ?? 'a unix socket'}: it is for ${names}`;
}

/** The host that upstreams are configured by: their name, where they all have one, or the address itself. */
function hostOf(upstreams: readonly Upstream[], address: SocketAddress): string | undefined {
  return commonName(upstreams) ?? (address.kind === 'ip' ? address.host : undefined);
}

/** The name that all of these upstreams have, if they do. */
export function commonName(upstreams: readonly Upstream[]): string | undefined {
  const [name, another] = new Set(upstreams.map((one) => (one.kind === 'name' ? one.name : undefined)));
  return another === undefined ? name : undefined;
}

function trustDomainOf(id: string): string {
  return id.split('/')[2] ?? '';
}

/** An address is never sent as a server name (RFC 6066 section 3). */
function isName(host: string | undefined): host is string {
  return host !== undefined && isIP(host) === 0;
}
