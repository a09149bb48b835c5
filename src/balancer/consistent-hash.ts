/**
 * The same endpoint for the same key, while it can take connections; where it cannot, its keys go on to their next
 * choices, and no other key moves. With bounded load an endpoint that has more than its share is passed over as well.
 */
import type { HashKey } from '../core/hash-key.js';
import type { Group } from './groups.js';
import { type ConnectionKey, connectionKey, describeKey } from './hash-key.js';
import { type HashWalk, loadLimit, NONE } from './hash-table.js';
import { type Hashing, partitionOf, partitionsOf, sharePartition, type TableData, walkOf } from './hash-tables.js';
import type { Instance } from './instance.js';
import type { PickContext } from './picker.js';
import type { Choice, Lottery, Strategy } from './strategy.js';
import { hash32 } from './xxhash.js';

export interface HashOptions {
  readonly hashing: Hashing;
  readonly key: HashKey;
  /** Bounded load: so many times its share of all connections an endpoint may have; `undefined` for any number. */
  readonly loadFactor: number | undefined;
  readonly zone: string | undefined;
  /** Of exactly the endpoints that the strategy is for. */
  readonly tables: readonly TableData[];
  /** Connections that the service has, over all threads. */
  outstanding(): number;
}

interface Partition {
  readonly walk: HashWalk;
  /** As the table names them. */
  readonly instances: readonly Instance[];
}

/** What a group is to a strategy: its table, and who of it takes connections. */
interface View {
  readonly partition: Partition;
  /** Absent where all do. */
  readonly members: ReadonlySet<Instance> | undefined;
  /** Of those who take connections: a share of the load is a share of what they take together. */
  readonly totalWeight: number;
}

/** Stirs a key's hash for the choice of its group, so that it says nothing of its place in the group's table. */
const GROUP_SALT = 0x9e3779b1;

export class ConsistentHash implements Strategy {
  readonly #options: HashOptions;
  /** For connections that have no key. */
  readonly #lottery: Lottery;
  readonly #partitions = new Map<string, Partition>();
  /** Groups last as long as nobody's standing changes. */
  readonly #views = new WeakMap<Group, View | 'mixed'>();

  constructor(instances: readonly Instance[], options: HashOptions, lottery: Lottery) {
    this.#options = options;
    this.#lottery = lottery;
    const partitions = partitionsOf(instances, options.zone, ({ endpoint }) => endpoint);
    for (const data of options.tables) {
      const members = partitions.get(data.partition) ?? [];
      if (members.length !== data.count) throw new Error('unreachable: a table of other endpoints');
      this.#partitions.set(data.partition, { walk: walkOf(data), instances: members });
    }
  }

  /** A key's connections go to one group, of several that share the load. */
  point({ source }: PickContext): number | undefined {
    const key = this.#keyOf(source);
    return key && (Math.imul(hash32(key.text), GROUP_SALT) >>> 0) / 2 ** 32;
  }

  /** Whether an endpoint is back is found out by a connection that would be its own. */
  isFor(instance: Instance, { source }: PickContext): boolean {
    const key = this.#keyOf(source);
    const partition = this.#partitions.get(partitionOf(instance.endpoint, this.#options.zone));
    if (key === undefined || partition === undefined) return true;
    return partition.instances[partition.walk.first(hash32(key.text))] === instance;
  }

  choose(group: Group, context: PickContext): Choice | undefined {
    const key = this.#keyOf(context.source);
    const view = this.#viewOf(group);
    if (key === undefined || view === 'mixed') return this.#draw(group, context, key);
    const { walk, instances } = view.partition;
    let full: Instance | undefined;
    let passed = 0;
    for (let index = walk.first(hash32(key.text)); index !== NONE; index = walk.next()) {
      const instance = instances[index];
      if (instance === undefined || context.tried.has(instance.endpoint)) continue;
      if (view.members?.has(instance) === false) passed += 1;
      else if (this.#isFull(instance, view)) full ??= instance;
      else return this.#chosen(instance, key, passed, full !== undefined && full !== instance);
    }
    // All have more than their share: then the one that the key belongs to.
    return full && this.#chosen(full, key, passed, false);
  }

  #chosen(instance: Instance, key: ConnectionKey, passed: number, overFull: boolean): Choice {
    const { hashing, key: kind } = this.#options;
    const why = (): string => {
      const past = passed === 0 ? '' : `, past ${passed} that ${passed === 1 ? 'takes' : 'take'} no connections`;
      return `${hashing}, ${describeKey(kind, key)}${past}${overFull ? ', past those with more than their share' : ''}`;
    };
    return { instance, why };
  }

  #draw(group: Group, context: PickContext, key: ConnectionKey | undefined): Choice | undefined {
    const { hashing, key: kind } = this.#options;
    const instance = this.#lottery.draw(group, context);
    return instance && { instance, why: () => `${hashing}, ${key ? 'at random' : describeKey(kind, undefined)}` };
  }

  #isFull({ stats, weight }: Instance, { totalWeight }: View): boolean {
    const { loadFactor, outstanding } = this.#options;
    if (loadFactor === undefined) return false;
    return stats.outstanding >= loadLimit(outstanding(), weight / totalWeight, loadFactor);
  }

  #keyOf(source: PickContext['source']): ConnectionKey | undefined {
    return source && connectionKey(this.#options.key, source());
  }

  #viewOf(group: Group): View | 'mixed' {
    const known = this.#views.get(group);
    if (known !== undefined) return known;
    const view = this.#look(group);
    this.#views.set(group, view);
    return view;
  }

  /** Those who take connections only for want of any other are of all priorities and zones. */
  #look({ instances }: Group): View | 'mixed' {
    const { zone } = this.#options;
    const [first] = instances;
    const partition = first && this.#partitions.get(partitionOf(first.endpoint, zone));
    if (!partition || instances.some(({ endpoint }) => !sharePartition(first.endpoint, endpoint, zone))) return 'mixed';
    const isAll = instances.length === partition.instances.length;
    const totalWeight = instances.reduce((sum, { weight }) => sum + weight, 0);
    return { partition, members: isAll ? undefined : new Set(instances), totalWeight };
  }
}
