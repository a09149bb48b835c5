/** Binds the admin's HTTP server to an address as people write it. */
import { chmod } from 'node:fs/promises';
import type { ListenOptions, Server } from 'node:net';
import { type Address, formatAddress } from '../core/address.js';
import { describeError, errnoOf, MeshproxyError } from '../core/errors.js';
import { boundAddress, listenOptions, overStaleSocket } from '../core/listen.js';
import { isAbstract } from '../core/unix-socket.js';

/** The owner and the group: who may change the proxy's files may look at it. */
const SOCKET_MODE = 0o660;

/** Resolves with the address as bound: with the real port where 0 was asked for. Rejects `listen`. */
export async function bind(server: Server, address: Address): Promise<Address> {
  try {
    const where = await listenOptions(address);
    await overStaleSocket(address, () => listen(server, where));
    if (address.kind === 'unix' && !isAbstract(address.path)) await chmod(address.path, SOCKET_MODE);
  } catch (error) {
    server.close();
    throw listenError(address, error);
  }
  return boundAddress(server, address);
}

function listen(server: Server, where: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

const HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another meshproxy may be running there: choose another address with --admin, or --admin off',
  EACCES: 'choose a port from 1024 on, or a path that this user may write',
  EADDRNOTAVAIL: 'choose an address of this machine; 127.0.0.1 always is one',
  ENOENT: 'create the folder first',
};

function listenError(address: Address, cause: unknown): MeshproxyError {
  const hint = HINTS[errnoOf(cause) ?? ''];
  const message = `the admin cannot listen on ${formatAddress(address)}: ${describeError(cause)}`;
  return new MeshproxyError('listen', message, { cause, ...(hint !== undefined && { hint }) });
}
