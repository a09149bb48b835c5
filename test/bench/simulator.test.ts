import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { balancingOf } from '../../bench/simulator/program.js';
import { plotOf, recordOf, report } from '../../bench/simulator/report.js';
import { type Scenario, scenarios } from '../../bench/simulator/scenarios.js';
import { Server, UP } from '../../bench/simulator/server.js';
import { BALANCES, type Balance, type Outcome, simulate } from '../../bench/simulator/simulation.js';
import { Timeline } from '../../bench/simulator/timeline.js';
import { parseConfig } from '../../src/config/load.js';
import { Service } from '../../src/l4/service.js';
import { Unanswered } from '../../src/l4/unanswered.js';
import { PlacedServices } from '../../src/workers/placed-services.js';

/** The benchmark knows the program as built, and says itself what it uses of it: that this is so, the compiler checks here. */
const newBalancing = balancingOf({ parseConfig, PlacedServices, Service, Unanswered });

function named(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found === undefined) throw new Error(`there is no ${name}`);
  return found;
}

const known = new Map<string, Outcome>();

function outcomeOf(name: string, balance: Balance): Outcome {
  const key = `${name} ${balance}`;
  const outcome = known.get(key) ?? simulate(named(name), balance, 1, newBalancing);
  known.set(key, outcome);
  return outcome;
}

function failuresOf(name: string, balance: Balance): number {
  const { refused, reset, gaveUp } = outcomeOf(name, balance).failures;
  return refused + reset + gaveUp;
}

function p99(name: string, balance: Balance): number {
  return outcomeOf(name, balance).latencies.getValueAtPercentile(99);
}

describe('a simulation', () => {
  const short: Scenario = { ...named('slow'), durationMs: 22_000 };
  const written = (seed: number): string => {
    const cells = BALANCES.map((balance) => ({
      scenario: short,
      balance,
      outcome: simulate(short, balance, seed, newBalancing),
    }));
    return [report(cells, seed), recordOf(cells, seed), plotOf(cells, seed)].join('\n');
  };

  it('comes out the same for the same seed, byte for byte, and otherwise for another', () => {
    const first = written(1);
    expect(written(1)).toBe(first);
    expect(written(2)).not.toBe(first);
  });

  it('has the same clients whatever the balancer', () => {
    const asked = BALANCES.map((balance) => simulate(short, balance, 3, newBalancing).asked);
    expect(new Set(asked).size).toBe(1);
  });

  it.each(['homogeneous', 'heterogeneous', 'slow'])('finds no balancer better than the ideal: %s', (name) => {
    const halfAMinute = { ...named(name), durationMs: 30_000 };
    const p99s = BALANCES.map((balance) =>
      simulate(halfAMinute, balance, 1, newBalancing).latencies.getValueAtPercentile(99),
    );
    for (const p99 of p99s) expect(p99).toBeGreaterThanOrEqual(0.99 * (p99s[BALANCES.indexOf('ideal')] ?? 0));
  });
});

describe('ewma, simulated,', () => {
  it('gives an endpoint that has become ten times slower less than a third of its share within 10 s, and gives it back', () => {
    const { shares } = outcomeOf('slow', 'ewma');
    expect(shares['first 10 s']).toBeLessThan(1 / 3);
    expect(shares['10 s later']).toBeGreaterThan(0.5);
  });

  it('loses nobody to an endpoint that refuses', () => {
    for (const name of ['refusing', 'half-refusing', 'flapping']) expect(failuresOf(name, 'ewma')).toBe(0);
  });

  it('learns of an endpoint that hangs while clients wait, and loses few of them to it', () => {
    expect(failuresOf('hanging', 'ewma')).toBeLessThan(failuresOf('hanging', 'round-robin') / 50);
    expect(outcomeOf('hanging', 'ewma').shares['next 10 s']).toBeLessThan(0.05);
  });

  it('loses fewer clients than round robin to an endpoint that resets one connection of ten', () => {
    expect(failuresOf('flaky', 'ewma')).toBeLessThan(failuresOf('flaky', 'round-robin') / 2);
  });

  it('is within a tenth of the ideal where all are alike, also with several proxies, and beats round robin where they are not', () => {
    for (const name of ['homogeneous', 'proxies']) expect(p99(name, 'ewma')).toBeLessThan(1.1 * p99(name, 'ideal'));
    expect(p99('heterogeneous', 'ewma')).toBeLessThan(p99('heterogeneous', 'round-robin') / 2);
  });
});

describe('virtual time', () => {
  it('lets things happen when they are due, and in the order in which they were asked for', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50), { maxLength: 200 }), (moments) => {
        const timeline = new Timeline();
        const seen: [number, number][] = [];
        for (const [order, moment] of moments.entries()) {
          timeline.at(moment, () => seen.push([timeline.now, order]));
        }
        timeline.run();
        const expected = moments.map((moment, order) => [moment, order] as const);
        expect(seen).toEqual(expected.sort((one, other) => one[0] - other[0] || one[1] - other[1]));
      }),
    );
  });
});

describe('a modelled endpoint', () => {
  const never = (): number => 0;

  it('works on as many requests as it has slots, and lets the others wait', () => {
    const server = new Server('a', 2, [{ from: 0, condition: { kind: 'up', slowness: 2 } }], never);
    const answers = [10, 10, 10].map((workMs) => server.ask(workMs, 100));
    expect(answers).toEqual([120, 120, 140].map((at) => ({ kind: 'answered', at })));
  });

  it('resets what it was working on when it stops, and begins anew', () => {
    const phases = [
      { from: 0, condition: UP },
      { from: 50, condition: { kind: 'refuses' } },
      { from: 60, condition: UP },
    ] as const;
    const server = new Server('a', 1, phases, never);
    expect(server.ask(30, 10)).toEqual({ kind: 'answered', at: 40 });
    expect(server.ask(30, 10)).toEqual({ kind: 'reset', at: 50 });
    expect(server.wouldAnswerAt(30, 55)).toBeUndefined();
    expect(server.ask(30, 60)).toEqual({ kind: 'answered', at: 90 });
  });
});
