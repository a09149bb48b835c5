/** A name server on loopback that says what a test tells it to (RFC 1035 section 4; A and AAAA over UDP). */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { ipToBytes } from '../../src/core/ip.js';
import { withResolvers } from './net.js';

export type QueryType = 'A' | 'AAAA';

/** Records, none of which means that the name exists without such an address; or one of the ways to have no answer. */
export type DnsReply =
  | { readonly addresses: readonly string[]; readonly ttl: number }
  | 'nxdomain'
  | 'servfail'
  | 'silent';

export interface DnsServer {
  /** As it is configured: `127.0.0.1:5353`. */
  readonly address: string;
  /** What it was asked, in order: `example.org AAAA`. */
  readonly queries: readonly string[];
  /** Resolves once it has been asked `count` times. */
  asked(count: number): Promise<void>;
  close(): Promise<void>;
}

const TYPES: ReadonlyMap<number, QueryType> = new Map([
  [1, 'A'],
  [28, 'AAAA'],
]);
const RCODES = { nxdomain: 3, servfail: 2 };

export async function startDnsServer(reply: (type: QueryType, name: string) => DnsReply): Promise<DnsServer> {
  const queries: string[] = [];
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (message, { port, address }) => {
    const { name, type, end } = readQuestion(message);
    queries.push(`${name} ${type}`);
    const said = reply(type, name);
    if (said !== 'silent') socket.send(encodeReply(message, type, end, said), port, address);
    for (const { count, resolve } of waiting) if (queries.length >= count) resolve();
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    address: `127.0.0.1:${socket.address().port}`,
    queries,
    asked(count) {
      const { promise, resolve } = withResolvers<void>();
      if (queries.length >= count) resolve();
      else waiting.push({ count, resolve });
      return promise;
    },
    async close() {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}

/** The one question of a query, which begins behind the header; `end` is where it ends. */
function readQuestion(message: Buffer): { name: string; type: QueryType; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = message.readUInt8(at); length > 0; length = message.readUInt8(at)) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = TYPES.get(message.readUInt16BE(at + 1));
  if (type === undefined) throw new Error(`a query of type ${message.readUInt16BE(at + 1)}, which no test expects`);
  return { name: labels.join('.').toLowerCase(), type, end: at + 5 };
}

function encodeReply(query: Buffer, type: QueryType, end: number, reply: Exclude<DnsReply, 'silent'>): Buffer {
  const addresses = typeof reply === 'string' ? [] : reply.addresses;
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2);
  // A response, recursion desired and available.
  header.writeUInt16BE(0x8180 | (typeof reply === 'string' ? RCODES[reply] : 0), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(addresses.length, 6);
  const answers = addresses.map((address) => {
    const data = ipToBytes(address);
    const fixed = Buffer.alloc(12);
    // The name is the question's, by a pointer to it.
    fixed.writeUInt16BE(0xc00c, 0);
    fixed.writeUInt16BE(type === 'A' ? 1 : 28, 2);
    fixed.writeUInt16BE(1, 4);
    fixed.writeUInt32BE(typeof reply === 'string' ? 0 : reply.ttl, 6);
    fixed.writeUInt16BE(data.length, 10);
    return Buffer.concat([fixed, data]);
  });
  return Buffer.concat([header, query.subarray(12, end), ...answers]);
}
