/** One question to a name server, for records whose time to live Node's resolver does not tell (RFC 1035 section 4). */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { on, once } from 'node:events';
import { connect, isIP, isIPv6 } from 'node:net';
import { type DecodedPacket, decode, encode } from 'dns-packet';
import { parseAddress } from '../core/address.js';

/** As in `lookups.ts`: per server, for each try. */
const TIMEOUT_MS = 2000;
const TRIES = 2;

interface Query {
  readonly id: number;
  readonly name: string;
  readonly type: 'SRV';
  readonly bytes: Buffer;
}

/**
 * Asks `servers` (address or address:port) one after the other until one answers.
 * Rejects with an error whose `code` is as Node's: ENOTFOUND, ESERVFAIL, EREFUSED, ETIMEOUT, EBADRESP, or the socket's.
 */
export async function queryDns(
  servers: readonly string[],
  name: string,
  type: 'SRV',
  signal: AbortSignal,
): Promise<DecodedPacket> {
  let last: unknown = coded('ECONNREFUSED');
  for (let attempt = 0; attempt < TRIES; attempt++) {
    for (const server of servers) {
      signal.throwIfAborted();
      try {
        return await ask(server, newQuery(name, type), signal);
      } catch (error) {
        // An answer, whoever else might be asked.
        if (isCoded(error, 'ENOTFOUND')) throw error;
        last = error;
      }
    }
  }
  signal.throwIfAborted();
  throw last;
}

/** The id and the port of the socket are what a forger has to guess (RFC 5452 section 9). */
function newQuery(name: string, type: 'SRV'): Query {
  const id = randomInt(65_536);
  const RECURSION_DESIRED = 0x100;
  const bytes = encode({ type: 'query', id, flags: RECURSION_DESIRED, questions: [{ type, name, class: 'IN' }] });
  return { id, name, type, bytes };
}

async function ask(server: string, query: Query, signal: AbortSignal): Promise<DecodedPacket> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const either = AbortSignal.any([signal, timeout]);
  const { host, port } = endpointOf(server);
  try {
    return checked((await overUdp(host, port, query, either)) ?? (await overTcp(host, port, query, either)));
  } catch (error) {
    throw timeout.aborted && !signal.aborted ? coded('ETIMEOUT') : error;
  }
}

function endpointOf(server: string): { host: string; port: number } {
  if (isIP(server) !== 0) return { host: server, port: 53 };
  const address = parseAddress(server);
  if (address.kind !== 'ip') throw new Error(`unreachable: ${server} was checked to be a name server`);
  return address;
}

/** `undefined` where the answer is too long for a datagram. */
async function overUdp(
  host: string,
  port: number,
  query: Query,
  signal: AbortSignal,
): Promise<DecodedPacket | undefined> {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  try {
    // Connected: what others send is not taken, and that nobody listens is heard of.
    socket.connect(port, host);
    await once(socket, 'connect', { signal });
    const messages = on(socket, 'message', { signal });
    socket.send(query.bytes);
    for await (const [message] of messages) {
      if (isTruncated(message as Buffer, query)) return undefined;
      const answer = readAnswer(message as Buffer, query);
      if (answer) return answer;
    }
    throw coded('ETIMEOUT');
  } finally {
    socket.close();
  }
}

/** What is too long for a datagram (RFC 7766). */
async function overTcp(host: string, port: number, query: Query, signal: AbortSignal): Promise<DecodedPacket> {
  const socket = connect({ host, port, signal });
  try {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.bytes.length);
    socket.write(Buffer.concat([length, query.bytes]));
    let received = Buffer.alloc(0);
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk as Buffer]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) continue;
      const answer = readAnswer(received.subarray(2, 2 + received.readUInt16BE(0)), query);
      if (answer) return answer;
      break;
    }
    throw coded('EBADRESP');
  } finally {
    socket.destroy();
  }
}

/** A response with the TC bit. Not decoded: it may have been cut anywhere. */
function isTruncated(message: Buffer, { id }: Query): boolean {
  const RESPONSE_AND_TRUNCATED = 0x8200;
  if (message.length < 4 || message.readUInt16BE(0) !== id) return false;
  return (message.readUInt16BE(2) & RESPONSE_AND_TRUNCATED) === RESPONSE_AND_TRUNCATED;
}

/** `undefined` for what is no answer to this question: somebody else's, or no DNS at all. */
function readAnswer(message: Buffer, { id, name, type }: Query): DecodedPacket | undefined {
  try {
    const packet = decode(message);
    const [question] = packet.questions ?? [];
    const isOurs = packet.id === id && packet.type === 'response' && question?.type === type;
    return isOurs && sameName(question.name, name) ? packet : undefined;
  } catch {
    return undefined;
  }
}

/** Case does not count, nor does the closing dot (RFC 4343). */
export function sameName(one: string, other: string): boolean {
  return plainName(one) === plainName(other);
}

export function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

const RCODES: Readonly<Record<number, string>> = { 2: 'ESERVFAIL', 3: 'ENOTFOUND', 5: 'EREFUSED' };

function checked(packet: DecodedPacket): DecodedPacket {
  const rcode = (packet.flags ?? 0) & 0xf;
  if (rcode === 0) return packet;
  throw coded(RCODES[rcode] ?? 'EBADRESP');
}

function coded(code: string): Error {
  return Object.assign(new Error(`the name server's answer was ${code}`), { code });
}

function isCoded(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
