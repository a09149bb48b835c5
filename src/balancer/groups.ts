/**
 * Where connections go before an endpoint is chosen: to which priority and zone. Pure. As long as enough of the
 * preferred ones can take connections they get all; what they cannot take goes on to the next (Envoy's priority levels
 * and zone aware routing, whose overprovisioning factor and panic threshold these are).
 */
import { type Instance, standingOf } from './instance.js';

/** A group of which less than 1 / 1.4 (71 %) can take connections hands some on. */
const OVERPROVISIONING = 1.4;

/** Endpoints that are alike in priority and zone. Never empty. */
export interface Group {
  readonly instances: readonly Instance[];
  /** In words, where it is not simply all of them. */
  readonly name: string | undefined;
  /** Sums of the weights up to each instance, where the weights differ. */
  readonly cumulative: Float64Array | undefined;
  readonly maxWeight: number;
  readonly meanWeight: number;
}

/** All of a service as it stands. Immutable. */
export interface Arrangement {
  /** Those that take connections, and which share of them each takes; shares add up to 1. Empty where there is no endpoint. */
  readonly loaded: readonly { readonly group: Group; readonly share: number }[];
  /** For connections that have tried all of the loaded ones: the nearest first, those that should take none last. */
  readonly reserves: readonly Group[];
  /** Whose ejection is over, and which one connection may try. */
  readonly halfOpen: readonly Instance[];
  /** In one priority at least too few can take connections, so that all of it get some. */
  readonly panics: boolean;
  /** Nobody's standing changes by time alone before, ms of the monotonic clock. */
  readonly validUntil: number;
}

export interface ArrangeOptions {
  /** The own zone, if there is one: its endpoints are preferred. */
  readonly zone: string | undefined;
  /** Where less than this share of a priority's endpoints can take connections, and the others cannot take over: all get them. */
  readonly panicThreshold: number;
}

export function arrange(
  instances: readonly Instance[],
  { zone, panicThreshold }: ArrangeOptions,
  now: number,
): Arrangement {
  const { levels, rest, halfOpen, validUntil } = survey(instances, now);
  const availability = levels.map(({ allWeight, ableWeight }) =>
    Math.min(1, (OVERPROVISIONING * ableWeight) / allWeight),
  );
  const shares = sharesOf(availability);
  const suffices = sum(availability) >= 1;
  const loaded: { group: Group; share: number }[] = [];
  const reserves: Group[] = [];
  let inPanic = false;
  for (const [index, { priority, all, able, allWeight, ableWeight }] of levels.entries()) {
    const panics = !suffices && ableWeight / allWeight < panicThreshold;
    inPanic ||= panics;
    const members = panics ? all : able;
    const words = [levels.length > 1 ? `priority ${priority}` : '', panics ? 'panic: too few are healthy' : ''];
    for (const { group, share } of zonesOf(members, all, zone, words)) {
      const total = share * (shares[index] ?? 0);
      if (total > 0) loaded.push({ group, share: total });
      else reserves.push(group);
    }
  }
  if (rest.length > 0) reserves.push(groupOf(rest, 'for want of any other'));
  return { loaded, reserves, panics: inPanic, halfOpen, validUntil };
}

interface Level {
  readonly priority: number;
  readonly all: Instance[];
  /** Those that can take connections. */
  readonly able: Instance[];
  allWeight: number;
  ableWeight: number;
}

interface Survey {
  /** The preferred first. */
  readonly levels: readonly Level[];
  /** Those that can take no connections; of them those that one may try. */
  readonly rest: readonly Instance[];
  readonly halfOpen: readonly Instance[];
  readonly validUntil: number;
}

/** Looks at each once: of a hundred thousand, most are in no cache. */
function survey(instances: readonly Instance[], now: number): Survey {
  const levels = new Map<number, Level>();
  const rest: Instance[] = [];
  const halfOpen: Instance[] = [];
  let validUntil = Number.POSITIVE_INFINITY;
  let level: Level | undefined;
  for (const instance of instances) {
    const { endpoint, stats, weight } = instance;
    const { priority = 0 } = endpoint;
    if (level?.priority !== priority) {
      level = levels.get(priority) ?? { priority, all: [], able: [], allWeight: 0, ableWeight: 0 };
      levels.set(priority, level);
    }
    level.all.push(instance);
    level.allWeight += weight;
    const standing = standingOf(instance, now);
    if (standing === 'in') {
      level.able.push(instance);
      level.ableWeight += weight;
      continue;
    }
    rest.push(instance);
    if (standing === 'half-open') halfOpen.push(instance);
    if (standing === 'ejected') validUntil = Math.min(validUntil, stats.ejectedUntil);
  }
  const inOrder = [...levels.values()].sort((one, other) => one.priority - other.priority);
  return { levels: inOrder, rest, halfOpen, validUntil };
}

/** Each takes what it can of what those before it have left; where all together cannot take everything, in proportion. */
function sharesOf(availability: readonly number[]): number[] {
  const scale = Math.min(1, sum(availability));
  if (scale === 0) return availability.map((_, index) => (index === 0 ? 1 : 0));
  let left = 1;
  return availability.map((able) => {
    const share = Math.min(left, able / scale);
    left -= share;
    return share;
  });
}

/** The own zone and all others, with what each takes. */
function zonesOf(
  members: readonly Instance[],
  all: readonly Instance[],
  zone: string | undefined,
  words: readonly string[],
): { group: Group; share: number }[] {
  const whole = (group: readonly Instance[], share: number, ...more: string[]) =>
    group.length === 0 ? [] : [{ group: groupOf(group, [...words, ...more].filter(Boolean).join(', ')), share }];
  if (zone === undefined) return whole(members, 1);
  const isOwn = ({ endpoint }: Instance): boolean => endpoint.zone === zone;
  const own = members.filter(isOwn);
  const others = members.filter((instance) => !isOwn(instance));
  if (own.length === 0 || others.length === 0)
    return whole(members, 1, own.length > 0 ? `zone ${zone}` : 'other zones');
  const kept = Math.min(1, (OVERPROVISIONING * weigh(own)) / weigh(all.filter(isOwn)));
  return [...whole(own, kept, `zone ${zone}`), ...whole(others, 1 - kept, 'other zones')];
}

function groupOf(instances: readonly Instance[], name: string): Group {
  const maxWeight = instances.reduce((most, { weight }) => Math.max(most, weight), 0);
  const alike = instances.every(({ weight }) => weight === maxWeight);
  let total = 0;
  const cumulative = alike
    ? undefined
    : Float64Array.from(instances, ({ weight }) => {
        total += weight;
        return total;
      });
  const meanWeight = alike ? maxWeight : total / instances.length;
  return { instances, name: name === '' ? undefined : name, cumulative, maxWeight, meanWeight };
}

function weigh(instances: readonly Instance[]): number {
  return instances.reduce((total, { weight }) => total + weight, 0);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
