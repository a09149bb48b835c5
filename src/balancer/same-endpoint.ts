/** Whether nothing about an endpoint has changed. */
import { formatAddress, type SocketAddress } from '../core/address.js';
import type { Endpoint } from './picker.js';

export function isSame(one: Endpoint, other: Endpoint): boolean {
  return (
    one === other ||
    (one.id === other.id &&
      one.weight === other.weight &&
      one.zone === other.zone &&
      one.priority === other.priority &&
      sameAddresses(one.addresses, other.addresses) &&
      sameMetadata(one.metadata, other.metadata))
  );
}

/** Most have none. */
function sameMetadata(one: Endpoint['metadata'], other: Endpoint['metadata']): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

function sameAddresses(one: readonly SocketAddress[], other: readonly SocketAddress[]): boolean {
  return one.length === other.length && one.every((address, index) => sameAddress(address, other[index]));
}

function sameAddress(one: SocketAddress, other: SocketAddress | undefined): boolean {
  if (one.kind === 'ip') return other?.kind === 'ip' && one.host === other.host && one.port === other.port;
  return other?.kind === 'unix' && formatAddress(one) === formatAddress(other);
}
