/** `Kernel` on Linux: constants and struct layouts of the system calls, for x64 and arm64, glibc and musl. */
import type { SocketAddress } from '../../core/address.js';
import type { SocketOptions } from '../transport.js';
import { errnoError } from './errno.js';
import { ERR, type Family, HUP, IN, type Kernel, OUT, type Pipe, PRI, RDHUP } from './kernel.js';
import { type LinuxCalls, libc, linuxCalls, pin } from './libc.js';
import { AF_INET, AF_INET6, AF_UNIX, decodeSockaddr, encodeSockaddr, SOCKADDR_BYTES } from './sockaddr.js';

const FAMILIES: Readonly<Record<Family, number>> = { ipv4: AF_INET, ipv6: AF_INET6, unix: AF_UNIX };
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const SO_KEEPALIVE = 9;
const SO_LINGER = 13;
const SO_REUSEPORT = 15;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

const MSG_NOSIGNAL = 0x4000;
const SHUT_WR = 1;
const SIOCOUTQ = 0x5411;
const SPLICE_F_MOVE = 1;
const SPLICE_F_NONBLOCK = 2;
const F_SETPIPE_SZ = 1031;
const F_GETPIPE_SZ = 1032;

const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
/** What an eventfd is read and written by: a count of 64 bits. */
const EVENTFD_BYTES = 8;

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLLET = 0x80000000;
const EDGES = (IN | PRI | OUT | RDHUP | ERR | HUP | EPOLLET) >>> 0;
const EDGES_BUT_ARRIVALS = (OUT | RDHUP | ERR | HUP | EPOLLET) >>> 0;

/** Events taken by one wait. More wait in the kernel, and none is lost. */
const EVENTS = 256;
/** `struct epoll_event` is packed on x86-64 and nowhere else: in units of 32 bits, where its fields are. */
const EVENT = process.arch === 'x64' ? { words: 3, data: 1 } : { words: 4, data: 2 };

/** What one read takes. A message that is longer, or a stream, is spliced from there on. */
const COPY_BYTES = 16 * 1024;
/** Four of the longest records of TLS: with room for one alone, half of all reads would bring the last bytes of a record only. */
const SEALED_BYTES = 64 * 1024;
/** What they hold, and what there was of a record before them: all that was read can be opened and sent on at once, or sealed. */
const RECEIVED_BYTES = SEALED_BYTES + 16 * 1024;

/**
 * What an unprivileged process may have (`pipe-max-size`, pipe(7)). The larger the pipe, the fewer the calls and
 * wake-ups for each GB: with 64 KiB a stream was measured at twice the processor time.
 */
const PIPE_BYTES = 1024 * 1024;
/** Past the system's bound for one user (`pipe-user-pages-soft`) pipes are made with two pages. Copying is quicker then. */
const LEAST_PIPE_BYTES = 64 * 1024;

/** As Node and its libuv have it, so that `keepalive` means the same on both engines. */
const PROBE_INTERVAL_S = 1;
const PROBES = 10;

export interface KernelOptions {
  /**
   * Shared with the thread that started this one. By descriptor number: `mark` for as long as it is this kernel's to close,
   * so that those of a thread that has died can be found.
   */
  readonly owned?: Uint8Array;
  readonly mark?: number;
  /** Bytes that a pipe is to hold, where the system allows that. */
  readonly pipeBytes?: number;
}

export class LinuxKernel implements Kernel {
  readonly loopFd: number;
  readonly received: Uint8Array;
  readonly copyBytes = COPY_BYTES;
  readonly #c: LinuxCalls;
  readonly #owned: Uint8Array;
  readonly #mark: number;
  readonly #pipeBytes: number;
  readonly #epoll: number;
  readonly #receivedAt: number;
  readonly sealed: Uint8Array;
  readonly #sealedAt: number;
  readonly #events = pin(EVENTS * EVENT.words * 4);
  readonly #eventWords: Int32Array;
  readonly #change = pin(EVENT.words * 4);
  readonly #changeWords: Int32Array;
  readonly #name = pin(SOCKADDR_BYTES);
  readonly #nameLength = pin(4);
  readonly #target = pin(SOCKADDR_BYTES);
  /** Endpoints are dialled over and over: what each address is to the kernel. */
  readonly #names = new WeakMap<SocketAddress, Uint8Array>();
  readonly #value = pin(8);
  readonly #valueLength = pin(4);

  /** Throws where the system does not have, or allow, what it takes. */
  constructor({ owned, mark = 1, pipeBytes = PIPE_BYTES }: KernelOptions = {}) {
    this.#c = linuxCalls();
    this.loopFd = this.#c.loopFd;
    this.#owned = owned ?? new Uint8Array(0);
    this.#mark = mark;
    this.#pipeBytes = pipeBytes;
    const received = pin(RECEIVED_BYTES);
    this.received = received.bytes;
    this.#receivedAt = received.address;
    const sealed = pin(SEALED_BYTES);
    this.sealed = sealed.bytes;
    this.#sealedAt = sealed.address;
    this.#eventWords = words(this.#events.bytes);
    this.#changeWords = words(this.#change.bytes);
    this.#epoll = this.#mine(this.#result(this.#c.epoll_create1(EPOLL_CLOEXEC)));
    if (this.#epoll < 0) throw errnoError('epoll_create1', -this.#epoll);
  }

  receive(fd: number, most = COPY_BYTES): number {
    return this.#result(this.#c.recv(fd, this.#receivedAt, most, 0));
  }

  receiveSealed(fd: number): number {
    return this.#result(this.#c.recv(fd, this.#sealedAt, SEALED_BYTES, 0));
  }

  sendReceived(fd: number, length: number): number {
    return this.#result(this.#c.send(fd, this.#receivedAt, length, MSG_NOSIGNAL));
  }

  send(fd: number, bytes: Uint8Array): number {
    return this.#result(this.#c.sendBytes(fd, bytes, bytes.length, MSG_NOSIGNAL));
  }

  fill(fd: number, pipe: Pipe, length: number): number {
    return this.#result(this.#c.splice(fd, 0, pipe.writeEnd, 0, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
  }

  empty(pipe: Pipe, fd: number, length: number): number {
    return this.#result(this.#c.splice(pipe.readEnd, 0, fd, 0, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
  }

  openPipe(): Pipe | undefined {
    if (this.#c.pipe2(this.#value.address, SOCK_NONBLOCK | SOCK_CLOEXEC) !== 0) return undefined;
    const pipe = {
      readEnd: this.#mine(this.#value.bytes.readInt32LE(0)),
      writeEnd: this.#mine(this.#value.bytes.readInt32LE(4)),
    };
    const enlarged = this.#c.fcntl(pipe.writeEnd, F_SETPIPE_SZ, this.#pipeBytes) >= 0;
    if (enlarged || this.#c.fcntl(pipe.writeEnd, F_GETPIPE_SZ, 0) >= LEAST_PIPE_BYTES) return pipe;
    this.closePipe(pipe);
    return undefined;
  }

  closePipe({ readEnd, writeEnd }: Pipe): void {
    this.close(readEnd);
    this.close(writeEnd);
  }

  shutdownWrite(fd: number): number {
    return this.#result(this.#c.shutdown(fd, SHUT_WR));
  }

  pendingError(fd: number): number {
    this.#valueLength.bytes.writeUInt32LE(4);
    const { address } = this.#value;
    const failed = this.#c.getsockopt(fd, SOL_SOCKET, SO_ERROR, address, this.#valueLength.address) !== 0;
    return failed ? this.#c.errno() : this.#value.bytes.readInt32LE();
  }

  unacknowledged(fd: number): number {
    return this.#c.ioctl(fd, SIOCOUTQ, this.#value.address) === 0 ? this.#value.bytes.readInt32LE() : 0;
  }

  close(fd: number): void {
    // Before it is closed: from then on the number may be another thread's.
    this.disown(fd);
    this.#c.close(fd);
  }

  disown(fd: number): void {
    if (fd < this.#owned.length) this.#owned[fd] = 0;
  }

  own(fd: number): void {
    this.#mine(fd);
  }

  abort(fd: number): void {
    this.#value.bytes.writeInt32LE(1, 0);
    this.#value.bytes.writeInt32LE(0, 4);
    this.#c.setsockopt(fd, SOL_SOCKET, SO_LINGER, this.#value.address, 8);
    this.close(fd);
  }

  watchEdges(fd: number, tag: number): number {
    return this.#watch(fd, tag, EDGES);
  }

  hearArrivals(fd: number, tag: number, heard: boolean): void {
    this.#watch(fd, tag, heard ? EDGES : EDGES_BUT_ARRIVALS, EPOLL_CTL_MOD);
  }

  watchReadable(fd: number, tag: number): number {
    return this.#watch(fd, tag, IN);
  }

  unwatch(fd: number): void {
    this.#c.epoll_ctl(this.#epoll, EPOLL_CTL_DEL, fd, this.#change.address);
  }

  wait(timeoutMs: number): number {
    return this.#result(this.#c.epoll_wait(this.#epoll, this.#events.address, EVENTS, timeoutMs));
  }

  eventFd(index: number): number {
    return this.#eventWords[index * EVENT.words + EVENT.data] ?? -1;
  }

  eventTag(index: number): number {
    return this.#eventWords[index * EVENT.words + EVENT.data + 1] ?? -1;
  }

  eventMask(index: number): number {
    return this.#eventWords[index * EVENT.words] ?? 0;
  }

  loopTimeout(): number {
    return this.#c.uv_backend_timeout();
  }

  closePolling(): void {
    this.close(this.#epoll);
  }

  socket(family: Family): number {
    return this.#mine(this.#result(this.#c.socket(FAMILIES[family], SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
  }

  connect(fd: number, address: SocketAddress): number {
    let name = this.#names.get(address);
    if (name === undefined) {
      name = Uint8Array.from(this.#target.bytes.subarray(0, encodeSockaddr(address, this.#target.bytes)));
      this.#names.set(address, name);
    }
    this.#target.bytes.set(name);
    return this.#result(this.#c.connect(fd, this.#target.address, name.length));
  }

  noDelay(fd: number): void {
    this.#set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  }

  keepAlive(fd: number, { keepaliveMs }: SocketOptions): void {
    this.#set(fd, SOL_SOCKET, SO_KEEPALIVE, keepaliveMs > 0 ? 1 : 0);
    if (keepaliveMs === 0) return;
    this.#set(fd, IPPROTO_TCP, TCP_KEEPIDLE, Math.max(1, Math.round(keepaliveMs / 1000)));
    this.#set(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_INTERVAL_S);
    this.#set(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
  }

  accept(fd: number): number {
    this.#nameLength.bytes.writeUInt32LE(SOCKADDR_BYTES);
    return this.#mine(
      this.#result(this.#c.accept4(fd, this.#name.address, this.#nameLength.address, SOCK_NONBLOCK | SOCK_CLOEXEC)),
    );
  }

  acceptedFrom(): SocketAddress | undefined {
    return decodeSockaddr(this.#name.bytes, this.#nameLength.bytes.readUInt32LE());
  }

  localAddress(fd: number): SocketAddress | undefined {
    this.#nameLength.bytes.writeUInt32LE(SOCKADDR_BYTES);
    const failed = this.#c.getsockname(fd, this.#name.address, this.#nameLength.address) !== 0;
    return failed ? undefined : this.acceptedFrom();
  }

  remoteAddress(fd: number): SocketAddress | undefined {
    this.#nameLength.bytes.writeUInt32LE(SOCKADDR_BYTES);
    const failed = this.#c.getpeername(fd, this.#name.address, this.#nameLength.address) !== 0;
    return failed ? undefined : this.acceptedFrom();
  }

  backlogMs(fd: number): number {
    return libc()?.establishedMs(fd) ?? 0;
  }

  bind(fd: number, address: SocketAddress): number {
    const length = encodeSockaddr(address, this.#target.bytes);
    return this.#result(this.#c.bind(fd, this.#target.bytes, length));
  }

  listen(fd: number, backlog: number): number {
    return this.#result(this.#c.listen(fd, backlog));
  }

  sharePort(fd: number): number {
    return this.#set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  }

  reuseAddress(fd: number): number {
    return this.#set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  }

  dualStack(fd: number, both: boolean): number {
    return this.#set(fd, IPPROTO_IPV6, IPV6_V6ONLY, both ? 0 : 1);
  }

  openWaker(): number {
    return this.#mine(this.#result(this.#c.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)));
  }

  wake(waker: number): void {
    this.#value.bytes.writeBigUInt64LE(1n);
    this.#c.write(waker, this.#value.address, EVENTFD_BYTES);
  }

  awake(waker: number): void {
    this.#c.read(waker, this.#value.address, EVENTFD_BYTES);
  }

  #watch(fd: number, tag: number, events: number, operation = EPOLL_CTL_ADD): number {
    this.#changeWords[0] = events;
    this.#changeWords[EVENT.data] = fd;
    this.#changeWords[EVENT.data + 1] = tag;
    return this.#result(this.#c.epoll_ctl(this.#epoll, operation, fd, this.#change.address));
  }

  #set(fd: number, level: number, name: number, value: number): number {
    this.#value.bytes.writeInt32LE(value);
    return this.#result(this.#c.setsockopt(fd, level, name, this.#value.address, 4));
  }

  #result(value: number): number {
    return value < 0 ? -this.#c.errno() : value;
  }

  #mine(fd: number): number {
    if (fd >= 0 && fd < this.#owned.length) this.#owned[fd] = this.#mark;
    return fd;
  }
}

function words(bytes: Buffer): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}
