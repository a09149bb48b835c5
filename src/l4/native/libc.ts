/**
 * The one file with bindings to C, by koffi (`openssl.ts` names its functions and binds them with what is here). Where koffi cannot load (an unusual platform, a stripped install) there
 * is no `Libc`, and the callers do without.
 */
import { createRequire } from 'node:module';

export interface Libc {
  /** A second descriptor for the same open socket, closed on exec. Negative where there is none left. */
  dup(fd: number): number;
  close(fd: number): number;
  /** The error pending on a socket (`SO_ERROR`), as an errno; 0 for none. Reading it clears it. */
  pendingError(fd: number): number;
  /** Bytes that were handed to a TCP socket and that its peer has not acknowledged (`SIOCOUTQ`). Linux; 0 elsewhere. */
  unacknowledged(fd: number): number;
  /** Of a TCP socket that has sent nothing yet: how long ago its handshake was complete, ms, to the nearest tick of the kernel (1 to 10). Linux; 0 elsewhere. */
  establishedMs(fd: number): number;
  /** Ends the process at once: no handler runs, and no thread is waited for. */
  exitNow(code: number): void;
  /** How much freed memory the allocator keeps for itself instead of giving it back. glibc only; elsewhere it does nothing. */
  keepFreedMemory(bytes: number): void;
  /** Gives back what the allocator has kept. glibc only. */
  releaseFreedMemory(): void;
}

type Argument = number | Uint8Array | null;
type Callable = (...args: Argument[]) => number;

interface Koffi {
  load(path: string | null): { func(signature: string): Callable };
  address(pinned: Uint8Array): bigint;
  errno(): number;
  proto(result: string, parameters: readonly string[]): object;
  pointer(type: object): object;
  register(callback: (...args: number[]) => number, type: object): object;
  decode(address: number | bigint, type: object): Uint8Array;
  encode(address: number | bigint, type: string, value: number): void;
  array(type: string, length: number, hint: 'Typed'): object;
}

const DARWIN = process.platform === 'darwin';
const F_DUPFD_CLOEXEC = DARWIN ? 67 : 1030;
const SOL_SOCKET = DARWIN ? 0xffff : 1;
const SO_ERROR = DARWIN ? 0x1007 : 4;
/** `tcp(7)`. */
const SIOCOUTQ = 0x5411;
/** `tcp(7)`; of `struct tcp_info` (`linux/tcp.h`) the part up to `tcpi_last_data_sent`, which begins to count with the socket. */
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const TCP_INFO_BYTES = 48;
const LAST_DATA_SENT = 44;
/** `mallopt(3)`. */
const M_TRIM_THRESHOLD = -1;

function loadKoffi(): Koffi {
  return createRequire(import.meta.url)('koffi');
}

/** Memory whose address C is given. */
export interface Pinned {
  readonly bytes: Buffer;
  readonly address: number;
}

/** Keeps what is pinned: a buffer that only its address refers to would be collected, and the process die without a word. */
const pins: Pinned[] = [];

/** Memory that stays where it is for as long as the thread lives. */
export function pin(length: number): Pinned {
  // Of its own: what V8 keeps on its heap, as small typed arrays can be, it also moves.
  const bytes = Buffer.from(new ArrayBuffer(length));
  const pinned = { bytes, address: Number(loadKoffi().address(bytes)) };
  pins.push(pinned);
  return pinned;
}

function load(): Libc | undefined {
  if (process.platform === 'win32') return undefined;
  try {
    // null: what this process has loaded already, which includes its C library, whatever that is called.
    const self = loadKoffi().load(null);
    const fcntl = self.func('int fcntl(int fd, int command, int argument)');
    const close = self.func('int close(int fd)');
    const exit = self.func('void _exit(int code)');
    const ioctl = self.func('int ioctl(int fd, unsigned long request, void *value)');
    const getsockopt = self.func('int getsockopt(int fd, int level, int name, void *value, void *length)');
    const value = pin(4).bytes;
    const length = pin(4).bytes;
    const info = pin(TCP_INFO_BYTES).bytes;
    return {
      dup: (fd) => fcntl(fd, F_DUPFD_CLOEXEC, 3),
      close: (fd) => close(fd),
      pendingError(fd) {
        length.writeUInt32LE(4);
        const failed = getsockopt(fd, SOL_SOCKET, SO_ERROR, value, length) !== 0;
        return failed ? 0 : value.readInt32LE();
      },
      unacknowledged(fd) {
        if (process.platform !== 'linux') return 0;
        return ioctl(fd, SIOCOUTQ, value) === 0 ? value.readInt32LE() : 0;
      },
      establishedMs(fd) {
        if (process.platform !== 'linux') return 0;
        length.writeUInt32LE(TCP_INFO_BYTES);
        return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, length) === 0 ? info.readUInt32LE(LAST_DATA_SENT) : 0;
      },
      exitNow: (code) => void exit(code),
      keepFreedMemory(bytes) {
        optional(() => self.func('int mallopt(int parameter, int value)'))?.(M_TRIM_THRESHOLD, bytes);
      },
      releaseFreedMemory() {
        optional(() => self.func('int malloc_trim(size_t pad)'))?.(0);
      },
    };
  } catch {
    return undefined;
  }
}

/** What a C library may not have: musl has no `mallopt`. */
function optional(bind: () => Callable): Callable | undefined {
  try {
    return bind();
  } catch {
    return undefined;
  }
}

let loaded: { readonly libc: Libc | undefined } | undefined;

/** Loads at the first call: a command that opens no socket does not pay for it. */
export function libc(): Libc | undefined {
  loaded ??= { libc: load() };
  return loaded.libc;
}

/**
 * The system calls of the native engine as C declares them: -1 is a failure, and `errno()` why. An address is passed
 * as a number where the same memory is passed each time, which costs least.
 */
export interface LinuxCalls {
  errno(): number;
  socket(family: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  listen(fd: number, backlog: number): number;
  accept4(fd: number, address: number, length: number, flags: number): number;
  connect(fd: number, address: number, length: number): number;
  getsockname(fd: number, address: number, length: number): number;
  getpeername(fd: number, address: number, length: number): number;
  getsockopt(fd: number, level: number, name: number, value: number, length: number): number;
  setsockopt(fd: number, level: number, name: number, value: number, length: number): number;
  recv(fd: number, buffer: number, length: number, flags: number): number;
  send(fd: number, buffer: number, length: number, flags: number): number;
  /** As `send`, of any memory. */
  sendBytes(fd: number, bytes: Uint8Array, length: number, flags: number): number;
  shutdown(fd: number, how: number): number;
  close(fd: number): number;
  ioctl(fd: number, request: number, value: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  pipe2(ends: number, flags: number): number;
  eventfd(count: number, flags: number): number;
  read(fd: number, buffer: number, length: number): number;
  write(fd: number, buffer: number, length: number): number;
  /** Without offsets: sockets and pipes have none. */
  splice(from: number, fromOffset: number, to: number, toOffset: number, length: number, flags: number): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epoll: number, operation: number, fd: number, event: number): number;
  epoll_wait(epoll: number, events: number, count: number, timeoutMs: number): number;
  /** Of libuv's loop that runs the calling thread. */
  readonly loopFd: number;
  uv_backend_timeout(): number;
}

/** Binds them for the calling thread. Throws where koffi does not load or this Node does not export its loop. */
export function linuxCalls(): LinuxCalls {
  const koffi = loadKoffi();
  const self = koffi.load(null);
  const bind = (signature: string): Callable => self.func(signature);
  // Node has no other way to name the loop of a thread. Both symbols are part of its interface to addons.
  const isolate = bind('uintptr_t _ZN2v87Isolate10GetCurrentEv()')();
  const loop = bind('uintptr_t _ZN4node19GetCurrentEventLoopEPN2v87IsolateE(uintptr_t isolate)')(isolate);
  const backendTimeout = bind('int uv_backend_timeout(uintptr_t loop)');
  return {
    errno: () => koffi.errno(),
    socket: bind('int socket(int, int, int)'),
    bind: bind('int bind(int, void *, unsigned int)'),
    listen: bind('int listen(int, int)'),
    accept4: bind('int accept4(int, uintptr_t, uintptr_t, int)'),
    connect: bind('int connect(int, uintptr_t, unsigned int)'),
    getsockname: bind('int getsockname(int, uintptr_t, uintptr_t)'),
    getpeername: bind('int getpeername(int, uintptr_t, uintptr_t)'),
    getsockopt: bind('int getsockopt(int, int, int, uintptr_t, uintptr_t)'),
    setsockopt: bind('int setsockopt(int, int, int, uintptr_t, unsigned int)'),
    recv: bind('long recv(int, uintptr_t, size_t, int)'),
    send: bind('long send(int, uintptr_t, size_t, int)'),
    sendBytes: bind('long send(int, void *, size_t, int)'),
    shutdown: bind('int shutdown(int, int)'),
    close: bind('int close(int)'),
    ioctl: bind('int ioctl(int, unsigned long, uintptr_t)'),
    fcntl: bind('int fcntl(int, int, int)'),
    pipe2: bind('int pipe2(uintptr_t, int)'),
    eventfd: bind('int eventfd(unsigned int, int)'),
    read: bind('long read(int, uintptr_t, size_t)'),
    write: bind('long write(int, uintptr_t, size_t)'),
    splice: bind('long splice(int, uintptr_t, int, uintptr_t, size_t, unsigned int)'),
    epoll_create1: bind('int epoll_create1(int)'),
    epoll_ctl: bind('int epoll_ctl(int, int, int, uintptr_t)'),
    epoll_wait: bind('int epoll_wait(int, uintptr_t, int, int)'),
    loopFd: bind('int uv_backend_fd(uintptr_t loop)')(loop),
    uv_backend_timeout: () => backendTimeout(loop),
  };
}

/** What another set of bindings is made with. */
export interface Bindings {
  bind(signature: string): unknown;
  /** What C calls as a function pointer, in the thread that it was made in, for as long as that lives. */
  callback(result: string, parameters: readonly string[], called: (...args: number[]) => number): object;
  /** A copy of what is at an address. */
  decodeBytes(address: number, length: number): Uint8Array;
  writePointer(address: number, value: number): void;
  writeByte(address: number, value: number): void;
}

/** Throws where koffi does not load. */
export function bindings(): Bindings {
  const koffi = loadKoffi();
  const self = koffi.load(null);
  return {
    bind: (signature) => self.func(signature),
    callback: (result, parameters, called) => koffi.register(called, koffi.pointer(koffi.proto(result, parameters))),
    decodeBytes: (address, length) => koffi.decode(BigInt(address), koffi.array('uint8_t', length, 'Typed')),
    writePointer: (address, value) => koffi.encode(BigInt(address), 'uintptr_t', value),
    writeByte: (address, value) => koffi.encode(BigInt(address), 'uint8_t', value),
  };
}

/** Where pinned memory is. It has to stay referenced. */
export function addressOf(pinned: Uint8Array): number {
  return Number(loadKoffi().address(pinned));
}
