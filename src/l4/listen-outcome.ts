/** What both engines say where an address cannot be listened on. */
import { type Address, formatAddress } from '../core/address.js';
import { describeError, errnoOf, MeshproxyError } from '../core/errors.js';

/** What Linux caps a backlog at by default (net.core.somaxconn since 5.4): a burst waits instead of being refused. */
export const BACKLOG = 4096;

export function resolveError(address: Address, cause: unknown): MeshproxyError {
  return new MeshproxyError('resolve', `cannot listen on ${formatAddress(address)}: ${describeError(cause)}`, {
    cause,
    hint: 'listen on an address of this machine, or on :PORT for all of them',
  });
}

export function listenError(address: Address, cause: unknown): MeshproxyError {
  const hint = listenHint(address, errnoOf(cause));
  return new MeshproxyError('listen', `cannot listen on ${formatAddress(address)}: ${describeError(cause)}`, {
    cause,
    ...(hint === undefined ? {} : { hint }),
  });
}

function listenHint(address: Address, errno: string | undefined): string | undefined {
  const port = address.kind === 'unix' ? undefined : address.port;
  switch (errno) {
    case 'EADDRINUSE':
      return port === undefined
        ? 'another program serves on this path: stop it, or choose another path'
        : `choose another port, or stop what listens there: ss -ltnp 'sport = :${port}' shows it`;
    case 'EACCES':
    case 'EPERM':
      return port === undefined
        ? "the folder must be writable for this program's user"
        : `ports below 1024 need privileges: choose a port from 1024 on, or grant CAP_NET_BIND_SERVICE`;
    case 'EADDRNOTAVAIL':
      return 'ip address shows the addresses of this machine; :PORT listens on all of them';
    case 'ENOENT':
      return 'create the folder first';
    default:
      return undefined;
  }
}
