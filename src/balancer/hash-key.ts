/** The key of a connection: connections with the same one go to the same endpoint, while that can take them. */
import { formatAddress, type SocketAddress, unmapped } from '../core/address.js';
import { formatHashKey, type HashKey } from '../core/hash-key.js';

/** What is known of a connection when its endpoint is chosen. Hosts of addresses in the form that sockets report them in. */
export interface KeySource {
  /** Who the client is: the peer, or what its PROXY protocol header said. */
  readonly client?: SocketAddress | undefined;
  /** Where it meant to go. */
  readonly destination?: SocketAddress | undefined;
  /** The name that it asked for by TLS. */
  readonly serverName?: string | undefined;
  /** Its SPIFFE ID. */
  readonly identity?: string | undefined;
  /** Of its PROXY protocol header. */
  readonly tlvs?: readonly { readonly type: number; readonly value: Uint8Array }[] | undefined;
}

export interface ConnectionKey {
  readonly text: string;
  /** The connection has not what was asked for, and this is its client's IP address. */
  readonly isFallback: boolean;
}

/** The PROXY protocol's field for the name that the client asked for: where a proxy in front of us has ended TLS. */
const TLV_AUTHORITY = 0x02;

/** `undefined` where there is neither what `key` asks for nor an IP address of the client: any endpoint is as good then. */
export function connectionKey(key: HashKey, source: KeySource): ConnectionKey | undefined {
  const text = wanted(key, source);
  if (text !== undefined) return { text, isFallback: false };
  const ip = sourceIp(source);
  return ip === undefined ? undefined : { text: ip, isFallback: true };
}

/** For a pick's reason: `source-ip 10.0.0.7`, `source-ip 10.0.0.7 (it has no sni)`. */
export function describeKey(key: HashKey, found: ConnectionKey | undefined): string {
  const name = formatHashKey(key);
  if (found === undefined) return `no ${name}, at random`;
  const shown = shorten(found.text);
  return found.isFallback ? `source-ip ${shown} (it has no ${name})` : `${name} ${shown}`;
}

function wanted(key: HashKey, source: KeySource): string | undefined {
  switch (key.kind) {
    case 'source-ip':
      return sourceIp(source);
    case 'source-ip-port':
      return source.client?.kind === 'ip' ? formatAddress(source.client) : undefined;
    case 'destination':
      return source.destination && formatAddress(source.destination);
    case 'sni':
      return serverName(source.serverName ?? tlv(source, TLV_AUTHORITY));
    case 'identity':
      return source.identity;
    case 'proxy-tlv':
      return tlv(source, key.type);
  }
}

function sourceIp({ client }: KeySource): string | undefined {
  return client?.kind === 'ip' ? unmapped(client.host) : undefined;
}

/** Names are the same in any case, and with a closing dot. */
function serverName(name: string | undefined): string | undefined {
  const plain = name?.toLowerCase().replace(/\.$/, '');
  return plain === '' ? undefined : plain;
}

/** Each byte as a character: never are two different values one. */
function tlv({ tlvs = [] }: KeySource, type: number): string | undefined {
  const value = tlvs.find((field) => field.type === type)?.value;
  return value === undefined || value.length === 0 ? undefined : Buffer.from(value).toString('latin1');
}

/** Longer values are cut in a pick's reason, which a client could fill otherwise. */
const MOST_SHOWN = 80;

function shorten(text: string): string {
  // What strangers send is shown without the characters that could pass for something else on a terminal.
  const safe = text.replace(/[^ -~]/g, '?');
  return safe.length > MOST_SHOWN ? `${safe.slice(0, MOST_SHOWN)}…` : safe;
}
