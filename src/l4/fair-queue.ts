/**
 * A queue in which who waits is served by turns of those on whose behalf they wait: one client with a thousand
 * connections delays another with one by one turn, not by a thousand (fair queueing, Nagle, RFC 970).
 */
import { Queue } from '../core/structures.js';

export interface Queued {
  /** On whose behalf: a client's address, or its identity. */
  readonly key: string;
}

export class FairQueue<T extends Queued> {
  /** In the order of their turns. None of them is empty of those that still wait, but for a moment. */
  readonly #queues = new Map<string, Queue<T>>();
  readonly #gone = new Set<T>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Of that key the one that has waited longest. */
  front(key: string): T | undefined {
    return this.#queues.get(key)?.peek();
  }

  enqueue(item: T): void {
    let queue = this.#queues.get(item.key);
    if (queue === undefined) {
      queue = new Queue();
      this.#queues.set(item.key, queue);
    }
    queue.enqueue(item);
    this.#size += 1;
  }

  /** The one that has waited longest of the key whose turn it is; that key's next turn comes after all others'. */
  dequeue(): T | undefined {
    const turn = this.#queues.entries().next();
    if (turn.done) return undefined;
    const [key, queue] = turn.value;
    const item = queue.dequeue();
    if (item === undefined) throw new Error('unreachable: a queue of nobody');
    this.#size -= 1;
    this.#queues.delete(key);
    this.#dropGone(queue);
    if (queue.size > 0) this.#queues.set(key, queue);
    return item;
  }

  /** It waits no more. It must be in the queue. */
  remove(item: T): void {
    const queue = this.#queues.get(item.key);
    if (queue === undefined) throw new Error('unreachable: it was not in the queue');
    // Taken out when it comes to the front.
    this.#gone.add(item);
    this.#size -= 1;
    this.#dropGone(queue);
    if (queue.size === 0) this.#queues.delete(item.key);
  }

  /** Of each key the one that has waited longest. */
  *fronts(): Generator<T> {
    for (const queue of this.#queues.values()) {
      const item = queue.peek();
      if (item !== undefined) yield item;
    }
  }

  #dropGone(queue: Queue<T>): void {
    for (let item = queue.peek(); item !== undefined && this.#gone.delete(item); item = queue.peek()) queue.dequeue();
  }
}
