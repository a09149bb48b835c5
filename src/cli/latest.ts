/**
 * Runs `task` one at a time. Asked for while it runs, it runs once more afterwards, however often it was asked: the
 * last reason is the one that it is given. `task` must not reject.
 */
export function latest<T>(task: (reason: T) => Promise<void>): (reason: T) => void {
  let waiting: { readonly reason: T } | undefined;
  let running = false;
  const run = async (): Promise<void> => {
    running = true;
    for (let next = waiting; next !== undefined; next = waiting) {
      waiting = undefined;
      await task(next.reason);
    }
    running = false;
  };
  return (reason) => {
    waiting = { reason };
    if (!running) void run();
  };
}
