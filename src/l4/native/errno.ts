/** A negative result of a system call as an error like Node's own. */
import { getSystemErrorName } from 'node:util';

/** @param errno positive, as `errno(3)` has it */
export function errnoError(call: string, errno: number): Error & { readonly code: string } {
  const code = nameOf(errno);
  return Object.assign(new Error(`${call} ${code}`), { code, errno: -errno, syscall: call });
}

function nameOf(errno: number): string {
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `errno ${errno}`;
  }
}
