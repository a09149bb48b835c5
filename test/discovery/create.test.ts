import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress } from '../../src/core/address.js';
import { createSource } from '../../src/discovery/create.js';
import type { DiscoverySnapshot } from '../../src/discovery/source.js';
import { VirtualClock } from '../fakes/clock.js';

const readEndpoints = async () => [];
const dns = { minTtl: 1000, maxTtl: 300_000, fallbackTtl: 30_000 };

describe('the source of an upstream', () => {
  it.each([
    ['10.0.0.1:80', ['10.0.0.1:80']],
    ['[2001:db8::1]:80', ['[2001:db8::1]:80']],
    ['unix:/run/app.sock', ['unix:/run/app.sock']],
    [':80', ['127.0.0.1:80', '[::1]:80']],
    ['localhost:80', ['[::1]:80', '127.0.0.1:80']],
    ['app.localhost.:80', ['[::1]:80', '127.0.0.1:80']],
  ])('%s is one endpoint for ever, at %j', async (text, addresses) => {
    const clock = new VirtualClock();
    const source = createSource(parseAddress(text), { dns, clock, readEndpoints });
    const snapshots: DiscoverySnapshot[] = [];
    for await (const snapshot of source.watch(new AbortController().signal)) snapshots.push(snapshot);
    expect(source.upstream).toBe(text);
    const shown = snapshots.map((snapshot) =>
      snapshot.kind === 'endpoints'
        ? snapshot.endpoints.map((each) => [each.id, each.addresses.map(formatAddress)])
        : [],
    );
    expect(shown).toEqual([[[text, addresses]]]);
    expect(clock.pending).toBe(0);
  });

  it('a name goes by what was written', () => {
    const source = createSource(parseAddress('example.org:80'), { dns, clock: new VirtualClock(), readEndpoints });
    expect(source.upstream).toBe('example.org:80');
  });
});
