/**
 * The one file with bindings to C, by koffi. Where koffi cannot load (an unusual platform, a stripped install) there
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
  /** Ends the process at once: no handler runs, and no thread is waited for. */
  exitNow(code: number): void;
  /** How much freed memory the allocator keeps for itself instead of giving it back. glibc only; elsewhere it does nothing. */
  keepFreedMemory(bytes: number): void;
  /** Gives back what the allocator has kept. glibc only. */
  releaseFreedMemory(): void;
}

type Callable = (...args: (number | Uint8Array)[]) => number;

interface Koffi {
  load(path: string | null): { func(signature: string): Callable };
}

const DARWIN = process.platform === 'darwin';
const F_DUPFD_CLOEXEC = DARWIN ? 67 : 1030;
const SOL_SOCKET = DARWIN ? 0xffff : 1;
const SO_ERROR = DARWIN ? 0x1007 : 4;
/** `tcp(7)`. */
const SIOCOUTQ = 0x5411;
/** `mallopt(3)`. */
const M_TRIM_THRESHOLD = -1;

/** Memory that C writes to lives as long as the process: what only its address refers to would be collected. */
const pinned = { value: Buffer.alloc(4), length: Buffer.alloc(4) };

function load(): Libc | undefined {
  if (process.platform === 'win32') return undefined;
  try {
    const koffi: Koffi = createRequire(import.meta.url)('koffi');
    // null: what this process has loaded already, which includes its C library, whatever that is called.
    const self = koffi.load(null);
    const fcntl = self.func('int fcntl(int fd, int command, int argument)');
    const close = self.func('int close(int fd)');
    const exit = self.func('void _exit(int code)');
    const ioctl = self.func('int ioctl(int fd, unsigned long request, void *value)');
    const getsockopt = self.func('int getsockopt(int fd, int level, int name, void *value, void *length)');
    return {
      dup: (fd) => fcntl(fd, F_DUPFD_CLOEXEC, 3),
      close: (fd) => close(fd),
      pendingError(fd) {
        pinned.length.writeUInt32LE(4);
        const failed = getsockopt(fd, SOL_SOCKET, SO_ERROR, pinned.value, pinned.length) !== 0;
        return failed ? 0 : pinned.value.readInt32LE();
      },
      unacknowledged(fd) {
        if (process.platform !== 'linux') return 0;
        return ioctl(fd, SIOCOUTQ, pinned.value) === 0 ? pinned.value.readInt32LE() : 0;
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
