/** Unix domain sockets, as the kernel and the file system see them. */
import { lstat } from 'node:fs/promises';
import { connect } from 'node:net';
import { errnoOf } from './errors.js';

/** A leading `@` is how people write Linux's abstract name space, which has no files. */
export function isAbstract(path: string): boolean {
  return path.startsWith('@');
}

/** The kernel's form of a path: an abstract name begins with a zero byte. */
export function unixPath(path: string): string {
  return isAbstract(path) ? `\0${path.slice(1)}` : path;
}

/** True where a socket file has nobody behind it: what a process that was killed leaves. */
export async function isStaleSocket(path: string): Promise<boolean> {
  const isSocket = await lstat(path).then(
    (stat) => stat.isSocket(),
    () => false,
  );
  if (!isSocket) return false;
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error) => resolve(errnoOf(error) === 'ECONNREFUSED'));
  });
}
