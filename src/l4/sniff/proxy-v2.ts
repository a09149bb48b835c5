/** Version 2 of the PROXY protocol: binary (section 2.2 of the specification). */
import type { SocketAddress, UnixAddress } from '../../core/address.js';
import { crc32c } from '../../core/crc32c.js';
import { bytesToIp } from '../../core/ip.js';
import {
  ADDRESS_BYTES,
  CRC32C_BYTES,
  FAMILY,
  PROTOCOL,
  type ProxyHeader,
  TLV,
  TLV_FIXED_BYTES,
  type Tlv,
  UNIX_PATH_BYTES,
  V2_FIXED_BYTES,
  V2_LOCAL,
  V2_MAX_BYTES,
  V2_PROXY,
  V2_SIGNATURE,
} from './proxy-format.js';
import { match, needMore, noMatch, type SniffResult } from './result.js';

/** `bytes` begins like the signature. Byte numbers in the reasons count from 1, as the specification's do. */
export function parseProxyV2(bytes: Uint8Array): SniffResult<ProxyHeader> {
  const [command, familyAndProtocol, high, low] = bytes.subarray(V2_SIGNATURE.length, V2_FIXED_BYTES);
  if (command === undefined) return needMore(V2_FIXED_BYTES);
  if (command !== V2_LOCAL && command !== V2_PROXY) {
    return refuse(`byte 13 is ${hex(command)}, neither ${hex(V2_LOCAL)} (LOCAL) nor ${hex(V2_PROXY)} (PROXY)`);
  }
  if (familyAndProtocol === undefined) return needMore(V2_FIXED_BYTES);
  const addressBytes = ADDRESS_BYTES[familyAndProtocol >> 4];
  const isKnown = addressBytes !== undefined && (familyAndProtocol & 0x0f) <= PROTOCOL.datagram;
  if (command === V2_PROXY && !isKnown) {
    return refuse(`byte 14 is ${hex(familyAndProtocol)}: no such address family and protocol`);
  }
  if (high === undefined || low === undefined) return needMore(V2_FIXED_BYTES);
  const length = V2_FIXED_BYTES + readLength(high, low);
  if (length > V2_MAX_BYTES) return refuse(`it is ${length} bytes long, and ${V2_MAX_BYTES} are accepted`);
  if (command === V2_LOCAL) return length <= bytes.length ? match(LOCAL, length) : needMore(length);
  const tlvsAt = V2_FIXED_BYTES + (addressBytes ?? 0);
  if (length < tlvsAt) return refuse(`it says ${length} bytes, and its address family needs ${tlvsAt}`);
  if (length > bytes.length) return needMore(length);

  const header = bytes.subarray(0, length);
  const tlvs = readTlvs(header, tlvsAt);
  if (typeof tlvs === 'string') return refuse(tlvs);
  const [source, destination] = readAddresses(familyAndProtocol, Buffer.from(header.subarray(V2_FIXED_BYTES, tlvsAt)));
  return match({ version: 2, command: 'proxy', source, destination, tlvs }, length);
}

/**
 * The specification has receivers discard whatever a LOCAL header holds, the family included. Without one there is no
 * telling where TLVs, and a checksum among them, would begin; HAProxy and nginx do not look for one either.
 */
const LOCAL: ProxyHeader = { version: 2, command: 'local', source: undefined, destination: undefined, tlvs: [] };

/**
 * Source and destination. A datagram's are as good as a stream's: they tell how the client reached the first proxy,
 * not how that one reached us (Envoy and go-proxyproto take them too). Unspecified in either half means unknown.
 */
function readAddresses(
  familyAndProtocol: number,
  block: Buffer,
): [SocketAddress | undefined, SocketAddress | undefined] {
  const family = familyAndProtocol >> 4;
  const protocol = familyAndProtocol & 0x0f;
  if (family === FAMILY.unspecified || protocol === PROTOCOL.unspecified) return [undefined, undefined];
  if (family === FAMILY.unix) {
    return [readUnix(block.subarray(0, UNIX_PATH_BYTES)), readUnix(block.subarray(UNIX_PATH_BYTES))];
  }
  const size = family === FAMILY.inet ? 4 : 16;
  return [
    { kind: 'ip', host: bytesToIp(block.subarray(0, size)), port: block.readUInt16BE(2 * size) },
    { kind: 'ip', host: bytesToIp(block.subarray(size, 2 * size)), port: block.readUInt16BE(2 * size + 2) },
  ];
}

/** A path ends at its first zero byte; a leading one marks Linux's abstract name space; nothing else is no name. */
function readUnix(field: Buffer): UnixAddress | undefined {
  const isAbstract = field[0] === 0;
  const [name = ''] = field
    .subarray(isAbstract ? 1 : 0)
    .toString()
    .split('\0', 1);
  if (name === '') return undefined;
  return { kind: 'unix', path: isAbstract ? `@${name}` : name };
}

/** The TLVs but for padding and the checksum, which is checked; or what is wrong with them. */
function readTlvs(header: Uint8Array, start: number): readonly Tlv[] | string {
  const tlvs: Tlv[] = [];
  let isChecked = false;
  let at = start;
  while (at < header.length) {
    const [type, high, low] = header.subarray(at, at + TLV_FIXED_BYTES);
    if (type === undefined || high === undefined || low === undefined) {
      return `${header.length - at} bytes are left at its end, too few for a TLV`;
    }
    const valueAt = at + TLV_FIXED_BYTES;
    const end = valueAt + readLength(high, low);
    if (end > header.length) {
      return `TLV ${hex(type)} says ${end - valueAt} bytes, and ${header.length - valueAt} are left`;
    }
    if (type === TLV.crc32c) {
      if (isChecked) return 'it has two checksums';
      if (end - valueAt !== CRC32C_BYTES) return `its checksum is ${end - valueAt} bytes long, not ${CRC32C_BYTES}`;
      if (!isIntact(header, valueAt)) return 'its checksum is wrong: damaged on its way, or its sender is broken';
      isChecked = true;
    } else if (type !== TLV.noop) {
      // Copied, as `slice` would not for a Buffer: the bytes belong to whoever received them.
      tlvs.push({ type, value: new Uint8Array(header.subarray(valueAt, end)) });
    }
    at = end;
  }
  return tlvs;
}

/** The checksum is of the whole header with zeroes in the checksum's own place (section 2.2.3). */
function isIntact(header: Uint8Array, checksumAt: number): boolean {
  const before = crc32c(header.subarray(0, checksumAt));
  const upTo = crc32c(new Uint8Array(CRC32C_BYTES), before);
  const all = crc32c(header.subarray(checksumAt + CRC32C_BYTES), upTo);
  return Buffer.from(header.subarray(checksumAt, checksumAt + CRC32C_BYTES)).readUInt32BE() === all;
}

/** Network byte order. */
function readLength(high: number, low: number): number {
  return (high << 8) | low;
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}

function refuse(why: string): SniffResult<never> {
  return noMatch(`PROXY v2 header: ${why}`);
}
