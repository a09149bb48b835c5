import { describe, expect, it } from 'vitest';
import { exponential, seeded } from '../../bench/simulator/random.js';
import { DEFAULTS } from '../../src/config/defaults.js';
import { Canceller } from '../../src/core/cancel.js';
import { PendingQueue } from '../../src/l4/pending-queue.js';
import { VirtualClock } from '../fakes/clock.js';

/** A service that can do 400 a second. */
const PLACES = 8;
const WORK_MS = 20;
const CAPACITY = (PLACES * 1000) / WORK_MS;
const TARGET_MS = Number.parseInt(DEFAULTS.queueTarget, 10);
const BOUNDS = { timeoutMs: 5_000, targetMs: TARGET_MS };

interface Served {
  readonly at: number;
  readonly tookMs: number;
}

/** Clients come at random at `load` times what the service can do; who was served when they came, and how long that took. */
async function serve(load: number, seconds: number, bounds = BOUNDS): Promise<Served[]> {
  const clock = new VirtualClock();
  const from = clock.now();
  const random = seeded(load * 100);
  const served: Served[] = [];
  let free = PLACES;
  const queue = new PendingQueue(clock, () => {
    if (free === 0) return false;
    free -= 1;
    return true;
  });
  const come = async (): Promise<void> => {
    const at = clock.now();
    // In eighths of a ms, which add up exactly.
    const gapMs = Math.ceil(8 * exponential(1000 / (load * CAPACITY), random)) / 8;
    clock.after(gapMs, () => void come());
    const isIn = queue.size === 0 && free > 0;
    if (isIn) {
      free -= 1;
      queue.passed(bounds);
    } else if ((await queue.wait(`${Math.floor(random() * 50)}`, bounds, new Canceller())) !== 'in') {
      return;
    }
    clock.after(WORK_MS, () => {
      served.push({ at: at - from, tookMs: clock.now() - at });
      free += 1;
      queue.admit();
    });
  };
  void come();
  await clock.advanceAsync(seconds * 1000);
  return served;
}

function p99(served: readonly Served[]): number {
  const sorted = served.map(({ tookMs }) => tookMs).sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN;
}

describe('a service that gets three times what it can do', () => {
  const SECONDS = 10;

  it('does as much as ever, and whom it serves it serves soon, all the time', async () => {
    const [unloaded, full, overloaded] = [await serve(0.3, SECONDS), await serve(1, SECONDS), await serve(3, SECONDS)];
    expect(overloaded.length).toBeGreaterThan(0.9 * full.length);
    expect(overloaded.length).toBeGreaterThan(0.9 * SECONDS * CAPACITY);
    // Until it is known that the queue stands.
    const settled = overloaded.filter(({ at }) => at > 1_500);
    expect(p99(settled)).toBeLessThan(2 * p99(unloaded) + TARGET_MS);
    expect(Math.max(...overloaded.map(({ tookMs }) => tookMs))).toBeLessThan(1_000);
  });

  it('without the target lets all of them wait until the queue timeout', async () => {
    expect(p99(await serve(3, SECONDS, { ...BOUNDS, targetMs: 0 }))).toBeGreaterThan(4_000);
  });
});
