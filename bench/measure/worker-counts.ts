/** How meshproxy's workers share the connections, out of the metrics that it serves. */

/** Connections accepted by worker, of a page in the text format of Prometheus; throws where it says nothing of workers. */
export function parseWorkerCounts(page: string): ReadonlyMap<string, number> {
  const line = /^meshproxy_worker_accepted_total\{(?:[^}]*,)?worker="([^"]*)"[^}]*\}\s+(\S+)/gm;
  const counts = new Map<string, number>();
  for (const [, worker = '', count] of page.matchAll(line)) {
    counts.set(worker, (counts.get(worker) ?? 0) + Number(count));
  }
  if (counts.size === 0) throw new Error('/metrics has no meshproxy_worker_accepted_total');
  return counts;
}

/**
 * The share, from 0 to 1, of the worker that got the most of the connections opened between two readings. Throws
 * where they do not add up to `opened`: then it is not known who got them.
 */
export function largestShare(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
  opened: number,
): number {
  const got = [...after].map(([worker, count]) => count - (before.get(worker) ?? 0));
  const sum = got.reduce((total, count) => total + count, 0);
  if (sum !== opened) throw new Error(`the workers accepted ${sum} connections of ${opened}, by their metrics`);
  return Math.max(...got) / opened;
}
