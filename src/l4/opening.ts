/**
 * The first bytes between a client and an endpoint, where the service allows that a request arrives twice (`replay`):
 * they are sent and kept before anything is relayed, and until the endpoint has begun to answer it can be exchanged for
 * another. (Where it has not been sent a byte, the relay itself spares the client.)
 */
import type { Canceller } from '../core/cancel.js';
import { MeshproxyError } from '../core/errors.js';
import type { Connection } from './transport.js';

/** To be relayed from here on; or the endpoint broke, and all that the client has sent is still to be had by `peek`. */
export type Opened = { readonly kind: 'relay' } | { readonly kind: 'broke'; readonly error: MeshproxyError };

export interface Opening {
  readonly client: Connection;
  readonly upstream: Connection;
  /** So many bytes of the client are sent and kept at the same time; 0 for none. */
  readonly replayBytes: number;
  /** For one wait: aborted as well when the connection is cut. */
  step(): Canceller;
  /** The first byte of the client has been sent. */
  onFirstByte(): void;
}

const RELAY: Opened = { kind: 'relay' };

/** Returns as soon as nothing can be exchanged any more. What then is wrong with the client, the relay finds. */
export async function open(opening: Opening): Promise<Opened> {
  const { client, upstream, replayBytes } = opening;
  let atLeast = 1;
  for (let sent = 0; ; ) {
    const next = await happens(opening, atLeast);
    if (next.kind === 'broke') return next;
    // Who waits for an answer has got none. Who has ended itself may have wanted none (HAProxy's retry-on empty-response has no such doubt).
    if (next.kind === 'ended' && sent > 0 && atLeast !== NO_MORE) return { kind: 'broke', error: unanswered() };
    if (next.kind !== 'asked' || next.bytes.length > replayBytes) {
      // What has been sent is not relayed once more.
      client.consume(sent);
      return RELAY;
    }
    const { bytes } = next;
    if (sent === 0 && bytes.length > 0) opening.onFirstByte();
    if (bytes.length > sent) upstream.write(bytes.subarray(sent));
    sent = bytes.length;
    if (bytes.length < atLeast) {
      // It has said all that it will say.
      upstream.end();
      atLeast = NO_MORE;
    } else atLeast = sent + 1;
  }
}

/** Of a client that has ended only the endpoint is waited for. */
const NO_MORE = 0;

type Happened = { readonly kind: 'asked'; readonly bytes: Uint8Array } | { readonly kind: 'ended' | 'settled' } | Broke;
type Broke = Extract<Opened, { readonly kind: 'broke' }>;

const SETTLED: Happened = { kind: 'settled' };
const ENDED: Happened = { kind: 'ended' };

/** Whichever comes first: so many bytes of the client, or its end; a byte of the endpoint, or its end; or either breaks. */
async function happens({ client, upstream, step }: Opening, atLeast: number): Promise<Happened> {
  const signal = step();
  const answered = upstream.peek(1, signal).then(({ length }): Happened => (length === 0 ? ENDED : SETTLED), broken);
  if (atLeast === NO_MORE) return answered;
  const asked = client.peek(atLeast, signal).then(
    (bytes): Happened => ({ kind: 'asked', bytes }),
    (): Happened => SETTLED,
  );
  try {
    return await Promise.race([answered, asked]);
  } finally {
    // Neither reads behind the back of the relay.
    signal.abort();
    await Promise.all([asked, answered]);
  }
}

function broken(error: unknown): Happened {
  if (!(error instanceof MeshproxyError)) throw error;
  return error.code === 'aborted' ? SETTLED : { kind: 'broke', error };
}

function unanswered(): MeshproxyError {
  return new MeshproxyError('disconnected', 'it ended the connection, and had sent nothing');
}
