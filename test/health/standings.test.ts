import { describe, expect, it, onTestFinished } from 'vitest';
import { type EjectionSettings, Ejector } from '../../src/balancer/ejection.js';
import { EndpointSlots } from '../../src/balancer/slots.js';
import { parseConfig } from '../../src/config/load.js';
import type { ConfigInput } from '../../src/config/schema.js';
import { Standings } from '../../src/health/standings.js';
import { VirtualClock } from '../fakes/clock.js';

type Settings = Omit<NonNullable<ConfigInput['services']>[string], 'upstreams'>;

const DECAY = 10_000;
const TIMES: EjectionSettings = { after: 5, baseMs: 30_000, maxMs: 300_000, maxShare: 0.5 };

/** A service of so many endpoints, and what data threads do with it. */
function start(size: number, written: Settings = {}) {
  const clock = new VirtualClock();
  const told: string[] = [];
  const standings = new Standings(clock, (service, { kind, ...rest }) =>
    told.push(`${service} ${kind} ${Object.values(rest).join(' ')}`),
  );
  onTestFinished(() => standings.stop());
  const slots = new EndpointSlots(1);
  const put = (count: number): void => {
    const endpoints = Array.from({ length: count }, (_, at) => ({ id: `e${at}`, addresses: [] }));
    slots.place(endpoints, clock.now());
    const { services } = parseConfig({ services: { web: { upstreams: ['10.0.0.1:80'], ...written } } });
    standings.update({ name: 'web', settings: services['web']!, endpoints: slots.placed, stats: slots.stats });
  };
  put(size);
  // As another thread would: by a view of its own.
  const ejector = new Ejector(slots.stats, TIMES, DECAY);
  const instance = (at: number) => {
    const endpoint = slots.placed[at]!;
    return { endpoint, stats: slots.stats.slot(endpoint.slot), weight: 1 };
  };
  const connects = (at: number, ms: number, times: number): void => {
    for (let count = 0; count < times; count += 1) instance(at).stats.observeConnect(ms, clock.now(), DECAY);
  };
  const fail = (at: number, wasProbe = false): void => ejector.failed(instance(at), 'reset', wasProbe, clock.now());
  return { clock, told, standings, slots, put, ejector, instance, connects, fail };
}

describe('an ejection', () => {
  it('is told within a second with its reason and time, each time it is prolonged, and when the endpoint is back', () => {
    const { clock, told, standings, ejector, instance, fail } = start(4);
    for (let count = 0; count < 5; count += 1) fail(1);
    clock.advance(1000);
    expect(told).toEqual(['web ejected e1 reset 30000 false']);
    expect(standings.of('web', 'e1')?.off).toEqual({ kind: 'ejected', reason: 'reset', leftMs: 29_000 });
    clock.advance(29_000);
    expect(standings.of('web', 'e1')?.off).toEqual({ kind: 'half-open', reason: 'reset' });
    // A probe is neither an ejection nor the end of one.
    ejector.claimProbe(instance(1), clock.now());
    clock.advance(1000);
    expect(told).toHaveLength(1);
    fail(1, true);
    clock.advance(1000);
    expect(told.slice(1)).toEqual(['web ejected e1 reset 60000 true']);
    clock.advance(60_000);
    ejector.claimProbe(instance(1), clock.now());
    ejector.succeeded(instance(1), 'answer', true, clock.now());
    clock.advance(1000);
    expect(told.slice(2)).toEqual(['web back e1']);
    expect(standings.of('web', 'e1')?.off).toBeUndefined();
    expect(standings.ejections('web')).toEqual({ connect: 0, timeout: 0, handshake: 0, reset: 2, latency: 0 });
  });

  it('of an endpoint that is gone is told no more', () => {
    const { clock, told, put, fail } = start(4);
    for (let count = 0; count < 5; count += 1) fail(3);
    clock.advance(1000);
    put(3);
    clock.advance(5000);
    expect(told).toEqual(['web ejected e3 reset 30000 false']);
  });
});

describe('changes in a service of a hundred thousand endpoints', () => {
  it('are told every ten seconds, for looking at all of them takes a while', () => {
    const { clock, told, fail } = start(100_000);
    for (let count = 0; count < 5; count += 1) fail(1);
    clock.advance(1000);
    for (let count = 0; count < 5; count += 1) fail(2);
    clock.advance(9000);
    expect(told).toEqual(['web ejected e1 reset 30000 false']);
    clock.advance(1000);
    expect(told.slice(1)).toEqual(['web ejected e2 reset 30000 false']);
  });
});

describe('panic', () => {
  it('is told when it begins and when it is over', () => {
    const { clock, told, standings, slots, instance } = start(4);
    for (const at of [0, 1, 2]) instance(at).stats.isUnhealthy = true;
    slots.stats.standingChanged();
    clock.advance(1000);
    expect(told).toEqual(['web panic 1 4']);
    expect(standings.panics('web')).toBe(true);
    for (const at of [0, 1]) instance(at).stats.isUnhealthy = false;
    slots.stats.standingChanged();
    clock.advance(10_000);
    expect(told.slice(1)).toEqual(['web calm 3 4']);
    expect(standings.panics('web')).toBe(false);
  });
});

describe('an endpoint that is far slower to connect to than the others', () => {
  it('is ejected by the next sweep, and has to be found slow anew before it is again', () => {
    const { clock, told, connects, ejector, instance } = start(4);
    for (const at of [0, 1, 2]) connects(at, 2, 30);
    connects(3, 800, 30);
    clock.advance(10_000);
    expect(told).toEqual(['web ejected e3 latency 30000 false']);
    clock.advance(30_000);
    ejector.claimProbe(instance(3), clock.now());
    ejector.succeeded(instance(3), 'answer', true, clock.now());
    connects(3, 800, 10);
    clock.advance(10_000);
    expect(told.slice(1)).toEqual(['web back e3']);
    connects(3, 800, 10);
    clock.advance(10_000);
    expect(told.slice(2)).toEqual(['web ejected e3 latency 60000 false']);
  });

  it('is left alone for a few that took long, and where it is turned off', () => {
    const calm = start(4);
    const off = start(4, { ejectLatency: 'off' });
    for (const { connects } of [calm, off]) for (const at of [0, 1, 2, 3]) connects(at, 2, 30);
    calm.connects(3, 1000, 5);
    off.connects(3, 1000, 100);
    for (const { clock, told } of [calm, off]) {
      clock.advance(60_000);
      expect(told).toEqual([]);
    }
  });

  it('is one of at most half of them that are ejected, and the only one of its service never', () => {
    const { clock, told, connects } = start(7, { ejectMaxShare: '30%' });
    for (const at of [0, 1, 2, 3]) connects(at, 1, 30);
    for (const at of [4, 5, 6]) connects(at, 500 + at, 30);
    clock.advance(10_000);
    expect(told).toEqual(['web ejected e5 latency 30000 false', 'web ejected e6 latency 30000 false']);
  });
});
