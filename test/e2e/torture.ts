/**
 * A thousand connections of random sizes, half-closes, resets and pauses, each by a plan that both ends know, so that
 * afterwards every byte and every ending can be accounted for. Deterministic from its seed, but for scheduling.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { endOfStreamError } from '../../src/l4/streams/socket.js';
import type { Ending } from '../../src/telemetry/record.js';
import { readExactly } from '../fakes/net.js';

/** What one side does. It sends `bytes`, then ends its stream or resets. */
interface SidePlan {
  readonly bytes: number;
  readonly finish: 'end' | 'reset';
  /** Waits for the other side's end before its own. */
  readonly after: boolean;
  /** Stops reading for some turns of the event loop after each chunk. */
  readonly slow: boolean;
}

export interface Plan {
  readonly id: number;
  readonly client: SidePlan;
  readonly server: SidePlan;
}

/** What one side saw. */
export interface Seen {
  readonly received: number;
  /** The bytes were, in order, the ones that the other side sends. */
  readonly intact: boolean;
  readonly ended: 'end' | 'reset';
}

export interface Outcome {
  readonly plan: Plan;
  /** As the proxy names the client. */
  readonly clientAddress: string;
  readonly client: Seen;
  readonly server: Seen;
}

/** What the log says of a connection. */
export interface AccessLine {
  readonly client: string;
  readonly ending: string;
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/** What a client sends before its plan's bytes, and the server. */
const HEADER = 4;
const GREETING = Buffer.from('!');
/** What is sent: by its offset alone, a different stream each way, so that bytes of another connection would show. */
const PATTERN = Buffer.alloc(1 << 16);
for (let i = 0; i < PATTERN.length; i += 1) PATTERN[i] = (i * 31 + (i >> 8) * 17) & 0xff;

/** mulberry32: small, seeded, good enough to vary sizes. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function makePlans(count: number, seed: number): Plan[] {
  const next = random(seed);
  const size = (): number => {
    const kind = next();
    if (kind < 0.1) return 0;
    if (kind < 0.6) return Math.floor(next() * 2000);
    return kind < 0.97 ? Math.floor(next() * 200_000) : Math.floor(next() * 3_000_000);
  };
  return Array.from({ length: count }, (_, id) => {
    const fate = next();
    const clientFirst = next() < 0.5;
    return {
      id,
      client: { bytes: size(), finish: fate < 0.15 ? 'reset' : 'end', after: !clientFirst, slow: next() < 0.1 },
      server: { bytes: size(), finish: fate > 0.85 ? 'reset' : 'end', after: clientFirst, slow: next() < 0.1 },
    };
  });
}

/** How the proxy has to account for a connection of this plan. */
export function expectedEnding({ client, server }: Plan): Ending {
  if (client.finish === 'reset') return 'client-reset';
  return server.finish === 'reset' ? 'upstream-reset' : 'completed';
}

/** What is wrong with how a connection went, or with what the proxy says of it. */
export function problemsOf({ plan, client, server, clientAddress }: Outcome, line: AccessLine | undefined): string[] {
  const problems: string[] = [];
  const orderly = expectedEnding(plan) === 'completed';
  if (!client.intact) problems.push('the client received other bytes than were sent to it');
  if (!server.intact) problems.push('the server received other bytes than were sent to it');
  if (!line) return [...problems, `there is no access line for ${clientAddress}`];
  if (line.ending !== expectedEnding(plan)) problems.push(`accounted as ${line.ending}`);
  if (orderly) {
    if (client.received !== plan.server.bytes) problems.push(`the client received ${client.received} bytes`);
    if (server.received !== plan.client.bytes) problems.push(`the server received ${server.received} bytes`);
    if (line.bytesReceived !== plan.client.bytes + HEADER) problems.push(`${line.bytesReceived} bytes up accounted`);
    if (line.bytesSent !== plan.server.bytes + GREETING.length) problems.push(`${line.bytesSent} bytes down accounted`);
    if (client.ended !== 'end' || server.ended !== 'end') problems.push('an orderly end arrived as a reset');
  } else {
    if (server.received > line.bytesReceived) problems.push('more bytes went up than were accounted');
    if (client.received > line.bytesSent) problems.push('more bytes went down than were accounted');
    const survivor = plan.client.finish === 'reset' ? server : client;
    const complete = survivor.received === (survivor === server ? plan.client.bytes : plan.server.bytes);
    if (survivor.ended === 'end' && !complete) problems.push('a truncated stream was made to look complete');
    if (survivor.ended === 'end') problems.push('a reset arrived as an end');
  }
  return problems;
}

export class Torture {
  readonly #plans: readonly Plan[];
  readonly #servers = new Map<number, (seen: Seen) => void>();
  readonly #server: net.Server;

  static async start(plans: readonly Plan[]): Promise<Torture> {
    const torture = new Torture(plans);
    torture.#server.listen(0, '127.0.0.1', 4096);
    await once(torture.#server, 'listening');
    return torture;
  }

  private constructor(plans: readonly Plan[]) {
    this.#plans = plans;
    this.#server = net.createServer(
      { allowHalfOpen: true, pauseOnConnect: true },
      (socket) => void this.#serve(socket),
    );
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  close(): void {
    this.#server.close();
  }

  /** Runs all plans, or some, against a proxy on `port`, `concurrency` at a time. */
  async run(port: number, concurrency: number, plans = this.#plans): Promise<Outcome[]> {
    const queue = [...plans];
    const outcomes: Outcome[] = [];
    const worker = async (): Promise<void> => {
      for (let plan = queue.pop(); plan; plan = queue.pop()) outcomes.push(await this.#play(plan, port));
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
    return outcomes;
  }

  async #play(plan: Plan, port: number): Promise<Outcome> {
    const server = new Promise<Seen>((resolve) => this.#servers.set(plan.id, resolve));
    const localAddress = sourceOf(plan);
    const socket = net.connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen: true, noDelay: true });
    socket.pause();
    await once(socket, 'connect');
    const clientAddress = `${localAddress}:${socket.localPort}`;
    const header = Buffer.alloc(HEADER);
    header.writeUInt32BE(plan.id);
    socket.write(header);
    // A reset could overtake the header; then nobody at the far side would know which plan it was.
    await readExactly(socket, GREETING.length);
    const client = await play(socket, plan.client, plan.server.bytes, plan.id * 7 + 1, plan.id * 13 + 2);
    return { plan, clientAddress, client, server: await server };
  }

  async #serve(socket: net.Socket): Promise<void> {
    socket.on('error', () => {});
    const header = await readExactly(socket, HEADER).catch(() => undefined);
    // Ended before it began: the test is over, or this was none of its clients.
    if (!header) return void socket.destroy();
    const id = header.readUInt32BE();
    const plan = this.#plans[id];
    const resolve = this.#servers.get(id);
    if (!plan || !resolve) throw new Error(`unexpected bytes at the server: plan ${id}`);
    socket.write(GREETING);
    resolve(await play(socket, plan.server, plan.client.bytes, id * 13 + 2, id * 7 + 1));
  }
}

/** An address of loopback's for each plan: ports alone come round again within a thousand connections. */
function sourceOf({ id }: Plan): string {
  return process.platform === 'linux' ? `127.1.${id >> 8}.${id & 0xff}` : '127.0.0.1';
}

function bytesAt(offset: number, length: number): Buffer {
  const from = offset % PATTERN.length;
  return PATTERN.subarray(from, Math.min(PATTERN.length, from + length));
}

/** Plays one side of a plan on a paused, connected socket, and tells what it saw of the other. */
async function play(socket: net.Socket, mine: SidePlan, theirs: number, sendFrom: number, expectFrom: number) {
  const wanted = createHash('sha1');
  const got = createHash('sha1');
  let received = 0;
  const otherEnded = new Promise<'end' | 'reset'>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; ) {
        const piece = bytesAt(expectFrom + received + at, chunk.length - at);
        wanted.update(piece);
        at += piece.length;
      }
      received += chunk.length;
      got.update(chunk);
      if (mine.slow) rest(socket, 5);
    });
    socket.once('end', () => resolve(endOfStreamError(socket) ? 'reset' : 'end'));
    socket.once('error', () => resolve('reset'));
    socket.once('close', () => resolve('reset'));
    socket.resume();
  });
  await send(socket, mine.bytes, sendFrom);
  // A side that waits for an end which never comes, because the other was to reset and did, goes on by the reset.
  const early = mine.after ? await otherEnded : undefined;
  if (mine.finish === 'reset') socket.resetAndDestroy();
  else if (early !== 'reset') socket.end();
  const ended = await otherEnded;
  socket.destroySoon();
  return { received, intact: received <= theirs && got.digest('hex') === wanted.digest('hex'), ended };
}

function rest(socket: net.Socket, turns: number): void {
  socket.pause();
  if (turns === 0) socket.resume();
  else setImmediate(rest, socket, turns - 1);
}

async function send(socket: net.Socket, count: number, from: number): Promise<void> {
  for (let sent = 0; sent < count && !socket.destroyed; ) {
    const piece = bytesAt(from + sent, count - sent);
    sent += piece.length;
    const flowing = socket.write(piece);
    if (!flowing && !socket.destroyed) await drainOrClose(socket);
  }
}

function drainOrClose(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.once('drain', done);
    socket.once('close', done);
  });
}
