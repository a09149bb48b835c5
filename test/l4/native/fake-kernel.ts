/**
 * A `Kernel` in memory: sockets of a few bytes, bounded pipes, epoll with edges as Linux tells them, and the lowest free
 * number for every new descriptor. Between any two system calls the world outside may do something (`meanwhile`), and
 * what no program may do (`violations`) is written down.
 */
import type { SocketAddress } from '../../../src/core/address.js';
import {
  EAGAIN,
  EINPROGRESS,
  EINTR,
  EINVAL,
  EMFILE,
  IN,
  type Kernel,
  OUT,
  type Pipe,
  PRI,
} from '../../../src/l4/native/kernel.js';
import { FakeSocket } from './fake-socket.js';

const COPY_BYTES = 16;
const PIPE_BYTES = 24;
/** Few, so that what does not fit comes with the next wait. */
const EVENTS = 4;
const EBADF = 9;

class FakePipe {
  readonly bytes: number[] = [];
  ends = 2;
}

class FakeListener {
  wake: (events: number) => void = () => {};
  readonly queue: FakeSocket[] = [];

  get mask(): number {
    return this.queue.length > 0 ? IN : 0;
  }
}

interface Watch {
  readonly fd: number;
  readonly tag: number;
  readonly edges: boolean;
  heard: boolean;
  readonly of: FakeSocket | FakeListener;
}

type Held = FakeSocket | FakeListener | FakePipe | 'system';

export interface FakeKernelOptions {
  /** Called before each system call that moves bytes or waits. */
  readonly meanwhile?: () => void;
}

export class FakeKernel implements Kernel {
  readonly received = new Uint8Array(COPY_BYTES);
  readonly copyBytes = COPY_BYTES;
  readonly sealed = new Uint8Array(COPY_BYTES);
  readonly loopFd = 3;
  readonly listenerFd = 4;
  readonly listener = new FakeListener();
  readonly violations: string[] = [];
  /** For the next call that can be interrupted. */
  interrupted = false;
  /** No pipe can be opened. */
  shortOfPipes = false;
  /** For the next calls of `accept`. */
  shortOfDescriptors = 0;
  /** Makes what the next `connect` reaches. */
  answer: (socket: FakeSocket) => number = () => 0;
  readonly #meanwhile: () => void;
  readonly #held: (Held | undefined)[] = ['system', 'system', 'system', 'system', this.listener];
  readonly #watches = new Map<number, Watch>();
  /** In the order in which they became ready. */
  readonly #ready = new Set<Watch>();
  #events: { readonly watch: Watch; readonly mask: number }[] = [];

  constructor({ meanwhile = () => {} }: FakeKernelOptions = {}) {
    this.#meanwhile = meanwhile;
  }

  /** Descriptors in use, without the system's own and the listener's. */
  get open(): number {
    return this.#held.filter((held) => held !== undefined).length - 5;
  }

  get watched(): number {
    return this.#watches.size;
  }

  get openPipes(): readonly FakePipe[] {
    return [...new Set(this.#held.filter((held) => held instanceof FakePipe))];
  }

  socketAt(fd: number): FakeSocket | undefined {
    const held = this.#held[fd];
    return held instanceof FakeSocket ? held : undefined;
  }

  arrive(socket: FakeSocket): void {
    this.listener.queue.push(socket);
    this.listener.wake(IN);
  }

  receive(fd: number, most = COPY_BYTES): number {
    const got = this.#move(fd, (socket) => socket.receive(most));
    if (typeof got === 'number') return got;
    this.received.set(got);
    return got.length;
  }

  receiveSealed(): number {
    throw new Error('no TLS is spoken over this kernel');
  }

  sendReceived(fd: number, length: number): number {
    return this.send(fd, this.received.subarray(0, length));
  }

  send(fd: number, bytes: Uint8Array): number {
    return this.#move(fd, (socket) => socket.send(bytes));
  }

  fill(fd: number, pipe: Pipe, length: number): number {
    const into = this.#pipe(pipe.writeEnd);
    if (into.bytes.length > 0) this.violations.push(`a pipe with ${into.bytes.length} bytes was filled`);
    const got = this.#move(fd, (socket) =>
      socket.spliceable ? socket.splice(Math.min(length, PIPE_BYTES - into.bytes.length)) : -EINVAL,
    );
    if (typeof got === 'number') return got;
    into.bytes.push(...got);
    return got.length;
  }

  empty(pipe: Pipe, fd: number, length: number): number {
    const from = this.#pipe(pipe.readEnd);
    const sent = this.#move(fd, (socket) => socket.send(from.bytes.slice(0, length)));
    if (sent > 0) from.bytes.splice(0, sent);
    return sent;
  }

  openPipe(): Pipe | undefined {
    if (this.shortOfPipes) return undefined;
    const pipe = new FakePipe();
    return { readEnd: this.#hold(pipe), writeEnd: this.#hold(pipe) };
  }

  closePipe({ readEnd, writeEnd }: Pipe): void {
    this.close(readEnd);
    this.close(writeEnd);
  }

  shutdownWrite(fd: number): number {
    return this.#call(fd, (socket) => {
      socket.shutdown();
      return 0;
    });
  }

  pendingError(fd: number): number {
    return this.#call(fd, (socket) => socket.pendingError());
  }

  unacknowledged(fd: number): number {
    return this.socketAt(fd)?.unacknowledged ?? this.#bad(fd);
  }

  close(fd: number): void {
    const held = this.#release(fd);
    if (held instanceof FakeSocket) held.close();
  }

  abort(fd: number): void {
    const held = this.#release(fd);
    if (held instanceof FakeSocket) held.abort();
  }

  disown(): void {}

  own(): void {}

  openWaker(): number {
    return this.#hold('system');
  }

  wake(): void {}

  awake(): void {}

  watchEdges(fd: number, tag: number): number {
    return this.#watch(fd, tag, true);
  }

  hearArrivals(fd: number, tag: number, heard: boolean): void {
    const watch = this.#watches.get(fd);
    if (watch?.tag !== tag) return void this.violations.push(`descriptor ${fd} is not watched with tag ${tag}`);
    watch.heard = heard;
    // As EPOLL_CTL_MOD does: what is there already is an event.
    if ((watch.of.mask & wantedOf(watch)) !== 0) this.#ready.add(watch);
  }

  watchReadable(fd: number, tag: number): number {
    // libuv's own descriptor: never ready here, the tests turn the loop themselves.
    return fd === this.loopFd ? 0 : this.#watch(fd, tag, false);
  }

  unwatch(fd: number): void {
    const watch = this.#watches.get(fd);
    if (watch === undefined) return;
    this.#watches.delete(fd);
    this.#ready.delete(watch);
    watch.of.wake = () => {};
  }

  wait(): number {
    this.#meanwhile();
    if (this.#isInterrupted()) return -EINTR;
    this.#events = [];
    for (const watch of [...this.#ready]) {
      if (this.#events.length === EVENTS) break;
      const mask = watch.of.mask & wantedOf(watch);
      this.#ready.delete(watch);
      if (mask === 0) continue;
      this.#events.push({ watch, mask });
      if (!watch.edges) this.#ready.add(watch);
    }
    return this.#events.length;
  }

  eventFd(index: number): number {
    return this.#events[index]?.watch.fd ?? -1;
  }

  eventTag(index: number): number {
    return this.#events[index]?.watch.tag ?? -1;
  }

  eventMask(index: number): number {
    return this.#events[index]?.mask ?? 0;
  }

  loopTimeout(): number {
    return 0;
  }

  closePolling(): void {}

  socket(): number {
    return this.#hold(new FakeSocket({ connected: false }));
  }

  connect(fd: number): number {
    const socket = this.socketAt(fd);
    if (socket === undefined) return -this.#bad(fd);
    return this.answer(socket) || -EINPROGRESS;
  }

  noDelay(): void {}
  keepAlive(): void {}

  accept(fd: number): number {
    if (fd !== this.listenerFd) return -this.#bad(fd);
    this.#meanwhile();
    if (this.shortOfDescriptors > 0) {
      this.shortOfDescriptors -= 1;
      return -EMFILE;
    }
    const socket = this.listener.queue.shift();
    return socket === undefined ? -EAGAIN : this.#hold(socket);
  }

  acceptedFrom(): SocketAddress | undefined {
    return { kind: 'ip', host: '10.0.0.2', port: 2 };
  }

  localAddress(): SocketAddress | undefined {
    return { kind: 'ip', host: '10.0.0.1', port: 1 };
  }

  remoteAddress(): SocketAddress | undefined {
    return this.acceptedFrom();
  }

  backlogMs(): number {
    return 0;
  }

  bind(): number {
    return 0;
  }

  listen(): number {
    return 0;
  }

  sharePort(): number {
    return 0;
  }

  reuseAddress(): number {
    return 0;
  }

  dualStack(): number {
    return 0;
  }

  /** The calls that move bytes: these can be interrupted. */
  #move<T extends number[] | number>(fd: number, act: (socket: FakeSocket) => T): T | number {
    return this.#call<T | number>(fd, (socket) => (this.#isInterrupted() ? -EINTR : act(socket)));
  }

  #call<T extends number[] | number>(fd: number, act: (socket: FakeSocket) => T): T | number {
    this.#meanwhile();
    const socket = this.socketAt(fd);
    return socket === undefined ? -this.#bad(fd) : act(socket);
  }

  #isInterrupted(): boolean {
    const { interrupted } = this;
    this.interrupted = false;
    return interrupted;
  }

  #watch(fd: number, tag: number, edges: boolean): number {
    const of = this.#held[fd];
    if (!(of instanceof FakeSocket || of instanceof FakeListener)) return -this.#bad(fd);
    if (this.#watches.has(fd)) this.violations.push(`descriptor ${fd} was watched twice`);
    const watch: Watch = { fd, tag, edges, heard: true, of };
    this.#watches.set(fd, watch);
    of.wake = (events) => {
      if (events === 0 || (events & wantedOf(watch) & (IN | PRI | OUT)) !== 0) this.#ready.add(watch);
    };
    if ((of.mask & wantedOf(watch)) !== 0) this.#ready.add(watch);
    return 0;
  }

  #hold(held: Held): number {
    const free = this.#held.indexOf(undefined);
    const fd = free === -1 ? this.#held.length : free;
    this.#held[fd] = held;
    return fd;
  }

  #release(fd: number): Held | undefined {
    const held = this.#held[fd];
    if (held === undefined) this.#bad(fd);
    if (this.#watches.has(fd)) this.unwatch(fd);
    this.#held[fd] = undefined;
    return held;
  }

  #pipe(fd: number): FakePipe {
    const held = this.#held[fd];
    if (held instanceof FakePipe) return held;
    this.#bad(fd);
    return new FakePipe();
  }

  #bad(fd: number): number {
    this.violations.push(`descriptor ${fd} was used, which is not what it was`);
    return EBADF;
  }
}

/** The events that a watch is told of. */
function wantedOf({ edges, heard }: Watch): number {
  if (!edges) return IN;
  return heard ? -1 : ~(IN | PRI);
}
