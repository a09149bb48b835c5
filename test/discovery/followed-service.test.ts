import { describe, expect, it } from 'vitest';
import { MeshproxyError } from '../../src/core/errors.js';
import { FollowedService } from '../../src/discovery/followed-service.js';
import type { DiscoveredEndpoint, DiscoverySnapshot, DiscoverySource } from '../../src/discovery/source.js';
import { turn, VirtualClock } from '../fakes/clock.js';

/** A source that says what a test tells it to: `DiscoverySource` is all that another one has to be. */
class Told implements DiscoverySource {
  readonly upstream: string;
  readonly #said: DiscoverySnapshot[] = [];
  #wake: () => void = () => {};
  stopped = false;

  constructor(upstream: string) {
    this.upstream = upstream;
  }

  async say(snapshot: DiscoverySnapshot): Promise<void> {
    this.#said.push(snapshot);
    this.#wake();
    await turn();
  }

  async *watch(signal: AbortSignal): AsyncGenerator<DiscoverySnapshot> {
    signal.addEventListener('abort', () => this.#wake());
    while (!signal.aborted) {
      const next = this.#said.shift();
      if (next) yield next;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
    this.stopped = true;
  }
}

function endpoint(host: string): DiscoveredEndpoint {
  return { id: `${host}:80`, addresses: [{ kind: 'ip', host, port: 80 }] };
}

function found(...hosts: string[]): DiscoverySnapshot {
  return { kind: 'endpoints', endpoints: hosts.map(endpoint) };
}

function failed(message: string): DiscoverySnapshot {
  return { kind: 'failed', error: new MeshproxyError('resolve', message) };
}

function follow() {
  const clock = new VirtualClock();
  const endpoints: string[][] = [];
  const news: string[] = [];
  const service = new FollowedService(clock, {
    onEndpoints: (all) => endpoints.push(all.map(({ id }) => id)),
    onNews: (upstream, one) =>
      news.push(`${upstream} ${one.kind}${one.kind === 'failing' ? `: ${one.error.message}` : ''}`),
  });
  return { clock, endpoints, news, service };
}

/** One upstream in force. */
async function inForce(first: DiscoverySnapshot) {
  const world = follow();
  const source = new Told('a');
  const prepared = world.service.prepare([source]);
  await source.say(first);
  (await prepared).commit();
  return { ...world, source };
}

describe('an upstream that is followed', () => {
  it('keeps its last answer where its source fails, and says so once for each reason', async () => {
    const { source, service, news, endpoints } = await inForce(found('10.0.0.1'));
    for (const why of ['slow', 'down', 'slow', 'down']) await source.say(failed(why));
    expect(news).toEqual(['a failing: slow', 'a failing: down']);
    expect(service.upstreams).toMatchObject([{ upstream: 'a', resolveFailures: 4, error: 'down', endpoints: 1 }]);
    await source.say({ kind: 'unchanged' });
    expect(service.upstreams[0]?.error).toBeUndefined();
    await source.say(failed('slow'));
    expect(news.slice(2)).toEqual(['a recovered', 'a failing: slow']);
    expect(endpoints).toEqual([['10.0.0.1:80']]);
  });

  it('tells the age of its answer from the last look that came to something', async () => {
    const { clock, source, service } = await inForce(found('10.0.0.1'));
    await clock.advanceAsync(5000);
    expect(service.upstreams[0]?.answerAgeMs).toBe(5000);
    await source.say({ kind: 'unchanged' });
    await clock.advanceAsync(1000);
    await source.say(failed('no'));
    expect(service.upstreams[0]?.answerAgeMs).toBe(1000);
  });

  it('that has no endpoints starts without, and says so', async () => {
    const { source, service, news, endpoints } = await inForce({ kind: 'endpoints', endpoints: [], why: 'none today' });
    expect(news).toEqual(['a empty']);
    expect(service.upstreams[0]?.empty).toBe('none today');
    await source.say(found('10.0.0.1'));
    expect(news).toEqual(['a empty', 'a filled']);
    expect(service.upstreams[0]?.empty).toBeUndefined();
    await source.say({ kind: 'endpoints', endpoints: [] });
    expect(endpoints).toEqual([[], ['10.0.0.1:80'], []]);
  });

  it('of which a part cannot be found is failing, and its endpoints change all the same', async () => {
    const { source, service, news, endpoints } = await inForce(found('10.0.0.1'));
    await source.say({
      ...found('10.0.0.2'),
      incomplete: new MeshproxyError('resolve', 'b is gone'),
    } as DiscoverySnapshot);
    expect(service.upstreams).toMatchObject([{ error: 'b is gone', resolveFailures: 0 }]);
    expect([news, endpoints.at(-1)]).toEqual([['a failing: b is gone'], ['10.0.0.2:80']]);
  });

  it('that fails at first is not taken, and says nothing beside that', async () => {
    const { service, news, endpoints } = follow();
    const source = new Told('a');
    const prepared = service.prepare([source]);
    void source.say(failed('no'));
    await expect(prepared).rejects.toThrow('no');
    await turn();
    expect([news, endpoints, service.upstreams, source.stopped]).toEqual([[], [], [], true]);
  });

  it('needs no age where it never has to be asked', async () => {
    const { service } = follow();
    const fixed: DiscoverySource = {
      upstream: 'a',
      async *watch() {
        yield found('10.0.0.1');
      },
    };
    (await service.prepare([fixed])).commit();
    await turn();
    expect(service.upstreams).toEqual([{ upstream: 'a', endpoints: 1, resolveFailures: 0 }]);
  });
});
