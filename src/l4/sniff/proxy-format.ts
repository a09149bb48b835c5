/**
 * The PROXY protocol's vocabulary, shared by those who read a header and the one who writes it. "The specification"
 * here and in its neighbours is HAProxy's doc/proxy-protocol.txt.
 */
import type { SocketAddress } from '../../core/address.js';

/** What a PROXY protocol header says of the connection that it begins. */
export interface ProxyHeader {
  readonly version: 1 | 2;
  /** `local`: the proxy speaks for itself, as in a health check; the connection's real addresses count. */
  readonly command: 'proxy' | 'local';
  /** The client, as the sender saw it; `undefined` where the sender does not say: the real address counts then. */
  readonly source: SocketAddress | undefined;
  /** What the client had connected to; `undefined` where the sender does not say. */
  readonly destination: SocketAddress | undefined;
  /** As sent and in that order, without padding and checksum. Always empty in version 1. */
  readonly tlvs: readonly Tlv[];
}

/** One extension field of version 2: type, length and value on the wire. */
export interface Tlv {
  /** 0 to 255; `TLV` names the registered ones. */
  readonly type: number;
  readonly value: Uint8Array;
}

/** The registered types (section 2.2). */
export const TLV = {
  alpn: 0x01,
  /** The host name that the client asked for (TLS SNI), in UTF-8. */
  authority: 0x02,
  crc32c: 0x03,
  /** Padding. */
  noop: 0x04,
  /** Opaque, up to 128 bytes. */
  uniqueId: 0x05,
  ssl: 0x20,
  netns: 0x30,
} as const;

export const V1_SIGNATURE: Uint8Array = Buffer.from('PROXY');
/** Chosen to break every common protocol at once: no HTTP, TLS, SMTP or FTP server takes it for a request. */
export const V2_SIGNATURE: Uint8Array = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

/** The longest line of version 1, its CRLF included: `UNKNOWN` with two full IPv6 addresses (section 2.1). */
export const V1_MAX_BYTES = 107;

/** Signature, version and command, family and protocol, length: what every version 2 header begins with. */
export const V2_FIXED_BYTES = 16;
/**
 * The format can say 65 551. nginx takes 4096 (107 before 1.23) and HAProxy its buffer of 16 KiB; the specification
 * means headers to fit one TCP segment of 536. Enough for certificates' names, and no more memory for strangers.
 */
export const V2_MAX_BYTES = 4096;

/** Byte 13: version 2 and the command. */
export const V2_LOCAL = 0x20;
export const V2_PROXY = 0x21;

/** The upper half of byte 14. */
export const FAMILY = { unspecified: 0, inet: 1, inet6: 2, unix: 3 } as const;
/** The lower half of byte 14. */
export const PROTOCOL = { unspecified: 0, stream: 1, datagram: 2 } as const;

/** Each of the two paths of `FAMILY.unix`, padded with zero bytes: a `sun_path`. */
export const UNIX_PATH_BYTES = 108;
/** The address block of each family, in the order of their numbers. */
export const ADDRESS_BYTES = [0, 2 * (4 + 2), 2 * (16 + 2), 2 * UNIX_PATH_BYTES] as const;

/** Type and length of a TLV. */
export const TLV_FIXED_BYTES = 3;
export const CRC32C_BYTES = 4;
