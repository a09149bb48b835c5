import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress, type SocketAddress } from '../../src/core/address.js';
import { Canceller, type CancelSignal } from '../../src/core/cancel.js';
import { MeshproxyError } from '../../src/core/errors.js';
import { interleaveFamilies, race, type Won } from '../../src/l4/race.js';
import { turn, VirtualClock } from '../fakes/clock.js';

const never: CancelSignal = new Canceller();
const DELAY_MS = 250;

/** Of one family, so that they are dialled in this order. */
function addresses(count: number): SocketAddress[] {
  return Array.from({ length: count }, (_, index) => ({ kind: 'ip', host: `10.0.0.${index + 1}`, port: 80 }));
}

/** What a dial does: connects or fails after so many ms, or never answers. */
type Behaviour = { readonly after: number; readonly ok: boolean } | 'silent';

const connects = (after: number): Behaviour => ({ after, ok: true });
const fails = (after: number): Behaviour => ({ after, ok: false });

/** Endpoints in virtual time: the n-th address that is dialled does what the n-th behaviour says. */
class Network {
  readonly clock = new VirtualClock();
  readonly start = this.clock.now();
  /** Each address that was dialled, and when, ms from the start. */
  readonly dialled: (readonly [address: string, at: number])[] = [];
  /** Dialled, and neither connected nor failed nor given up. */
  readonly underWay = new Set<string>();
  /** Connected, and not discarded. */
  readonly open = new Set<string>();
  /** Connects in spite of an abort, as where the connection was made just before it. */
  deaf = false;
  readonly #behaviours: readonly Behaviour[];

  constructor(...behaviours: readonly Behaviour[]) {
    this.#behaviours = behaviours;
  }

  readonly dial = (address: SocketAddress, signal: CancelSignal): Promise<string> => {
    const name = formatAddress(address);
    const behaviour = this.#behaviours[this.dialled.length];
    this.dialled.push([name, this.clock.now() - this.start]);
    this.underWay.add(name);
    const dialling = new Promise<string>((resolve, reject) => {
      const connect = (): void => {
        this.open.add(name);
        resolve(name);
      };
      const fail = (): void => reject(new MeshproxyError('connect', `${name}: refused`));
      const timer =
        behaviour === undefined || behaviour === 'silent'
          ? undefined
          : this.clock.after(behaviour.after, behaviour.ok ? connect : fail);
      signal.addEventListener('abort', () => {
        if (this.deaf) return;
        timer?.cancel();
        reject(new MeshproxyError('aborted', `${name}: given up`));
      });
    });
    return dialling.finally(() => this.underWay.delete(name));
  };

  readonly discard = (late: string): void => {
    if (!this.open.delete(late)) throw new Error(`${late} was discarded without being open`);
  };

  race(count: number, signal = never): Promise<Won<string>> {
    return race(addresses(count), DELAY_MS, this.clock, signal, this.dial, this.discard);
  }
}

describe('race', () => {
  it('dials a single address with the signal as it is, and without a timer', async () => {
    const clock = new VirtualClock();
    const seen: CancelSignal[] = [];
    const dial = async (_: SocketAddress, signal: CancelSignal) => seen.push(signal);
    const won = await race(addresses(1), DELAY_MS, clock, never, dial, () => expect.unreachable());
    expect(won).toEqual({ value: 1, address: addresses(1)[0] });
    expect(seen).toEqual([never]);
    expect(clock.pending).toBe(0);
  });

  it('passes the error of a single address on', async () => {
    const error = new MeshproxyError('exhausted', 'no descriptor left');
    const dialling = race(
      addresses(1),
      DELAY_MS,
      new VirtualClock(),
      never,
      () => Promise.reject(error),
      () => {},
    );
    await expect(dialling).rejects.toBe(error);
  });

  it('refuses an endpoint without an address', async () => {
    await expect(new Network().race(0)).rejects.toMatchObject({ code: 'connect' });
  });

  it('dials no other address where the first connects within its head start', async () => {
    const network = new Network(connects(249));
    const won = network.race(3);
    await network.clock.advanceAsync(1000);
    expect(await won).toEqual({ value: '10.0.0.1:80', address: addresses(1)[0] });
    expect(network.dialled.length).toBe(1);
    expect(network.clock.pending).toBe(0);
  });

  it('dials the next address at once when one fails, with a head start of its own', async () => {
    const network = new Network(fails(10), 'silent', connects(5));
    const won = network.race(3);
    await network.clock.advanceAsync(1000);
    expect((await won).value).toBe('10.0.0.3:80');
    expect(network.dialled).toEqual([
      ['10.0.0.1:80', 0],
      ['10.0.0.2:80', 10],
      ['10.0.0.3:80', 260],
    ]);
  });

  it('dials the next address beside one that is slow, and takes whichever connects', async () => {
    const network = new Network(connects(400), connects(50));
    const won = network.race(2);
    await network.clock.advanceAsync(1000);
    expect((await won).value).toBe('10.0.0.2:80');
    expect(network.dialled[1]).toEqual(['10.0.0.2:80', 250]);
    expect([...network.open]).toEqual(['10.0.0.2:80']);
  });

  it('takes the slow one after all when the others fail', async () => {
    const network = new Network(connects(600), fails(10), fails(10));
    const won = network.race(3);
    await network.clock.advanceAsync(1000);
    expect((await won).value).toBe('10.0.0.1:80');
  });

  it('leaves the latest its head start when an earlier one fails', async () => {
    const network = new Network(fails(260), connects(100), connects(0));
    const won = network.race(3);
    await network.clock.advanceAsync(1000);
    expect((await won).value).toBe('10.0.0.2:80');
    expect(network.dialled.length).toBe(2);
  });

  it('names each address and its reason when all have failed', async () => {
    const network = new Network(fails(10), fails(10));
    const lost = network.race(2).catch((error: unknown) => error);
    await network.clock.advanceAsync(100);
    expect(await lost).toMatchObject({ code: 'connect', message: '10.0.0.1:80: refused, 10.0.0.2:80: refused' });
  });

  it('says so when this machine was short of something', async () => {
    const shortage = new MeshproxyError('exhausted', 'no descriptor left');
    const failures = [new MeshproxyError('connect', 'refused'), shortage, new MeshproxyError('connect', 'refused')];
    const dial = () => Promise.reject(failures.shift());
    const dialling = race(addresses(3), DELAY_MS, new VirtualClock(), never, dial, () => {});
    await expect(dialling).rejects.toMatchObject({ code: 'exhausted', cause: shortage });
  });

  it('does not take a bug for an endpoint that is down', async () => {
    const bug = new TypeError('undefined is not a function');
    const clock = new VirtualClock();
    const dialling = race(
      addresses(2),
      DELAY_MS,
      clock,
      never,
      () => Promise.reject(bug),
      () => {},
    );
    await expect(dialling).rejects.toBe(bug);
    expect(clock.pending).toBe(0);
  });

  it('rejects aborted at once, and leaves nothing behind', async () => {
    const network = new Network('silent', 'silent', connects(1));
    const controller = new Canceller();
    const lost = network.race(3, controller.signal).catch((error: unknown) => error);
    await network.clock.advanceAsync(300);
    controller.abort();
    expect(await lost).toMatchObject({ code: 'aborted' });
    await network.clock.advanceAsync(1000);
    expect(network.dialled.length).toBe(2);
    expect(network.clock.pending).toBe(0);
  });

  it('dials nothing when it is aborted before it begins', async () => {
    const network = new Network(connects(1));
    await expect(network.race(2, AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' });
    expect(network.dialled).toEqual([]);
    expect(network.clock.pending).toBe(0);
  });

  it('leaks no connection, and returns one if any could be made', async () => {
    // Coarse, so that things often happen in the same moment.
    const ms = fc.integer({ min: 0, max: 12 }).map((steps) => steps * 50);
    const behaviour = fc.oneof(fc.record({ after: ms, ok: fc.boolean() }), fc.constant('silent' as const));
    const run = fc.record({
      behaviours: fc.array(behaviour, { minLength: 2, maxLength: 6 }),
      deaf: fc.boolean(),
      abortAt: fc.option(ms, { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(run, async ({ behaviours, deaf, abortAt }) => {
        const network = new Network(...behaviours);
        network.deaf = deaf;
        const controller = new Canceller();
        if (abortAt !== undefined) network.clock.after(abortAt, () => controller.abort());
        let settled: string | MeshproxyError | undefined;
        network.race(behaviours.length, controller.signal).then(
          ({ value }) => (settled = value),
          (error: MeshproxyError) => (settled = error),
        );
        await network.clock.advanceAsync(10_000);
        await turn();

        expect([...network.open]).toEqual(typeof settled === 'string' ? [settled] : []);
        expect(network.clock.pending).toBe(0);
        if (settled !== undefined && !deaf) expect([...network.underWay]).toEqual([]);
        if (abortAt !== undefined) expect(settled).toBeDefined();
        else if (behaviours.some((each) => each !== 'silent' && each.ok)) expect(settled).toBeTypeOf('string');
        else if (behaviours.includes('silent')) expect(settled).toBeUndefined();
        else expect(settled).toMatchObject({ code: 'connect' });
      }),
      { numRuns: 500 },
    );
  });
});

describe('interleaving', () => {
  const parse = (texts: readonly string[]) => texts.map(parseAddress) as SocketAddress[];

  it.each([
    [
      ['[::1]:1', '[::2]:1', '1.0.0.1:1', '1.0.0.2:1'],
      ['[::1]:1', '1.0.0.1:1', '[::2]:1', '1.0.0.2:1'],
    ],
    [
      ['[::1]:1', '1.0.0.1:1', '1.0.0.2:1', '1.0.0.3:1'],
      ['[::1]:1', '1.0.0.1:1', '1.0.0.2:1', '1.0.0.3:1'],
    ],
    [
      ['1.0.0.1:1', '1.0.0.2:1', '1.0.0.3:1', '[::1]:1'],
      ['1.0.0.1:1', '[::1]:1', '1.0.0.2:1', '1.0.0.3:1'],
    ],
    [
      ['unix:/a', '1.0.0.1:1', 'unix:/b'],
      ['unix:/a', '1.0.0.1:1', 'unix:/b'],
    ],
  ])('%j becomes %j', (given, expected) => {
    expect(interleaveFamilies(parse(given)).map(formatAddress)).toEqual(expected);
  });

  it('loses none, leaves the first in front and each family in its order, and switches while it can', () => {
    const host = fc.constantFrom('10.0.0.', '2001:db8::');
    fc.assert(
      fc.property(fc.array(host, { maxLength: 12 }), (prefixes) => {
        const given: SocketAddress[] = prefixes.map((prefix, index) => ({
          kind: 'ip',
          host: `${prefix}${index}`,
          port: 1,
        }));
        const isV6 = (address: SocketAddress) => address.kind === 'ip' && address.host.includes(':');
        const result = interleaveFamilies(given);
        expect(result[0]).toBe(given[0]);
        expect(result.filter(isV6)).toEqual(given.filter(isV6));
        expect(result.filter((each) => !isV6(each))).toEqual(given.filter((each) => !isV6(each)));
        const fewer = Math.min(given.filter(isV6).length, given.filter((each) => !isV6(each)).length);
        const alternating = result.slice(0, 2 * fewer).map(isV6);
        expect(alternating).toEqual(alternating.map((_, index) => alternating[0] === (index % 2 === 0)));
      }),
    );
  });

  it('is how a race goes through the addresses', async () => {
    const network = new Network(fails(0), fails(0), fails(0), fails(0));
    const given = parse(['[::1]:1', '[::2]:1', '1.0.0.1:1', '1.0.0.2:1']);
    const lost = race(given, DELAY_MS, network.clock, never, network.dial, network.discard).catch(() => 'lost');
    await network.clock.advanceAsync(10);
    expect(await lost).toBe('lost');
    expect(network.dialled.map(([address]) => address)).toEqual(['[::1]:1', '1.0.0.1:1', '[::2]:1', '1.0.0.2:1']);
  });
});
