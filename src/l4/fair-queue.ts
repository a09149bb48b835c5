/**
 * A queue in which who waits is served by turns of those on whose behalf they wait: one client with a thousand
 * connections delays another with one by one turn, not by a thousand (fair queueing, Nagle, RFC 970).
 */
import { Queue } from '../core/structures.js';

export interface Queued {
  /** On whose behalf: a client's address, or its identity. */
  readonly key: string;
}

/** Those of one key. */
interface Line<T> {
  readonly queue: Queue<T>;
  /** Of them, how many still wait. */
  size: number;
}

export class FairQueue<T extends Queued> {
  /** In the order of their turns. In none of them nobody waits, but for a moment. */
  readonly #lines = new Map<string, Line<T>>();
  readonly #gone = new Set<T>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Of that key the one that has waited longest. */
  front(key: string): T | undefined {
    return this.#lines.get(key)?.queue.peek();
  }

  /** Of the key with the most that wait the one that has waited longest, where that key would still have as many as `key` without it. */
  spareFor(key: string): T | undefined {
    let longest: Line<T> | undefined;
    for (const line of this.#lines.values()) if (line.size > (longest?.size ?? 0)) longest = line;
    const own = this.#lines.get(key)?.size ?? 0;
    return longest !== undefined && longest.size > own + 1 ? longest.queue.peek() : undefined;
  }

  enqueue(item: T): void {
    let line = this.#lines.get(item.key);
    if (line === undefined) {
      line = { queue: new Queue(), size: 0 };
      this.#lines.set(item.key, line);
    }
    line.queue.enqueue(item);
    line.size += 1;
    this.#size += 1;
  }

  /** The one that has waited longest of the key whose turn it is; that key's next turn comes after all others'. */
  dequeue(): T | undefined {
    const turn = this.#lines.entries().next();
    if (turn.done) return undefined;
    const [key, line] = turn.value;
    const item = line.queue.dequeue();
    if (item === undefined) throw new Error('unreachable: a queue of nobody');
    line.size -= 1;
    this.#size -= 1;
    this.#lines.delete(key);
    this.#dropGone(line.queue);
    if (line.size > 0) this.#lines.set(key, line);
    return item;
  }

  /** It waits no more. It must be in the queue. */
  remove(item: T): void {
    const line = this.#lines.get(item.key);
    if (line === undefined) throw new Error('unreachable: it was not in the queue');
    // Taken out when it comes to the front.
    this.#gone.add(item);
    line.size -= 1;
    this.#size -= 1;
    this.#dropGone(line.queue);
    if (line.size === 0) this.#lines.delete(item.key);
  }

  /** Of each key the one that has waited longest. */
  *fronts(): Generator<T> {
    for (const { queue } of this.#lines.values()) {
      const item = queue.peek();
      if (item !== undefined) yield item;
    }
  }

  #dropGone(queue: Queue<T>): void {
    for (let item = queue.peek(); item !== undefined && this.#gone.delete(item); item = queue.peek()) queue.dequeue();
  }
}
