/** From an address as people write it to what Node's servers listen on, for whichever server it is. */
import { lookup } from 'node:dns/promises';
import { unlink } from 'node:fs/promises';
import type { ListenOptions, Server } from 'node:net';
import type { Address } from './address.js';
import { errnoOf } from './errors.js';
import { isStaleSocket, unixPath } from './unix-socket.js';

/** What `server.listen` takes for `address`. Rejects with the resolver's error where a name has no address. */
export async function listenOptions(address: Address): Promise<ListenOptions> {
  switch (address.kind) {
    case 'unix':
      return { path: unixPath(address.path) };
    case 'any':
      return { port: address.port };
    case 'ip':
      return { host: address.host, port: address.port };
    case 'name': {
      // IPv4 first: who writes localhost means what most of its clients dial.
      const found = await lookup(address.name, { all: true });
      const host = (found.find(({ family }) => family === 4) ?? found[0])?.address;
      return { host, port: address.port };
    }
  }
}

/** Calls `listen`, and once more where all that is in its way is a socket file that nobody serves. Rejects as it does. */
export async function overStaleSocket<T>(address: Address, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (error) {
    if (address.kind !== 'unix' || errnoOf(error) !== 'EADDRINUSE' || !(await isStaleSocket(address.path))) throw error;
    await unlink(address.path);
    return listen();
  }
}

/** `address` as `server` has bound it: with the real port where 0 was asked for. */
export function boundAddress(server: Server, address: Address): Address {
  const bound = server.address();
  return address.kind === 'unix' || bound === null || typeof bound === 'string'
    ? address
    : { ...address, port: bound.port };
}
