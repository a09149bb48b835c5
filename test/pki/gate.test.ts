import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Gate, sourceOf } from '../../src/pki/gate.js';

const MANY = 1_000_000;

/** How many of `count` requests are admitted, each from a source of its own unless told, and done at once. */
function admitted(gate: Gate, count: number, now: number, source?: string): number {
  let admissions = 0;
  for (let index = 0; index < count; index += 1) {
    const from = source ?? `10.0.${index >> 8}.${index & 255}`;
    const admission = gate.enter(from, now, 0);
    if (admission.kind === 'busy') continue;
    admissions += 1;
    admission.leave();
  }
  return admissions;
}

describe('the rate', () => {
  it('lets a burst of one second through, and from then on what it says', () => {
    const gate = new Gate({ ratePerS: 200, concurrency: MANY });
    expect(admitted(gate, 1000, 0)).toBe(200);
    expect(admitted(gate, 1000, 100)).toBe(20);
    expect(admitted(gate, 1000, 100_000)).toBe(200);
  });

  it('is never exceeded, however requests come', () => {
    const steps = fc.array(fc.record({ wait: fc.nat(400), count: fc.nat(60) }), { maxLength: 60 });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 300 }), (list, ratePerS) => {
        const gate = new Gate({ ratePerS, concurrency: MANY });
        let [now, sum] = [0, 0];
        for (const { wait, count } of list) {
          now += wait;
          sum += admitted(gate, count, now);
          // A burst, what has come in since, and the one that is under way.
          expect(sum).toBeLessThanOrEqual(ratePerS + (now / 1000) * ratePerS + 1);
        }
      }),
    );
  });

  it('that is less than one a second lets one through, and then waits', () => {
    const gate = new Gate({ ratePerS: 0.1, concurrency: MANY });
    expect(admitted(gate, 10, 0)).toBe(1);
    expect(admitted(gate, 10, 9_000)).toBe(0);
    expect(admitted(gate, 10, 20_000)).toBe(1);
  });

  it('can be none', () => {
    expect(admitted(new Gate({ ratePerS: Number.POSITIVE_INFINITY, concurrency: 1 }), 5000, 0, 'one')).toBe(5000);
  });

  it('gives each of a crowd its own time to come back, and admits whoever keeps to it', () => {
    const gate = new Gate({ ratePerS: 100, concurrency: MANY });
    const due: { at: number; source: string }[] = [];
    let done = 0;
    for (let index = 0; index < 1000; index += 1) due.push({ at: 0, source: `10.1.${index >> 8}.${index & 255}` });
    let tries = 0;
    while (due.length > 0) {
      due.sort((one, other) => other.at - one.at);
      const { at, source } = due.pop() ?? { at: 0, source: '' };
      tries += 1;
      const admission = gate.enter(source, at, 0);
      if (admission.kind === 'busy') {
        due.push({ at: at + admission.retryAfterMs, source });
        continue;
      }
      admission.leave();
      done = at;
    }
    expect(done).toBeLessThan(11_000);
    expect(tries).toBeLessThan(2100);
  });

  it('sends nobody away for longer than 45 s, however many come', () => {
    const gate = new Gate({ ratePerS: 1, concurrency: MANY });
    admitted(gate, 5000, 0);
    const answer = gate.enter('192.0.2.1', 0, 1);
    expect(answer).toMatchObject({ kind: 'busy', retryAfterMs: 45_000 });
    // And when it is over, it is over.
    expect(gate.enter('192.0.2.1', 2000, 1).kind).toBe('admitted');
  });
});

describe('the concurrency', () => {
  it('is a limit on what is under way, and what leaves makes room', () => {
    const gate = new Gate({ ratePerS: MANY, concurrency: 2 });
    const first = gate.enter('a', 0, 0);
    expect(gate.enter('b', 0, 0).kind).toBe('admitted');
    expect(gate.enter('c', 0, 0)).toMatchObject({ kind: 'busy', retryAfterMs: 250 });
    expect(gate.enter('c', 0, 1)).toMatchObject({ kind: 'busy', retryAfterMs: 1000 });
    expect(gate.busy).toBe(2);
    if (first.kind === 'admitted') first.leave();
    expect(gate.busy).toBe(1);
    expect(gate.enter('c', 0, 0).kind).toBe('admitted');
  });

  it('of 1 is one for everybody', () => {
    const gate = new Gate({ ratePerS: MANY, concurrency: 1 });
    expect(gate.enter('a', 0, 0).kind).toBe('admitted');
    expect(gate.enter('a', 0, 0).kind).toBe('busy');
  });
});

describe('one source', () => {
  it('has half of the rate at most, and what it asks more costs nobody else', () => {
    const gate = new Gate({ ratePerS: 200, concurrency: MANY });
    expect(admitted(gate, 10_000, 0, 'flood')).toBe(100);
    expect(admitted(gate, 1000, 0)).toBe(100);
  });

  it('has half of the places at most', () => {
    const gate = new Gate({ ratePerS: MANY, concurrency: 4 });
    const answers = Array.from({ length: 5 }, () => gate.enter('flood', 0, 0).kind);
    expect(answers).toEqual(['admitted', 'admitted', 'busy', 'busy', 'busy']);
    expect(gate.enter('other', 0, 0).kind).toBe('admitted');
  });

  it('is forgotten when there is nothing to remember of it, and new ones pass where no more can be remembered', () => {
    const gate = new Gate({ ratePerS: 100_000, concurrency: MANY });
    for (let index = 0; index < 30_000; index += 1) {
      const admission = gate.enter(`s${index}`, index, 0);
      expect(admission.kind).toBe('admitted');
      if (index % 2 === 0 && admission.kind === 'admitted') admission.leave();
    }
    expect(gate.busy).toBe(15_000);
  });

  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::'],
    ['2001:db8:1:2::9', '2001:db8:1:2::'],
    ['fe80::1%lo', 'fe80::'],
    ['', ''],
  ])('is %j as %j', (address, source) => {
    expect(sourceOf(address)).toBe(source);
  });
});
