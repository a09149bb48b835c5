import fc from 'fast-check';
import { expect, it } from 'vitest';
import { EndpointSlots } from '../../src/balancer/slots.js';
import { deltaOf, withDelta } from '../../src/workers/endpoints-delta.js';

const endpoint = fc.record({
  id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
  addresses: fc.constantFrom('10.0.0.1', '10.0.0.2').map((host) => [{ kind: 'ip' as const, host, port: 80 }]),
  weight: fc.integer({ min: 0, max: 2 }),
});
const lists = fc.array(fc.uniqueArray(endpoint, { selector: ({ id }) => id }), { maxLength: 12 });

it('a list that has changed is the same again at the other end, whatever changed and in whatever order', () => {
  fc.assert(
    fc.property(lists, (updates) => {
      const slots = new EndpointSlots(1);
      let there = structuredClone([...slots.placed]);
      for (const [now, list] of updates.entries()) {
        const before = slots.placed;
        const after = slots.place(list, now * 20_000);
        there = withDelta(there, structuredClone(deltaOf(before, after)));
        expect(there).toEqual(after);
      }
    }),
  );
});

it('only what has changed is sent', () => {
  const slots = new EndpointSlots(1);
  const list = Array.from({ length: 1000 }, (_, index) => ({
    id: `e${index}`,
    addresses: [{ kind: 'ip' as const, host: '10.0.0.1', port: index }],
  }));
  const before = slots.place(list, 0);
  const after = slots.place([...structuredClone(list).slice(1), { id: 'new', addresses: [] }], 1);
  expect(deltaOf(before, after).changed.map(({ id }) => id)).toEqual(['new']);
});
