/** Main's side of handing connections over: it makes what the workers share for that, and outlives each of them. */
import { MeshproxyError } from '../../core/errors.js';
import { mainKernel } from './bind.js';
import { errnoError } from './errno.js';
import type { SharedExchange } from './handover.js';
import { Inboxes, sharedInboxes } from './inboxes.js';

export class Exchange {
  readonly shared: SharedExchange;
  readonly #inboxes: Inboxes;
  #closed = false;

  /**
   * Throws where no descriptor is left for it.
   * @param connections by worker, how many it has open (`tally.ts`)
   * @param allowed one word: how many connections the descriptors of this process allow
   */
  constructor(workers: number, connections: Int32Array<SharedArrayBuffer>, allowed: Int32Array<SharedArrayBuffer>) {
    const inboxes = sharedInboxes(workers);
    this.shared = { inboxes, wakers: openWakers(workers), connections, allowed };
    this.#inboxes = new Inboxes(inboxes, workers);
  }

  /** Resets what was handed to a worker that is not there any more, and lets nobody hand it more. */
  abandon(worker: number): void {
    this.#inboxes.open(worker, 0);
    this.#inboxes.take(worker, (_, fd) => mainKernel().abort(fd));
  }

  /** Once no worker is left. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const fd of this.shared.wakers) mainKernel().close(fd);
  }
}

function openWakers(count: number): number[] {
  const fds: number[] = [];
  while (fds.length < count) {
    const fd = mainKernel().openWaker();
    if (fd < 0) {
      for (const opened of fds) mainKernel().close(opened);
      throw new MeshproxyError('exhausted', 'no descriptor is left for waking a worker (eventfd)', {
        cause: errnoError('eventfd', -fd),
      });
    }
    fds.push(fd);
  }
  return fds;
}
