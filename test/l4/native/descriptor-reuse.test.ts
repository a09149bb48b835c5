/**
 * Descriptors are numbers, and Linux gives the lowest free one to whoever asks next: within one batch of events a
 * connection can go and another have its number, with an event of the first still to come. These connections go and
 * come all at once, over and over, each with bytes that no other has.
 */
import { expect, it } from 'vitest';
import type { IpAddress } from '../../../src/core/address.js';
import { bindShared } from '../../../src/l4/native/bind.js';
import { dial } from '../../../src/l4/native/dial.js';
import { EAGAIN } from '../../../src/l4/native/kernel.js';
import { LinuxKernel } from '../../../src/l4/native/linux-kernel.js';
import { NativeListener } from '../../../src/l4/native/listener.js';
import type { Connection } from '../../../src/l4/transport.js';
import { engineOn } from './engine.js';

const OPTIONS = { keepaliveMs: 0, bufferSize: 65536 };
const LOOPBACK: IpAddress = { kind: 'ip', host: '127.0.0.1', port: 0 };
const ROUNDS = 60;
/** Opened in each round, while most of the round before are reset. */
const AT_ONCE = 24;
/** More than one read takes, so that streams are spliced, too. */
const MANY_BYTES = 200_000;
/** For those that are reset: they have come to rest then, so that nothing but the resets decides the order of events. */
const FEW_BYTES = 1000;

/** Counts events that came for a descriptor whose number has another owner already. */
class CountingKernel extends LinuxKernel {
  stale = 0;
  readonly #tags: number[] = [];

  override watchEdges(fd: number, tag: number): number {
    this.#tags[fd] = tag;
    return super.watchEdges(fd, tag);
  }

  override eventTag(index: number): number {
    const tag = super.eventTag(index);
    const current = this.#tags[this.eventFd(index)];
    if (current !== undefined && tag < current) this.stale += 1;
    return tag;
  }
}

/** Of the peers: bare sockets, as a reset of Node's comes some turns of the event loop later. */
const system = new LinuxKernel();
const wrong: string[] = [];

/** What connection number `id` sends from `at` on, either way: its number, over and over. */
function bytesOf(id: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length + 8);
  for (let offset = 0; offset < length + 4; offset += 4)
    bytes.writeUInt32BE((id * 1_000_003 + (at & ~3) + offset) >>> 0, offset);
  return bytes.subarray(at % 4, (at % 4) + length);
}

/** One side of connection `id`, which is told by the first four bytes where it is `undefined`. */
class Side {
  readonly fd: number;
  id: number | undefined;
  #got = 0;
  #sent = 0;
  #ended = false;
  state: 'open' | 'done' | 'broken' = 'open';

  constructor(fd: number, id?: number) {
    this.fd = fd;
    this.id = id;
  }

  /** Takes and gives what is possible without waiting. */
  step(): void {
    if (this.state !== 'open') return;
    while (!this.#ended) {
      const got = system.receive(this.fd);
      if (got === -EAGAIN) break;
      if (got < 0) return void this.#broken();
      if (got === 0) this.#ended = true;
      if (got === 0) break;
      this.id ??= numberOf(system.received);
      const bytes = Buffer.from(system.received.subarray(0, got));
      if (this.id === undefined || !bytes.equals(bytesOf(this.id, this.#got, got)))
        wrong.push(`connection ${this.id} got other bytes at ${this.#got}`);
      this.#got += got;
    }
    if (this.id === undefined) return;
    const sent = system.send(this.fd, bytesOf(this.id, this.#sent, Math.min(20_000, sizeOf(this.id) - this.#sent)));
    if (sent > 0) this.#sent += sent;
    if (this.#sent === sizeOf(this.id) && livesOn(this.id)) system.shutdownWrite(this.fd);
    if (this.#ended) this.#complete(this.id);
  }

  break(): void {
    if (this.state === 'open') system.abort(this.fd);
    this.state = 'broken';
  }

  #complete(id: number): void {
    if (this.#sent < sizeOf(id)) return;
    this.state = 'done';
    system.close(this.fd);
    if (this.#got !== sizeOf(id)) wrong.push(`connection ${id} ended after ${this.#got} bytes`);
  }

  #broken(): void {
    this.state = 'done';
    system.close(this.fd);
    // Of those that are reset either side may see it.
    if (this.id === undefined || livesOn(this.id)) wrong.push(`connection ${this.id} broke after ${this.#got} bytes`);
  }
}

function livesOn(id: number): boolean {
  return id % 4 === 0;
}

function sizeOf(id: number): number {
  return livesOn(id) ? MANY_BYTES : FEW_BYTES;
}

function numberOf(first: Uint8Array): number {
  return Buffer.from(first.buffer, first.byteOffset, 4).readUInt32BE() / 1_000_003;
}

it('never gives one connection the bytes or the end of another that had its number', async () => {
  const kernel = new CountingKernel();
  const engine = engineOn(kernel, (error) => wrong.push(String(error)));
  const upstream = await bindShared(LOOPBACK, OPTIONS, 1);
  const front = await bindShared(LOOPBACK, OPTIONS, 1);
  const accept = async (near: Connection): Promise<void> => {
    const signal = new AbortController().signal;
    const far = await dial(engine, upstream.address as IpAddress, OPTIONS, signal).catch(() => undefined);
    if (far === undefined) near.reset();
    else await near.relay(far, { onFirstByte() {}, onPeerFirstByte() {}, onHalfClose() {} });
  };
  const listener = new NativeListener(engine, {
    address: front.address,
    fd: front.fds[0] ?? -1,
    accept: (near) => void accept(near),
    release: front.close,
  });
  const clients: Side[] = [];
  const servers: Side[] = [];
  const turn = async (): Promise<void> => {
    for (let fd = 0; fd >= 0; ) {
      fd = system.accept(upstream.fds[0] ?? -1);
      if (fd >= 0) servers.push(new Side(fd));
    }
    for (const side of [...clients, ...servers]) side.step();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const open = (id: number): void => {
    const fd = system.socket('ipv4');
    system.connect(fd, front.address as IpAddress);
    clients.push(new Side(fd, id));
  };

  for (let round = 0; round < ROUNDS; round += 1) {
    // All in one turn: the engine, which runs in this thread, finds it in one batch, and in this order. The reset of a
    // client closes both of its sockets, a new connection gets their numbers, and then comes the event of the server's reset.
    const breaks = ({ id }: Side): boolean => id !== undefined && !livesOn(id);
    for (const client of clients.filter(breaks)) client.break();
    for (let index = 0; index < AT_ONCE; index += 1) open(round * AT_ONCE + index);
    for (const server of servers.filter(breaks)) server.break();
    for (const sides of [clients, servers])
      sides.splice(0, sides.length, ...sides.filter(({ state }) => state === 'open'));
    for (let turns = 0; turns < 6; turns += 1) await turn();
  }
  const unfinished = (): Side[] =>
    [...clients, ...servers].filter(({ id, state }) => state === 'open' && (id === undefined || livesOn(id)));
  while (unfinished().length > 0) await turn();
  for (const side of [...clients, ...servers]) side.break();
  for (let turns = 0; turns < 6; turns += 1) await turn();
  await listener.close();
  upstream.close();
  expect(wrong).toEqual([]);
  // Else this has tried nothing.
  expect(kernel.stale).toBeGreaterThan(ROUNDS);
});
