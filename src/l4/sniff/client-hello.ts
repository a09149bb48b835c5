/**
 * Reads the first message of a TLS client (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2) for what it asks for: a
 * server name and protocols. Nothing is decrypted and nothing answered: the bytes go on to whoever speaks TLS.
 */
import { match, needMore, noMatch, type SniffResult } from './result.js';

export interface ClientHello {
  /** The name that the client asks for, in lower case; `undefined` where it asks for none, or for what cannot be a host name. */
  readonly serverName: string | undefined;
  /** The protocols that it offers, most wanted first. */
  readonly alpn: readonly string[];
  /** It has encrypted what it really asks for: `serverName` is the public name of whoever can decrypt that (RFC 9849). */
  readonly encrypted: boolean;
}

/** As much of a connection as is looked at. Post-quantum key shares and a ticket come to 2 to 4 KB. */
export const CLIENT_HELLO_MAX_BYTES = 64 * 1024;

const RECORD_HEADER_BYTES = 5;
/** RFC 8446 section 5.1; a receiver must not take more. */
const RECORD_MAX_BYTES = 1 << 14;
const HANDSHAKE_RECORD = 22;
const HANDSHAKE_HEADER_BYTES = 4;
const CLIENT_HELLO = 1;
/** Version and random. */
const FIXED_BYTES = 2 + 32;

const EXTENSION = { serverName: 0, alpn: 16, encryptedClientHello: 0xfe0d } as const;
const HOST_NAME = 0;

/** Reads it from everything received so far, over however many records it was cut into. */
export function parseClientHello(bytes: Uint8Array): SniffResult<ClientHello> {
  const gathered = gather(bytes);
  if (gathered.kind !== 'match') return gathered;
  const { value: message, length } = gathered;
  const hello = read(new Reader(message, HANDSHAKE_HEADER_BYTES));
  return typeof hello === 'string' ? refuse(hello) : match(hello, length);
}

/** The message, header included, out of the records that carry it. */
function gather(bytes: Uint8Array): SniffResult<Uint8Array> {
  const fragments: Uint8Array[] = [];
  let gathered = 0;
  let wanted: number | undefined;
  for (let at = 0; ; ) {
    const problem = recordProblem(bytes, at);
    if (problem !== undefined) return refuse(problem);
    const [, , , high, low] = bytes.subarray(at, at + RECORD_HEADER_BYTES);
    const missing = (wanted ?? HANDSHAKE_HEADER_BYTES) - gathered;
    // At least one more record, with all that is missing in it. So even of records of one byte each it is asked a few dozen times.
    if (high === undefined || low === undefined) return needMore(at + RECORD_HEADER_BYTES + missing);
    const start = at + RECORD_HEADER_BYTES;
    const end = start + ((high << 8) | low);
    const fragment = bytes.subarray(start, end);
    fragments.push(fragment);
    gathered += fragment.length;
    if (wanted === undefined) {
      const header = joined(fragments, HANDSHAKE_HEADER_BYTES);
      if (header[0] !== undefined && header[0] !== CLIENT_HELLO)
        return refuse(`its handshake begins with message ${header[0]}`);
      wanted = messageBytes(header);
      if (wanted !== undefined && wanted > CLIENT_HELLO_MAX_BYTES)
        return refuse(`it is ${wanted} bytes long, and ${CLIENT_HELLO_MAX_BYTES} are read`);
    }
    if (wanted !== undefined && gathered >= wanted) {
      const [first] = fragments;
      const message = fragments.length === 1 && first ? first.subarray(0, wanted) : joined(fragments, wanted);
      return match(message, start + fragment.length - (gathered - wanted));
    }
    const more = (wanted ?? HANDSHAKE_HEADER_BYTES) - gathered;
    if (end > bytes.length) return needMore(bytes.length + Math.min(more, end - bytes.length));
    at = end;
  }
}

/** What is wrong with the record at `at`, as far as it is there. */
function recordProblem(bytes: Uint8Array, at: number): string | undefined {
  const [type, major, minor, high, low] = bytes.subarray(at, at + RECORD_HEADER_BYTES);
  if (type !== undefined && type !== HANDSHAKE_RECORD) {
    return at === 0
      ? `the first byte is ${type}, not ${HANDSHAKE_RECORD}`
      : `a record of type ${type} comes in between`;
  }
  if (major !== undefined && major !== 3) return `its version is ${major}, not 3`;
  if (minor !== undefined && minor > 4) return `its version is 3.${minor}`;
  if (high === undefined || low === undefined) return undefined;
  const length = (high << 8) | low;
  if (length === 0) return 'a record is empty';
  return length > RECORD_MAX_BYTES ? `a record says ${length} bytes, and ${RECORD_MAX_BYTES} are allowed` : undefined;
}

function messageBytes(header: Uint8Array): number | undefined {
  const [, high, middle, low] = header;
  if (high === undefined || middle === undefined || low === undefined) return undefined;
  return HANDSHAKE_HEADER_BYTES + ((high << 16) | (middle << 8) | low);
}

/** The first `length` bytes of them all. */
function joined(fragments: readonly Uint8Array[], length: number): Uint8Array {
  return Buffer.concat(fragments).subarray(0, length);
}

/** The message, or what is wrong with it. */
function read(reader: Reader): ClientHello | string {
  reader.skip(FIXED_BYTES);
  reader.vector(1);
  const suites = reader.vector(2);
  reader.vector(1);
  if (suites === undefined || suites.rest === 0 || suites.rest % 2 !== 0) return 'its cipher suites are cut short';
  if (reader.failed) return 'it is cut short';
  // TLS 1.2 and before can do without.
  if (reader.rest === 0) return { serverName: undefined, alpn: [], encrypted: false };
  const extensions = reader.vector(2);
  if (extensions === undefined || reader.rest > 0) return 'its extensions are not as long as they say';
  return readExtensions(extensions);
}

function readExtensions(extensions: Reader): ClientHello | string {
  let serverName: string | undefined;
  let alpn: readonly string[] = [];
  const seen = new Set<number>();
  while (extensions.rest > 0) {
    const type = extensions.number(2);
    const body = extensions.vector(2);
    if (type === undefined || body === undefined) return 'an extension is cut short';
    if (seen.has(type)) return `extension ${type} comes twice`;
    seen.add(type);
    if (type === EXTENSION.serverName) {
      const name = readServerName(body);
      if (name === undefined) return 'its server name is malformed';
      serverName = name === '' ? undefined : name;
    } else if (type === EXTENSION.alpn) {
      const protocols = readProtocols(body);
      if (protocols === undefined) return 'its list of protocols is malformed';
      alpn = protocols;
    }
  }
  return { serverName, alpn, encrypted: seen.has(EXTENSION.encryptedClientHello) };
}

/** Letters, digits, hyphens, underscores; longer than any name of DNS is none. */
const NAME = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;

/** RFC 6066 section 3. Empty where it is no host name; `undefined` where it is malformed. */
function readServerName(body: Reader): string | undefined {
  const names = body.vector(2);
  if (names === undefined || body.rest > 0 || names.rest === 0) return undefined;
  let hostName = '';
  while (names.rest > 0) {
    const type = names.number(1);
    const name = names.vector(2);
    if (type === undefined || name === undefined || name.rest === 0) return undefined;
    if (type !== HOST_NAME) continue;
    if (hostName !== '') return undefined;
    // Clients that do not know better send the dot of the root.
    const text = name.text().toLowerCase().replace(/\.$/, '');
    if (NAME.test(text)) hostName = text;
  }
  return hostName;
}

/** RFC 7301 section 3.1. */
function readProtocols(body: Reader): readonly string[] | undefined {
  const list = body.vector(2);
  if (list === undefined || body.rest > 0 || list.rest === 0) return undefined;
  const protocols: string[] = [];
  while (list.rest > 0) {
    const protocol = list.vector(1);
    if (protocol === undefined || protocol.rest === 0) return undefined;
    protocols.push(protocol.text());
  }
  return protocols;
}

/** Goes through bytes that may end too soon: from then on it gives nothing. */
class Reader {
  readonly #bytes: Uint8Array;
  #at: number;
  failed = false;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get rest(): number {
    return this.#bytes.length - this.#at;
  }

  skip(count: number): void {
    if (count > this.rest) this.failed = true;
    else this.#at += count;
  }

  /** Of one or two bytes, in network byte order. */
  number(size: 1 | 2): number | undefined {
    const [high, low] = this.#bytes.subarray(this.#at, this.#at + size);
    this.skip(size);
    if (this.failed || high === undefined) return undefined;
    return low === undefined ? high : (high << 8) | low;
  }

  /** What stands behind its own length, which takes so many bytes. */
  vector(size: 1 | 2): Reader | undefined {
    const length = this.number(size);
    const start = this.#at;
    if (length === undefined) return undefined;
    this.skip(length);
    return this.failed ? undefined : new Reader(this.#bytes.subarray(start, start + length));
  }

  /** One character for each byte. */
  text(): string {
    return Buffer.from(this.#bytes.subarray(this.#at)).toString('latin1');
  }
}

function refuse(why: string): SniffResult<never> {
  return noMatch(`no TLS ClientHello: ${why}`);
}
