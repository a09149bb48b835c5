import { expect, it } from 'vitest';
import type { EndpointStats } from '../../src/balancer/endpoint-stats.js';
import { newServiceCells, ServiceStats, withRoomFor } from '../../src/balancer/service-stats.js';

const NOW = 1234.5;
const DECAY = 10_000;

/** Each writes one thing that is known, and reads it back. */
const THINGS: Readonly<
  Record<string, [write: (stats: EndpointStats) => void, read: (stats: EndpointStats) => unknown]>
> = {
  outstanding: [(stats) => stats.enter(), (stats) => stats.outstanding],
  connect: [(stats) => stats.observeConnect(7, NOW, DECAY), (stats) => [stats.typicalConnectMs, stats.connects]],
  failing: [(stats) => stats.observeFailing(true, NOW, DECAY), (stats) => stats.failing(NOW, DECAY)],
  ejectedUntil: [(stats) => Object.assign(stats, { ejectedUntil: 1e9 }), (stats) => stats.ejectedUntil],
  returnedAt: [(stats) => Object.assign(stats, { returnedAt: 1e9 }), (stats) => stats.returnedAt],
  startedAt: [(stats) => Object.assign(stats, { startedAt: 1e9 }), (stats) => stats.startedAt],
  timesEjected: [(stats) => Object.assign(stats, { timesEjected: 3 }), (stats) => stats.timesEjected],
  unhealthy: [(stats) => Object.assign(stats, { isUnhealthy: true }), (stats) => stats.isUnhealthy],
  failures: [(stats) => stats.failed(), (stats) => stats.failures],
  ejectedFor: [(stats) => stats.turnEjected(0, 5), (stats) => stats.ejectedFor],
  probes: [(stats) => stats.countProbe(0), (stats) => stats.probes],
};

it.each(Object.keys(THINGS))(
  'what is known of an endpoint as %s changes nothing else of it, nor of its neighbours',
  (name) => {
    const service = new ServiceStats(withRoomFor(3, newServiceCells(), 2), 0);
    const slots = [0, 1, 2].map((slot) => service.slot(slot));
    const look = () => slots.map((stats) => Object.entries(THINGS).map(([thing, [, read]]) => [thing, read(stats)]));
    const before = look();
    THINGS[name]![0](slots[1]!);
    const changed = look().flatMap((things, slot) =>
      things.flatMap((thing, at) => (String(thing) === String(before[slot]![at]) ? [] : [`${slot} ${thing[0]}`])),
    );
    expect(changed).toEqual([`1 ${name}`]);
  },
);
