/**
 * The engine against every order of events that fast-check thinks of: what clients, servers and the kernel do between
 * any two of its system calls. `FUZZ_RUNS=100000 npx vitest run test/l4/native/fuzz.test.ts` looks longer.
 */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, it, vi } from 'vitest';
import type { Action, PeerAction, Plan } from './fuzz-actors.js';
import { World } from './fuzz-world.js';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 5000);
const SEED = process.env['FUZZ_SEED'] === undefined ? {} : { seed: Number(process.env['FUZZ_SEED']) };

const who = fc.nat(3);
const peer = fc.constantFrom('client' as const, 'server' as const);
const count = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 100 }));

const plan: fc.Arbitrary<Plan> = fc.record({
  peek: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 40 })),
  consume: fc.nat(40),
  header: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 60 })),
  delay: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(2)),
  upstream: fc.oneof(
    { weight: 6, arbitrary: fc.constant('connects' as const) },
    fc.constantFrom('connects later' as const, 'refuses' as const),
  ),
  whenTold: fc.oneof(
    { weight: 8, arbitrary: fc.constant('nothing' as const) },
    fc.constantFrom('resets' as const, 'throws' as const),
  ),
  spliceable: fc.oneof({ weight: 8, arbitrary: fc.constant(true) }, fc.constant(false)),
  tellsAfterShort: fc.boolean(),
  readsPerRest: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 3 })),
});

const peerAction: fc.Arbitrary<PeerAction> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant('write' as const), who, peer, count }) },
  { weight: 7, arbitrary: fc.record({ do: fc.constant('read' as const), who, peer, count }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('stream' as const),
      who,
      peer,
      count: fc.integer({ min: 16, max: 60 }),
      behind: fc.option(fc.nat(20), { nil: undefined, freq: 2 }),
      finish: fc.constantFrom(undefined, undefined, 'end' as const, 'reset' as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('connect' as const), plan }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('end' as const), who, peer }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('reset' as const, 'urgent' as const), who, peer }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('replace' as const), who, plan }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('reset both' as const, 'establish' as const), who }) },
  { weight: 2, arbitrary: fc.constant({ do: 'interrupt' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pipes' as const), short: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('descriptors' as const), short: fc.nat(2) }) },
);

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('turn' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 10, arbitrary: peerAction },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('own reset' as const), who }) },
);

describe('the native engine, in any order of events', () => {
  // Rests, of listeners and of connections at a pace, are over when the world says so.
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  it('carries every byte to whom it belongs, ends as its peers did, and keeps nothing', async () => {
    const start = fc.array(plan, { minLength: 1, maxLength: 3 });
    const meanwhile = fc.array(fc.option(peerAction, { freq: 3 }), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(start, fc.array(action, { maxLength: 60 }), meanwhile, async (plans, actions, during) => {
        const connects = plans.map((one) => ({ do: 'connect' as const, plan: one }));
        await new World(during).run([...connects, { do: 'turn', count: 3 }, ...actions]);
      }),
      { numRuns: RUNS, ...SEED },
    );
  });
});
