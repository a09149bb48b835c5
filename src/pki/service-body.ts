/** Reads bodies of strangers: each bounded, and all that are being read together as well. */
import type { IncomingMessage } from 'node:http';
import { type Refusal, refusal } from './service-requests.js';

/** A request with an RSA key of 4096 bits and a token has some 6 KB. */
const MAX_BODY_BYTES = 64 * 1024;
/** Of one that is too large, so much is read and dropped, so that its sender comes to read the answer. */
const MAX_DROPPED_BYTES = 1024 * 1024;
/** Bodies that are arriving, of all connections. */
const MAX_ALL_BYTES = 64 * 1024 * 1024;

const TOO_LARGE = refusal('too-large', `the body is larger than ${MAX_BODY_BYTES} bytes`);
const BUSY = refusal('busy', 'too many requests are arriving', { retryAfterMs: 5000 });

export class BodyReader {
  #held = 0;

  /** Rejects where the sender is gone before its end. */
  async read(request: IncomingMessage): Promise<Buffer | Refusal> {
    const chunks: Buffer[] = [];
    let [kept, dropped] = [0, 0];
    try {
      // Not destroyed where it is too much: its sender is to get an answer.
      for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        if (dropped === 0 && kept + chunk.length <= MAX_BODY_BYTES) {
          if (this.#held + chunk.length > MAX_ALL_BYTES) return BUSY;
          chunks.push(chunk);
          kept += chunk.length;
          this.#held += chunk.length;
          continue;
        }
        dropped += chunk.length;
        if (dropped > MAX_DROPPED_BYTES) return TOO_LARGE;
      }
      return dropped > 0 ? TOO_LARGE : Buffer.concat(chunks);
    } finally {
      this.#held -= kept;
    }
  }
}
