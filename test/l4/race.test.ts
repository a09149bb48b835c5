import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SocketAddress } from '../../src/core/address.js';
import { MeshproxyError } from '../../src/core/errors.js';
import { race } from '../../src/l4/race.js';
import { VirtualClock } from '../fakes/clock.js';

const never = new AbortController().signal;

function addresses(count: number): SocketAddress[] {
  return Array.from({ length: count }, (_, index) => ({ kind: 'ip', host: `10.0.0.${index + 1}`, port: 80 }));
}

/** What a dial does, in virtual time: connects or fails after so many ms, or never answers. */
type Behaviour = { readonly after: number; readonly ok: boolean } | 'silent';

class Network {
  readonly clock = new VirtualClock();
  readonly dialled: { readonly host: string; readonly at: number }[] = [];
  readonly #behaviours: readonly Behaviour[];
  /** Made by a dial and neither returned nor discarded yet. */
  readonly open = new Set<string>();
  /** Ignores the abort, as a dial does whose connection was made just before it. */
  deaf = false;

  constructor(behaviours: readonly Behaviour[]) {
    this.#behaviours = behaviours;
  }

  dial = (address: SocketAddress, signal: AbortSignal): Promise<string> => {
    const host = address.kind === 'ip' ? address.host : address.path;
    const behaviour = this.#behaviours[this.dialled.length];
    this.dialled.push({ host, at: this.clock.now() });
    return new Promise((resolve, reject) => {
      if (!this.deaf)
        signal.addEventListener('abort', () => reject(new MeshproxyError('aborted', `${host}: given up`)));
      if (behaviour === undefined || behaviour === 'silent') return;
      this.clock.after(behaviour.after, () => {
        if (signal.aborted && !this.deaf) return;
        if (!behaviour.ok) return reject(new MeshproxyError('connect', `${host}: refused`));
        this.open.add(host);
        resolve(host);
      });
    });
  };

  discard = (late: string): void => {
    this.open.delete(late);
  };

  /** Moves time on step by step, so that what a timer sets off can set timers in turn. */
  async run(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      this.clock.advance(10);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  race(count: number, signal = never) {
    return race(addresses(count), 250, this.clock, signal, this.dial, this.discard);
  }
}

describe('race', () => {
  it('dials a single address without a timer, and passes its error on', async () => {
    const network = new Network([{ after: 10, ok: true }]);
    const won = network.race(1);
    expect(network.clock.pending).toBe(1);
    network.clock.advance(10);
    expect(await won).toEqual({ value: '10.0.0.1', address: addresses(1)[0] });
  });

  it('gives the first a head start and dials no other where it answers within it', async () => {
    const network = new Network([{ after: 200, ok: true }]);
    const won = network.race(3);
    await network.run(1000);
    expect((await won).value).toBe('10.0.0.1');
    expect(network.dialled.length).toBe(1);
    expect(network.clock.pending).toBe(0);
  });

  it('dials the next at once when one fails', async () => {
    const network = new Network([
      { after: 10, ok: false },
      { after: 10, ok: true },
    ]);
    const start = network.clock.now();
    const won = network.race(2);
    await network.run(100);
    expect((await won).value).toBe('10.0.0.2');
    expect(network.dialled[1]!.at - start).toBe(10);
  });

  it('dials the next beside one that is slow, and takes whichever answers', async () => {
    const network = new Network(['silent', { after: 50, ok: true }]);
    const start = network.clock.now();
    const won = network.race(2);
    await network.run(400);
    expect((await won).value).toBe('10.0.0.2');
    expect(network.dialled[1]!.at - start).toBe(250);
  });

  it('names each address and its reason when all fail', async () => {
    const network = new Network([
      { after: 10, ok: false },
      { after: 10, ok: false },
    ]);
    const won = network.race(2).catch((error: unknown) => error);
    await network.run(100);
    expect(await won).toMatchObject({ code: 'connect', message: '10.0.0.1: refused, 10.0.0.2: refused' });
  });

  it('says so when this machine was short of something', async () => {
    const clock = new VirtualClock();
    const failing = () => Promise.reject(new MeshproxyError('exhausted', 'no descriptor'));
    await expect(race(addresses(2), 250, clock, never, failing, () => {})).rejects.toMatchObject({ code: 'exhausted' });
  });

  it('rejects aborted at once, and leaves nothing behind', async () => {
    const network = new Network(['silent', 'silent']);
    const controller = new AbortController();
    const lost = network.race(2, controller.signal).catch((error: unknown) => error);
    await network.run(300);
    controller.abort();
    expect(await lost).toMatchObject({ code: 'aborted' });
    expect(network.clock.pending).toBe(0);
    await expect(network.race(2, AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' });
  });

  it('leaks no connection and returns one exactly when one could be made', async () => {
    const behaviour = fc.oneof(
      fc.record({ after: fc.integer({ min: 1, max: 800 }), ok: fc.boolean() }),
      fc.constant('silent' as const),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(behaviour, { minLength: 2, maxLength: 5 }),
        fc.boolean(),
        fc.option(fc.integer({ min: 1, max: 2000 })),
        async (behaviours, deaf, abortAt) => {
          const network = new Network(behaviours);
          network.deaf = deaf;
          const controller = new AbortController();
          if (abortAt !== null) network.clock.after(abortAt, () => controller.abort());
          const result = network.race(behaviours.length, controller.signal).then(
            ({ value }) => value,
            (error: MeshproxyError) => error,
          );
          let settled: string | MeshproxyError | undefined;
          void result.then((outcome) => {
            settled = outcome;
          });
          await network.run(5000);
          if (typeof settled === 'string') expect([...network.open]).toEqual([settled]);
          else expect(network.open.size).toBe(0);
          const couldConnect = behaviours.some((b) => b !== 'silent' && b.ok);
          if (abortAt === null) expect(typeof settled === 'string').toBe(couldConnect);
          if (settled === undefined) expect(behaviours).toContain('silent');
        },
      ),
      { numRuns: 40 },
    );
  });
});
