/**
 * Happy Eyeballs over the addresses of one endpoint (RFC 8305 section 5): the first is dialled at once, the next when
 * that failed or has had its head start, the first to connect wins, the others are given up.
 */
import { formatAddress, type SocketAddress } from '../core/address.js';
import type { Clock, Timer } from '../core/clock.js';
import { describeError, MeshproxyError } from '../core/errors.js';

export interface Won<T> {
  readonly value: T;
  readonly address: SocketAddress;
}

/**
 * Resolves with the first connection made. Rejects `aborted` by the signal; else, when all have failed, `exhausted`
 * where this machine was short of something and `connect` otherwise, naming each address and its reason.
 * @param delayMs the head start of one address before the next
 * @param discard takes a connection that was made too late to be of use
 */
export function race<T>(
  addresses: readonly SocketAddress[],
  delayMs: number,
  clock: Clock,
  signal: AbortSignal,
  dial: (address: SocketAddress, signal: AbortSignal) => Promise<T>,
  discard: (late: T) => void,
): Promise<Won<T>> {
  const [only, second] = addresses;
  if (only === undefined) return Promise.reject(new MeshproxyError('connect', 'the endpoint has no address'));
  // Most endpoints have one address: no timer and no controller for those.
  if (second === undefined) return dial(only, signal).then((value) => ({ value, address: only }));
  return new Race(addresses, delayMs, clock, signal, dial, discard).run();
}

class Race<T> {
  readonly #addresses: readonly SocketAddress[];
  readonly #delayMs: number;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #dial: (address: SocketAddress, signal: AbortSignal) => Promise<T>;
  readonly #discard: (late: T) => void;
  readonly #losers = new AbortController();
  readonly #failures: { readonly address: SocketAddress; readonly error: unknown }[] = [];
  #started = 0;
  #over = false;
  #headStart: Timer | undefined;

  constructor(
    addresses: readonly SocketAddress[],
    delayMs: number,
    clock: Clock,
    signal: AbortSignal,
    dial: (address: SocketAddress, signal: AbortSignal) => Promise<T>,
    discard: (late: T) => void,
  ) {
    this.#addresses = addresses;
    this.#delayMs = delayMs;
    this.#clock = clock;
    this.#signal = signal;
    this.#dial = dial;
    this.#discard = discard;
  }

  run(): Promise<Won<T>> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void): void => {
        if (this.#over) return;
        this.#over = true;
        this.#headStart?.cancel();
        this.#signal.removeEventListener('abort', onAbort);
        settle();
        this.#losers.abort();
      };
      const onAbort = (): void =>
        finish(() => reject(new MeshproxyError('aborted', 'given up', { cause: this.#signal.reason })));
      if (this.#signal.aborted) return onAbort();
      this.#signal.addEventListener('abort', onAbort, { once: true });
      this.#startNext(
        (won) => finish(() => resolve(won)),
        () => finish(() => reject(this.#failure())),
      );
    });
  }

  #startNext(won: (won: Won<T>) => void, lost: () => void): void {
    const address = this.#addresses[this.#started];
    if (this.#over || address === undefined) return;
    this.#started += 1;
    this.#headStart?.cancel();
    if (this.#started < this.#addresses.length) {
      this.#headStart = this.#clock.after(this.#delayMs, () => this.#startNext(won, lost));
    }
    this.#dial(address, this.#losers.signal).then(
      (value) => {
        if (this.#over) this.#discard(value);
        else won({ value, address });
      },
      (error: unknown) => {
        this.#failures.push({ address, error });
        if (this.#failures.length === this.#addresses.length) lost();
        else this.#startNext(won, lost);
      },
    );
  }

  #failure(): MeshproxyError {
    const exhausted = this.#failures.some(({ error }) => error instanceof MeshproxyError && error.code === 'exhausted');
    // A transport's own errors name their address already.
    const texts = this.#failures.map(({ address, error }) =>
      error instanceof MeshproxyError ? error.message : `${formatAddress(address)}: ${describeError(error)}`,
    );
    return new MeshproxyError(exhausted ? 'exhausted' : 'connect', texts.join(', '), {
      cause: this.#failures[0]?.error,
    });
  }
}
