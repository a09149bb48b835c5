import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Schedule } from '../../bench/load/node/schedule.js';
import { histogramOf, type LatencyCounts } from '../../bench/measure/latency.js';

const SERVICE_MS = 1;

/** A server, in virtual time, that answers at once but for one stall. */
function answeredAt(sentMs: number, stall: { from: number; until: number }): number {
  const stalled = sentMs >= stall.from && sentMs < stall.until;
  return (stalled ? stall.until : sentMs) + SERVICE_MS;
}

function percentile(latencies: readonly number[], percent: number): number {
  const counts: LatencyCounts = latencies.map((ms) => [ms * 1e6, 1]);
  return histogramOf(counts).getValueAtPercentile(percent) / 1e6;
}

describe('latency at a constant rate', () => {
  // 100 messages a second for 10 s; the server stands still for one of them.
  const stall = { from: 5_000, until: 6_000 };

  it('shows a stall in every message that was due during it', () => {
    const schedule = new Schedule(0, 100, 10);
    const latencies = Array.from({ length: schedule.total }, (_, message) =>
      schedule.latency(message, answeredAt(schedule.dueAt(message), stall)),
    );
    // A tenth of all messages fell into the stall, and waited for half of it on average.
    expect(latencies.filter((ms) => ms > SERVICE_MS + 0.5)).toHaveLength(100);
    expect(percentile(latencies, 95)).toBeGreaterThan(400);
    expect(percentile(latencies, 99)).toBeGreaterThan(850);
  });

  it('is not what a client sees that waits for each answer before it asks again', () => {
    const latencies: number[] = [];
    for (let now = 0; now < 10_000; ) {
      const done = answeredAt(now, stall);
      latencies.push(done - now);
      now = Math.max(done, now + 10);
    }
    // It notices the stall once, and its 99th percentile not at all: this is the omission that is corrected.
    expect(latencies.filter((ms) => ms > SERVICE_MS + 0.5)).toHaveLength(1);
    expect(percentile(latencies, 99)).toBeLessThan(2);
  });

  it('counts from when a message was due, however late it was sent', () => {
    const schedule = new Schedule(1_000, 10, 1);
    expect(schedule.dueAt(3)).toBeCloseTo(1_300);
    expect(schedule.latency(3, 1_750)).toBeCloseTo(450);
  });

  it('has sent by any time just the messages that were due by then', () => {
    const rates = fc.double({ min: 1, max: 100_000, noNaN: true });
    const times = fc.double({ min: -1_000, max: 20_000, noNaN: true });
    fc.assert(
      fc.property(rates, times, (rate, now) => {
        const schedule = new Schedule(0, rate, 10);
        const due = schedule.dueBy(now);
        // A millionth of a millisecond for the rounding of the division.
        if (due > 0) expect(schedule.dueAt(due - 1)).toBeLessThanOrEqual(now + 1e-6);
        if (due < schedule.total) expect(schedule.dueAt(due)).toBeGreaterThan(now - 1e-6);
      }),
    );
  });

  it('ends with as many messages as rate and duration make', () => {
    const schedule = new Schedule(0, 250, 2);
    expect(schedule.total).toBe(500);
    expect(schedule.dueBy(1e9)).toBe(500);
    expect(schedule.dueBy(-1)).toBe(0);
  });
});
