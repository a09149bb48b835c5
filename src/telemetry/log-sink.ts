/**
 * Where log lines go: a descriptor, written to off the hot path, that can neither block the proxy nor grow its memory.
 *
 * Not sonic-boom: its `flushSync` never returns when the descriptor reports anything but EAGAIN (a closed pipe, a full
 * disk), and lines lost to a closed pipe are not counted.
 */
import { write as writeFile, writeSync } from 'node:fs';
import { errnoOf } from '../core/errors.js';

/** Characters held while the reader is slow: some thousand access lines. Past it, lines are dropped and counted. */
const MAX_QUEUED = 4 * 1024 ** 2;
/** What one write takes: a pipe holds 64 KiB, so that more would only wait. */
const MAX_CHUNK = 64 * 1024;
/** Lines are collected this long, ms: one system call for all of a burst, and still at once to a person's eye. */
const GATHER_MS = 50;
/** How long after "the pipe is full" (EAGAIN) it is tried again, ms. */
const RETRY_MS = 100;
/** How often `flushSync` tries a full pipe again, `RETRY_MS` apart: a reader that has not read for a second is gone. */
const LAST_TRIES = 10;

/** How a chunk is written; a test gives its own. */
export interface DescriptorWriter {
  write(fd: number, bytes: Uint8Array, done: (error: Error | null, written: number) => void): void;
  writeSync(fd: number, bytes: Uint8Array): number;
}

const descriptors: DescriptorWriter = {
  write: (fd, bytes, done) => writeFile(fd, bytes, done),
  writeSync: (fd, bytes) => writeSync(fd, bytes),
};

/** Whole lines, or what is left of them after a short write. */
interface Chunk {
  readonly bytes: Uint8Array;
  readonly lines: number;
}

export class LogSink {
  readonly #fd: number;
  readonly #writer: DescriptorWriter;
  readonly #queue: string[] = [];
  #queuedLength = 0;
  /** What the last write left; goes out before the queue. A chunk that is being written is in neither. */
  #rest: Chunk | undefined;
  #writing = false;
  #timer: NodeJS.Timeout | undefined;
  #dropped = 0;

  constructor(fd: number, writer: DescriptorWriter = descriptors) {
    this.#fd = fd;
    this.#writer = writer;
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
   * Writes everything queued before it returns, and gives up on a reader that does not read for a second. For the
   * last moments of the process: what a thread is writing just then is left to it, and the exit waits for that.
   */
  flushSync(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let tries = 0;
    while (tries < LAST_TRIES) {
      const chunk = this.#next();
      if (chunk === undefined) return;
      try {
        this.#keepRest(chunk, this.#writer.writeSync(this.#fd, chunk.bytes));
        tries = 0;
      } catch (error) {
        if (!this.#failed(chunk, error)) continue;
        tries += 1;
        pause(RETRY_MS);
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
    const chunk = this.#writing ? undefined : this.#next();
    if (chunk === undefined) return;
    this.#writing = true;
    this.#writer.write(this.#fd, chunk.bytes, (error, written) => {
      this.#writing = false;
      if (error === null) this.#keepRest(chunk, written);
      else if (this.#failed(chunk, error)) return this.#schedule(RETRY_MS);
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
    if (written < chunk.bytes.length) this.#rest = { bytes: chunk.bytes.subarray(written), lines: chunk.lines };
  }

  /** True where the chunk is to be tried again: the reader is slow. Else it is lost; the next may do better (a disk that was full). */
  #failed(chunk: Chunk, error: unknown): boolean {
    if (errnoOf(error) === 'EAGAIN') {
      this.#rest = chunk;
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
