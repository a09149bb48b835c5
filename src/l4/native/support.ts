/** Whether the native engine can run here, and why not. */
import { errnoOf } from '../../core/errors.js';
import { EAGAIN } from './kernel.js';
import { LinuxKernel } from './linux-kernel.js';

export type NativeSupport = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** Tries it, with everything that another system, another build of Node or a sandbox may not have. */
export function nativeSupport(): NativeSupport {
  if (process.platform !== 'linux') return no(`it needs Linux, and this is ${process.platform}`);
  if (process.arch !== 'x64' && process.arch !== 'arm64') {
    return no(`it knows the system calls of x64 and arm64, and this is ${process.arch}`);
  }
  try {
    return tryCalls(new LinuxKernel());
  } catch (error) {
    const text = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    return no(errnoOf(error) === 'MODULE_NOT_FOUND' ? `koffi, its bridge to C, is not installed` : `${text}`);
  }
}

function tryCalls(kernel: LinuxKernel): NativeSupport {
  const from = kernel.openPipe();
  const to = kernel.openPipe();
  try {
    if (from === undefined || to === undefined) return no('pipe2 is not allowed, or no descriptor is left');
    const spliced = kernel.fill(from.readEnd, to, 1);
    if (spliced !== -EAGAIN) return no(`splice is not allowed here (errno ${-spliced}): a seccomp profile?`);
    const nested = kernel.watchReadable(kernel.loopFd, 1);
    if (nested < 0) return no(`epoll_ctl is not allowed here (errno ${-nested}): a seccomp profile?`);
    return { ok: true };
  } finally {
    for (const pipe of [from, to]) if (pipe !== undefined) kernel.closePipe(pipe);
    kernel.closePolling();
  }
}

function no(reason: string): NativeSupport {
  return { ok: false, reason };
}
