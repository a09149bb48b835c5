/**
 * Happy Eyeballs over the addresses of one endpoint (RFC 8305 section 5): the first is dialled at once, the next when
 * the one before it has failed or has had its head start; the first to connect wins and the others are given up.
 */

import { isIPv6 } from 'node:net';
import { formatAddress, type SocketAddress } from '../core/address.js';
import { Canceller, type CancelSignal } from '../core/cancel.js';
import type { Clock, Timer } from '../core/clock.js';
import { MeshproxyError } from '../core/errors.js';

export interface Won<T> {
  readonly value: T;
  readonly address: SocketAddress;
}

/**
 * Connects to one address. Rejects with a `MeshproxyError` that names it, as a transport's `dial` does. Once it has
 * resolved it must not heed its signal any more: every dial of a race has the same one, and the end of the race aborts it.
 */
export type Dial<T> = (address: SocketAddress, signal: CancelSignal) => Promise<T>;

/**
 * Resolves with the first connection made. Rejects `aborted` by the signal; else, when all have failed, `exhausted`
 * where this machine was short of something and `connect` otherwise, naming each address and its reason. What is not
 * a `MeshproxyError` is a bug, and rejects as it is.
 * @param addresses dialled in this order, but one family after the other
 * @param delayMs the head start of one address before the next
 * @param discard takes a connection that was made too late to be of use
 */
export function race<T>(
  addresses: readonly SocketAddress[],
  delayMs: number,
  clock: Clock,
  signal: CancelSignal,
  dial: Dial<T>,
  discard: (late: T) => void,
): Promise<Won<T>> {
  const [only, second] = addresses;
  if (only === undefined) return Promise.reject(new MeshproxyError('connect', 'the endpoint has no address'));
  // Most endpoints have one address: no timer and no controller for those.
  if (second === undefined) return dial(only, signal).then((value) => ({ value, address: only }));
  const inOrder = interleaveFamilies(addresses);
  return new Promise((resolve, reject) => {
    const dials = new Canceller();
    const failures: MeshproxyError[] = [];
    let started = 0;
    let over = false;
    let headStart: Timer | undefined;

    const finish = (): void => {
      over = true;
      headStart?.cancel();
      signal.removeEventListener('abort', onAbort);
      dials.abort();
    };
    const fail = (error: unknown): void => {
      finish();
      reject(error);
    };
    const onAbort = (): void => fail(abortedError(inOrder, signal));
    const onFailure = (error: unknown, turn: number): void => {
      if (over) return;
      if (!(error instanceof MeshproxyError)) {
        fail(error);
        return;
      }
      failures.push(error);
      if (failures.length === inOrder.length) fail(allFailedError(failures));
      // Where an earlier one fails, the latest still has its head start.
      else if (turn === started) startNext();
    };
    const onConnect = (value: T, address: SocketAddress): void => {
      if (over) {
        discard(value);
        return;
      }
      finish();
      resolve({ value, address });
    };
    const startNext = (): void => {
      headStart?.cancel();
      const address = inOrder[started];
      if (address === undefined) return;
      started += 1;
      const turn = started;
      if (started < inOrder.length) headStart = clock.after(delayMs, startNext);
      dial(address, dials.signal).then(
        (value) => onConnect(value, address),
        (error: unknown) => onFailure(error, turn),
      );
    };

    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    startNext();
  });
}

/**
 * The addresses with one family after the other, beginning with the family of the first, each family in its own order
 * (RFC 8305 section 4): a family that does not work costs one head start, not one for each of its addresses.
 */
export function interleaveFamilies(addresses: readonly SocketAddress[]): readonly SocketAddress[] {
  const leads = familyOf(addresses[0]);
  const leading = addresses.filter((address) => familyOf(address) === leads);
  const others = addresses.filter((address) => familyOf(address) !== leads);
  const pairs = leading.flatMap((address, index) => [address, ...others.slice(index, index + 1)]);
  return [...pairs, ...others.slice(leading.length)];
}

function familyOf(address: SocketAddress | undefined): 'ipv4' | 'ipv6' | 'unix' {
  if (address?.kind !== 'ip') return 'unix';
  return isIPv6(address.host) ? 'ipv6' : 'ipv4';
}

function abortedError(addresses: readonly SocketAddress[], signal: CancelSignal): MeshproxyError {
  const text = `${addresses.map(formatAddress).join(' and ')}: given up`;
  return new MeshproxyError('aborted', text, { cause: signal.reason });
}

function allFailedError(failures: readonly MeshproxyError[]): MeshproxyError {
  const exhausted = failures.find(({ code }) => code === 'exhausted');
  const text = failures.map(({ message }) => message).join(', ');
  return new MeshproxyError(exhausted ? 'exhausted' : 'connect', text, { cause: exhausted ?? failures[0] });
}
