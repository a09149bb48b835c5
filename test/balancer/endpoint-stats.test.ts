import { expect, it } from 'vitest';
import { newBlock, StatsBlock } from '../../src/balancer/endpoint-stats.js';

/** Each gets what is known of an endpoint to be other than it was. */
const CHANGES = [
  'enter',
  'observeConnect',
  'observeAnswer',
  'observeFailing',
  'ejectedUntil',
  'addedAt',
  'returnedAt',
  'isUnhealthy',
  'failed',
  'wasReset',
  'turnEjected',
  'timesEjected',
  'countProbe',
] as const;

/** All that is known of one, read back. */
function known(stats: ReturnType<StatsBlock['slot']>) {
  return {
    enter: stats.outstanding,
    observeConnect: stats.latency(1000, 10_000),
    observeFailing: stats.failing(1000, 10_000),
    ejectedUntil: stats.ejectedUntil,
    addedAt: stats.addedAt,
    returnedAt: stats.returnedAt,
    isUnhealthy: stats.isUnhealthy,
    failed: stats.failures,
    turnEjected: stats.ejectedFor,
    timesEjected: stats.timesEjected,
    countProbe: stats.probes,
  };
}

it.each(CHANGES)('what is learnt of an endpoint changes nothing else, nor anything of its neighbours: %s', (change) => {
  const block = new StatsBlock(newBlock(0, 2), 0, 1);
  const [before, stats, after] = [block.slot(0), block.slot(1), block.slot(2)];
  for (let times = 0; times < 3; times += 1) stats.enter();
  const was = { own: known(stats), others: [known(before), known(after)] };
  switch (change) {
    case 'enter':
    case 'failed':
    case 'wasReset':
      stats[change]();
      break;
    case 'observeConnect':
    case 'observeAnswer':
      stats[change](12.3, 1000, 10_000);
      break;
    case 'observeFailing':
      stats.observeFailing(true, 1000, 10_000);
      break;
    case 'isUnhealthy':
      stats.isUnhealthy = true;
      break;
    case 'turnEjected':
      expect(stats.turnEjected(0, 3)).toBe(true);
      break;
    case 'countProbe':
      expect(stats.countProbe(0)).toBe(true);
      break;
    default:
      stats[change] = 7;
  }
  const seenIn = change === 'observeAnswer' ? 'observeConnect' : change;
  const is = known(stats);
  for (const key of Object.keys(is) as (keyof typeof is)[]) {
    if (key === seenIn) expect(is[key]).not.toEqual(was.own[key]);
    else expect(is[key]).toEqual(was.own[key]);
  }
  expect([known(before), known(after)]).toEqual(was.others);
});
