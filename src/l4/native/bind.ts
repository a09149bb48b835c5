/**
 * Binding what listens. A group of sockets can share one address, one for each thread: the kernel spreads connections
 * over them (`SO_REUSEPORT`, socket(7)). Who binds keeps them: a thread is told a number, and never closes it, so that
 * the clients that wait behind it outlive the thread.
 */
import { unlinkSync } from 'node:fs';
import type { Address, SocketAddress } from '../../core/address.js';
import { errnoOf } from '../../core/errors.js';
import { listenOptions, overStaleSocket } from '../../core/listen.js';
import { isAbstract } from '../../core/unix-socket.js';
import { BACKLOG, listenError, resolveError } from '../listen-outcome.js';
import type { SocketOptions } from '../transport.js';
import { errnoError } from './errno.js';
import type { Connecting, Family, Listening, Relaying } from './kernel.js';
import { LinuxKernel } from './linux-kernel.js';

type Binding = Connecting & Listening & Pick<Relaying, 'close'>;

export interface BoundGroup {
  /** Larger than that of every group before it, in this process. */
  readonly id: number;
  /** With the real port where 0 was asked for. */
  readonly address: Address;
  /** One for each thread. A unix socket cannot be shared so: there it is the same one each time. */
  readonly fds: readonly number[];
  /** Clients that still wait behind them are turned away. Idempotent. */
  close(): void;
}

let binder: LinuxKernel | undefined;
let lastId = 0;

/** The one that binds, and that closes what outlives a thread. */
export function mainKernel(): LinuxKernel {
  binder ??= new LinuxKernel();
  return binder;
}

/** Binds `count` sockets to `address`. Rejects with a `MeshproxyError` `listen` or `resolve`, with nothing left open. */
export async function bindShared(address: Address, options: SocketOptions, count: number): Promise<BoundGroup> {
  const kernel = mainKernel();
  const where = await listenOptions(address).catch((error: unknown) => {
    throw resolveError(address, error);
  });
  return overStaleSocket(address, async () => openGroup(kernel, address, where.host, options, count)).catch(
    (error: unknown) => {
      throw listenError(address, error);
    },
  );
}

function openGroup(
  kernel: Binding,
  address: Address,
  host: string | undefined,
  options: SocketOptions,
  count: number,
): BoundGroup {
  if (address.kind === 'unix') {
    const fd = open(kernel, address, options, false);
    const fds = Array.from({ length: count }, () => fd);
    return group(address, fds, closer(kernel, [fd], isAbstract(address.path) ? undefined : address.path));
  }
  const { port } = address;
  if (host !== undefined) return openPorts(kernel, address, { kind: 'ip', host, port }, options, count);
  try {
    return openPorts(kernel, address, { kind: 'ip', host: '::', port }, options, count);
  } catch (error) {
    // A machine without IPv6.
    if (errnoOf(error) !== 'EAFNOSUPPORT' && errnoOf(error) !== 'EADDRNOTAVAIL') throw error;
    return openPorts(kernel, address, { kind: 'ip', host: '0.0.0.0', port }, options, count);
  }
}

function openPorts(
  kernel: Binding,
  address: Exclude<Address, { kind: 'unix' }>,
  where: SocketAddress & { kind: 'ip' },
  options: SocketOptions,
  count: number,
): BoundGroup {
  // A socket that shares its port joins whoever shares it already, unasked: another proxy would get half of the
  // connections. One that does not share it is refused then, so it is tried first.
  const alone = open(kernel, where, options, false);
  const name = kernel.localAddress(alone);
  const port = name?.kind === 'ip' ? name.port : where.port;
  if (count === 1) return group({ ...address, port }, [alone], closer(kernel, [alone]));
  kernel.close(alone);
  const fds: number[] = [];
  try {
    while (fds.length < count) fds.push(open(kernel, { ...where, port }, options, true));
  } catch (error) {
    for (const fd of fds) kernel.close(fd);
    throw error;
  }
  return group({ ...address, port }, fds, closer(kernel, fds));
}

function open(kernel: Binding, where: SocketAddress, options: SocketOptions, shared: boolean): number {
  const fd = kernel.socket(familyOf(where));
  if (fd < 0) throw errnoError('socket', -fd);
  try {
    if (where.kind === 'ip') {
      kernel.reuseAddress(fd);
      if (shared) must('SO_REUSEPORT', kernel.sharePort(fd));
      if (where.host.includes(':')) kernel.dualStack(fd, where.host === '::');
      kernel.noDelay(fd);
      kernel.keepAlive(fd, options);
    }
    must('bind', kernel.bind(fd, where));
    must('listen', kernel.listen(fd, BACKLOG));
    return fd;
  } catch (error) {
    kernel.close(fd);
    throw error;
  }
}

function group(address: Address, fds: readonly number[], close: () => void): BoundGroup {
  lastId += 1;
  return { id: lastId, address, fds, close };
}

function must(call: string, result: number): void {
  if (result < 0) throw errnoError(call, -result);
}

function closer(kernel: Binding, fds: readonly number[], path?: string): () => void {
  let closed = false;
  return () => {
    if (closed) return;
    closed = true;
    for (const fd of fds) kernel.close(fd);
    if (path !== undefined) removeQuietly(path);
  };
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody has removed it already.
  }
}

/** The family of the socket that `address` needs. */
export function familyOf(address: SocketAddress): Family {
  if (address.kind === 'unix') return 'unix';
  return address.host.includes(':') ? 'ipv6' : 'ipv4';
}

/**
 * Resets every descriptor that a thread has left open by dying.
 * @param owned what the thread's kernel was given
 */
export function abortOwned(owned: Uint8Array, mark: number): void {
  for (let fd = owned.indexOf(mark); fd !== -1; fd = owned.indexOf(mark, fd + 1)) {
    // Not before: a thread that could not even start has left nothing, and there may be no descriptor for a kernel either.
    owned[fd] = 0;
    mainKernel().abort(fd);
  }
}
