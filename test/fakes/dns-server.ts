/** A name server on loopback that says what a test tells it to (RFC 1035 section 4): A, AAAA and SRV, over UDP and TCP. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { type Answer, type DecodedPacket, decode, encode } from 'dns-packet';
import { errnoOf } from '../../src/core/errors.js';
import { withResolvers } from './net.js';

export type QueryType = 'A' | 'AAAA' | 'SRV';

/** Records, none of which means that the name exists without such an address; or one of the ways to have no answer. */
export type DnsReply =
  | { readonly addresses: readonly string[]; readonly ttl: number }
  /** Whatever records, aliases among them, and what else the name server knows. */
  | { readonly records: readonly Answer[]; readonly additional?: readonly Answer[] }
  /** Too long for UDP: the answer is there over TCP alone. `cut` as some servers have it, in the middle of a record. */
  | { readonly truncated: DnsReply; readonly cut?: boolean }
  /** Bytes that are no answer to anything, in its place. */
  | { readonly garbage: Buffer }
  | 'nxdomain'
  | 'servfail'
  | 'refused'
  | 'silent';

export interface DnsServer {
  /** As it is configured: `127.0.0.1:5353`. */
  readonly address: string;
  /** What it was asked, in order: `example.org AAAA`. */
  readonly queries: readonly string[];
  /** Those of them that came over TCP. */
  readonly overTcp: readonly string[];
  /** Resolves once it has been asked `count` times. */
  asked(count: number): Promise<void>;
  close(): Promise<void>;
}

const RCODES = { nxdomain: 3, servfail: 2, refused: 5 };
const TRUNCATED = 0x200;
/** Recursion desired and available. */
const FLAGS = 0x180;

export async function startDnsServer(reply: (type: QueryType, name: string) => DnsReply): Promise<DnsServer> {
  const queries: string[] = [];
  const overTcp: string[] = [];
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  function answer(message: Buffer, tcp: boolean): Buffer | undefined {
    const query = decode(message);
    const { name, type } = questionOf(query);
    queries.push(`${name} ${type}`);
    if (tcp) overTcp.push(`${name} ${type}`);
    const said = encodeReply(query, reply(type, name), tcp);
    for (const { count, resolve } of waiting) if (queries.length >= count) resolve();
    return said;
  }

  const { udp, tcp, port } = await bindBoth();
  udp.on('message', (message, { port, address }) => {
    const said = answer(message, false);
    if (said) udp.send(said, port, address);
  });
  const sockets = new Set<Socket>();
  tcp.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    let received = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const said = answer(received.subarray(2), true);
      if (said === undefined) return;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(said.length);
      // In two parts, as a network may have it.
      socket.write(Buffer.concat([length, said.subarray(0, 5)]));
      setImmediate(() => socket.end(said.subarray(5)));
    });
  });
  return {
    address: `127.0.0.1:${port}`,
    queries,
    overTcp,
    asked(count) {
      const { promise, resolve } = withResolvers<void>();
      if (queries.length >= count) resolve();
      else waiting.push({ count, resolve });
      return promise;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      const closed = Promise.all([once(udp, 'close'), once(tcp, 'close')]);
      udp.close();
      tcp.close();
      await closed;
    },
  };
}

/** One port for both, which a free one for UDP need not be for TCP. */
async function bindBoth(): Promise<{ udp: ReturnType<typeof createSocket>; tcp: Server; port: number }> {
  const udp = createSocket('udp4');
  udp.bind(0, '127.0.0.1');
  await once(udp, 'listening');
  const { port } = udp.address();
  const tcp = createServer();
  try {
    tcp.listen(port, '127.0.0.1');
    await once(tcp, 'listening');
    return { udp, tcp, port };
  } catch (error) {
    udp.close();
    if (errnoOf(error) !== 'EADDRINUSE') throw error;
    return bindBoth();
  }
}

function questionOf({ questions = [] }: DecodedPacket): { name: string; type: QueryType } {
  const [question] = questions;
  const type = question?.type;
  if (question === undefined || (type !== 'A' && type !== 'AAAA' && type !== 'SRV')) {
    throw new Error(`a query of type ${type}, which no test expects`);
  }
  return { name: question.name.toLowerCase(), type };
}

function encodeReply(query: DecodedPacket, reply: DnsReply, tcp: boolean): Buffer | undefined {
  if (reply === 'silent') return undefined;
  const head = { type: 'response' as const, id: query.id ?? 0, questions: query.questions ?? [] };
  if (typeof reply === 'string') return encode({ ...head, flags: FLAGS | RCODES[reply] });
  if ('garbage' in reply) return reply.garbage;
  if ('truncated' in reply) {
    if (tcp) return encodeReply(query, reply.truncated, tcp);
    const whole = reply.cut ? encodeReply(query, reply.truncated, tcp)?.subarray(0, 60) : undefined;
    const cut = whole ?? encode({ ...head, flags: FLAGS | TRUNCATED });
    cut.writeUInt16BE(cut.readUInt16BE(2) | TRUNCATED, 2);
    return cut;
  }
  if ('records' in reply) {
    return encode({ ...head, flags: FLAGS, answers: [...reply.records], additionals: [...(reply.additional ?? [])] });
  }
  const { name, type } = questionOf(query);
  const kind = type === 'A' ? ('A' as const) : ('AAAA' as const);
  return encode({
    ...head,
    flags: FLAGS,
    answers: reply.addresses.map((data) => ({ type: kind, name, ttl: reply.ttl, data })),
  });
}

/** A record of `name` for `DnsReply`; for a minute where nothing else is said. */
export function srv(
  name: string,
  target: string,
  port: number,
  { priority = 0, weight = 0, ttl = 60 }: { priority?: number; weight?: number; ttl?: number } = {},
): Answer {
  return { type: 'SRV', name, ttl, data: { target, port, priority, weight } };
}
