/**
 * Where log lines go: a descriptor, written to off the hot path, that can neither block the proxy nor grow its memory.
 *
 * Not sonic-boom: its `flushSync` never returns when the descriptor reports anything but EAGAIN (a closed pipe, a full
 * disk), and lines lost to a closed pipe are not counted.
 */
import { write, writeSync } from 'node:fs';
import { errnoOf } from '../core/errors.js';

/** Characters held while the reader is slow: some thousand access lines. Past it, lines are dropped and counted. */
const MAX_QUEUED = 4 * 1024 ** 2;
/** What one write takes: a pipe holds 64 KiB, so that more would only wait. */
const MAX_CHUNK = 64 * 1024;
/** Lines are collected this long, ms: one system call for all of a burst, and still at once to a person's eye. */
const GATHER_MS = 50;
/** How long after "the pipe is full" (EAGAIN) it is tried again, ms: a busy reader takes its 64 KiB in less than the first, twice as long each time for one that stalls. */
const RETRY_MS = { first: 2, longest: 200 };
/** How long `flushSync` waits for room in a full pipe, ms: an exit must not hang on who reads the log. */
const LAST_WAIT_MS = 1000;

/** Whole lines, or what is left of them after a short write. */
interface Chunk {
  readonly bytes: Uint8Array;
  readonly lines: number;
}

export class LogSink {
  readonly #fd: number;
  readonly #queue: string[] = [];
  #queuedLength = 0;
  /** What the last write left; goes out before the queue. A chunk that is being written is in neither. */
  #rest: Chunk | undefined;
  #writing = false;
  #timer: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MS.first;
  #dropped = 0;
  #closed = false;
  #onWritten: (() => void) | undefined;

  /** A pipe or socket there should not block, or the process's exit can hang on a reader that stalls. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Lines that were lost because the reader was too slow, or gone. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Queues one line, which ends in `\n`. Never blocks, never throws. */
  write(line: string): void {
    if (this.#queuedLength + line.length > MAX_QUEUED) {
      this.#dropped += 1;
      return;
    }
    this.#queue.push(line);
    this.#queuedLength += line.length;
    if (this.#timer === undefined && !this.#writing) this.#schedule(GATHER_MS);
  }

  /**
   * Resolves when everything is written, as far as its reader lets it within a second or two. Waits for what a thread
   * is writing just then, which an exit that waits for no thread would lose. What comes later waits for `flushSync`.
   */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#writing) {
      await new Promise<void>((resolve) => {
        this.#onWritten = resolve;
        setTimeout(resolve, LAST_WAIT_MS).unref();
      });
    }
    this.flushSync();
  }

  /**
   * Writes everything queued before it returns, as far as its reader lets it within a second. For the last moments of
   * the process. What a thread is writing just then is left to it.
   */
  flushSync(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (let waited = 0; waited < LAST_WAIT_MS; ) {
      const chunk = this.#next();
      if (chunk === undefined) return;
      try {
        this.#keepRest(chunk, writeSync(this.#fd, chunk.bytes));
      } catch (error) {
        if (!this.#failed(chunk, error)) continue;
        waited += this.#retryMs;
        pause(this.#retryMs);
      }
    }
  }

  #schedule(delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#flush();
    }, delayMs);
    this.#timer.unref();
  }

  #flush(): void {
    const chunk = this.#writing || this.#closed ? undefined : this.#next();
    if (chunk === undefined) return;
    this.#writing = true;
    write(this.#fd, chunk.bytes, (error, written) => {
      this.#writing = false;
      if (error === null) this.#keepRest(chunk, written);
      else if (this.#failed(chunk, error) && !this.#closed) return this.#schedule(this.#retryMs);
      this.#onWritten?.();
      this.#flush();
    });
  }

  #next(): Chunk | undefined {
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest !== undefined) return rest;
    let lines = 0;
    for (let length = 0; lines < this.#queue.length && length < MAX_CHUNK; lines += 1) {
      length += this.#queue[lines]?.length ?? 0;
    }
    if (lines === 0) return undefined;
    const text = this.#queue.splice(0, lines).join('');
    this.#queuedLength -= text.length;
    return { bytes: Buffer.from(text), lines };
  }

  #keepRest(chunk: Chunk, written: number): void {
    this.#retryMs = RETRY_MS.first;
    if (written < chunk.bytes.length) this.#rest = { bytes: chunk.bytes.subarray(written), lines: chunk.lines };
  }

  /** True where the chunk is to be tried again: the reader is slow. Else it is lost; the next may do better (a disk that was full). */
  #failed(chunk: Chunk, error: unknown): boolean {
    if (errnoOf(error) === 'EAGAIN') {
      this.#rest = chunk;
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.longest);
      return true;
    }
    this.#dropped += chunk.lines;
    return false;
  }
}

/** Blocks this thread: there is no event loop to return to any more. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
