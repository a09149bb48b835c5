/** Changes of a service's endpoints as they are sent to a worker: of a hundred thousand, of which one has changed, one. */
import type { PlacedEndpoint } from '../balancer/slots.js';

export interface EndpointsDelta {
  /** All slots, in the order of the endpoints. */
  readonly order: Uint32Array<SharedArrayBuffer>;
  /** Those that the list before did not have, or not as they are now. */
  readonly changed: readonly PlacedEndpoint[];
}

/** An endpoint that is the same object in both lists is taken for unchanged. */
export function deltaOf(before: readonly PlacedEndpoint[], after: readonly PlacedEndpoint[]): EndpointsDelta {
  const known = bySlot(before);
  const order = new Uint32Array(new SharedArrayBuffer(after.length * Uint32Array.BYTES_PER_ELEMENT));
  for (const [index, { slot }] of after.entries()) order[index] = slot;
  return { order, changed: after.filter((endpoint) => known[endpoint.slot] !== endpoint) };
}

/** @param before the list that the delta was made from, or a copy of it */
export function withDelta(before: readonly PlacedEndpoint[], { order, changed }: EndpointsDelta): PlacedEndpoint[] {
  const known = bySlot(before);
  for (const endpoint of changed) known[endpoint.slot] = endpoint;
  return Array.from(order, (slot) => {
    const endpoint = known[slot];
    if (endpoint === undefined) throw new Error(`unreachable: nobody has told of slot ${slot}`);
    return endpoint;
  });
}

function bySlot(endpoints: readonly PlacedEndpoint[]): PlacedEndpoint[] {
  const slots: PlacedEndpoint[] = [];
  for (const endpoint of endpoints) slots[endpoint.slot] = endpoint;
  return slots;
}
