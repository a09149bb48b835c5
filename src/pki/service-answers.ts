/** What the service answers with, and the way it goes out: a bounded number of bytes at a time, each within a time. */
import type { ServerResponse } from 'node:http';
import type { Clock } from '../core/clock.js';
import type { Refusal, RefusalCode } from './service-requests.js';

export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

const STATUS: Readonly<Record<RefusalCode, number>> = {
  'bad-request': 400,
  unauthorized: 401,
  'token-spent': 403,
  'token-expired': 403,
  'token-unknown': 403,
  revoked: 403,
  'not-found': 404,
  'too-large': 413,
  busy: 503,
};

export function jsonAnswer(value: unknown, status = 200): Answer {
  return { status, contentType: 'application/json', body: Buffer.from(`${JSON.stringify(value)}\n`) };
}

export function textAnswer(body: string, contentType = 'text/plain; charset=utf-8'): Answer {
  return { status: 200, contentType, body: Buffer.from(body) };
}

export function refusalAnswer({ error, code, hint, retryAfterMs }: Refusal): Answer {
  const answer = jsonAnswer({ error, code, hint, retryAfterMs }, STATUS[code]);
  if (retryAfterMs === undefined) return answer;
  // RFC 9110 section 10.2.3: whole seconds.
  return { ...answer, headers: { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) } };
}

/** Of answers that their readers have not taken yet. A trust with 10 000 revocations has half a megabyte. */
const MAX_BYTES = 64 * 1024 * 1024;
/** For one answer to be taken, ms. */
const ANSWER_MS = 10_000;

/** Sends answers; those that find no room wait in line for one that has been taken, or whose reader was given up. */
export class Outbox {
  readonly #clock: Clock;
  #free = MAX_BYTES;
  readonly #line: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when the answer has been taken, or the connection is gone. */
  async send(response: ServerResponse, { status, contentType, body, headers }: Answer): Promise<void> {
    const bytes = Math.min(body.length, MAX_BYTES);
    while (this.#free < bytes) await new Promise<void>((resolve) => this.#line.push(resolve));
    const { socket } = response.req;
    if (socket.destroyed) return this.#wakeNext();
    this.#free -= bytes;
    const timer = this.#clock.after(ANSWER_MS, () => socket.destroy());
    await new Promise<void>((resolve) => {
      const done = (): void => {
        socket.off('close', done);
        resolve();
      };
      response.once('close', done);
      // An answer whose turn has not come does not notice the end of its connection.
      socket.once('close', done);
      response.writeHead(status, {
        'content-type': contentType,
        'content-length': body.length,
        'cache-control': 'no-store',
        ...headers,
      });
      response.end(body);
    });
    timer.cancel();
    this.#free += bytes;
    this.#wakeNext();
  }

  #wakeNext(): void {
    // Each looks for itself whether there is room for it now.
    for (const next of this.#line.splice(0)) next();
  }
}
