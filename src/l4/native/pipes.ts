/**
 * Pipes for splicing, kept for the next stream. Only streams have one, and only while they stream: a connection that is
 * idle, or sends short messages, holds none.
 */
import type { Pipe, Relaying } from './kernel.js';

/** Kept open with nobody using them, at most: what comes and goes with a busy moment should not cost two system calls each time. */
const MAX_SPARE = 64;
/**
 * Asked for in vain before the system is asked again that has refused one: a refusal costs five system calls, as much as
 * the copy that is made instead. A user without privileges has pages for some 64 pipes (`pipe-user-pages-soft`).
 */
const VAIN_ASKS = 64;

export class Pipes {
  readonly #kernel: Pick<Relaying, 'openPipe' | 'closePipe'>;
  readonly #limit: number;
  readonly #spare: Pipe[] = [];
  #taken = 0;
  /** So many more are not even asked for. */
  #vain = 0;

  /** @param limit how many may be in use at a time; past it, streams are copied */
  constructor(kernel: Pick<Relaying, 'openPipe' | 'closePipe'>, limit: number) {
    this.#kernel = kernel;
    this.#limit = limit;
  }

  /** In use and spare. */
  get open(): number {
    return this.#taken + this.#spare.length;
  }

  /** An empty pipe, or `undefined` where there are too many or no descriptor is left. */
  take(): Pipe | undefined {
    const pipe = this.#spare.pop() ?? this.#open();
    if (pipe !== undefined) this.#taken += 1;
    return pipe;
  }

  /** @param bytes still in it; such a pipe is closed, for they must never reach another connection */
  giveBack(pipe: Pipe, bytes: number): void {
    this.#taken -= 1;
    this.#vain = 0;
    if (bytes === 0 && this.#spare.length < MAX_SPARE) this.#spare.push(pipe);
    else this.#kernel.closePipe(pipe);
  }

  closeSpare(): void {
    for (const pipe of this.#spare.splice(0)) this.#kernel.closePipe(pipe);
  }

  #open(): Pipe | undefined {
    if (this.#taken >= this.#limit) return undefined;
    if (this.#vain > 0) {
      this.#vain -= 1;
      return undefined;
    }
    const pipe = this.#kernel.openPipe();
    if (pipe === undefined) this.#vain = VAIN_ASKS;
    return pipe;
  }
}

/** Of the descriptors of a process, how many pipes may take: the others are for connections, and a stream without a pipe is only copied. */
const SHARE = 1 / 64;
/** A pipe holds up to 1 MiB of the kernel's memory when its reader is slow; past this many, streams are copied. */
const MOST = 1024;
const DESCRIPTORS_PER_PIPE = 2;

/** How many pipes one of so many threads may have open, in a process with so many descriptors; at least one. */
export function pipesAllowed(descriptors: number | undefined, threads: number): number {
  const inAll = Math.min(MOST, Math.floor(((descriptors ?? MOST) * SHARE) / DESCRIPTORS_PER_PIPE));
  return Math.max(1, Math.floor(inAll / threads));
}
