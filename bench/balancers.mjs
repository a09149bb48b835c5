/**
 * What consistent hashing costs, in one thread and without a network: `npm run build && node bench/balancers.mjs`.
 * Each figure is CPU time, the median of several runs after warming up; a first build in a cold process takes up to twice as long.
 */
import { HashWalk } from '../dist/balancer/hash-table.js';
import { hashIds } from '../dist/balancer/id-hashes.js';
import { buildMaglev, MaglevTable } from '../dist/balancer/maglev.js';
import { buildRing, RingTable } from '../dist/balancer/ring-hash.js';
import { hash32 } from '../dist/balancer/xxhash.js';

const RUNS = 9;
const LOOKUPS = 1_000_000;
const clients = Array.from({ length: 4096 }, (_, index) => `192.168.${index >> 8}.${index & 255}`);

function median(run) {
  const times = Array.from({ length: RUNS }, () => {
    const start = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  });
  return times.sort((one, other) => one - other)[RUNS >> 1];
}

/** In the order that a source has them in which keeps them sorted. */
function endpointsOf(count, weightOf) {
  const endpoints = Array.from({ length: count }, (_, index) => ({
    id: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:8080`,
    weight: weightOf(index),
  }));
  return endpoints.sort((one, other) => (one.id < other.id ? -1 : 1));
}

/** What the lookups come to, printed in the end so that none of them can be left out. */
let sink = 0;
function lookupNs(table) {
  const walk = new HashWalk(table);
  const ms = median(() => {
    for (let index = 0; index < LOOKUPS; index += 1) sink ^= walk.first(hash32(clients[index & 4095]));
  });
  return (ms * 1e6) / LOOKUPS;
}

const weights = {
  equal: () => 1,
  'one heavy': (index) => (index === 0 ? 1000 : 1),
  mixed: (index) => 1 + (index % 10),
};
const rows = [];
for (const count of [10, 1_000, 100_000]) {
  for (const [name, weightOf] of Object.entries(weights)) {
    const endpoints = endpointsOf(count, weightOf);
    const hashed = hashIds(endpoints);
    const hashMs = median(() => hashIds(endpoints));
    const againMs = median(() => hashIds(endpoints, hashed));
    const tables = {
      maglev: [() => buildMaglev(endpoints, undefined, hashed), (data) => new MaglevTable(data)],
      ring: [() => buildRing(endpoints, hashed), (data) => new RingTable(data)],
    };
    for (const [kind, [build, open]] of Object.entries(tables)) {
      const buildMs = median(build);
      const table = open(build());
      rows.push({
        table: kind,
        endpoints: count,
        weights: name,
        'hash ids, ms': hashMs.toFixed(2),
        'known ids, ms': againMs.toFixed(2),
        'build, ms': buildMs.toFixed(2),
        'lookup, ns': lookupNs(table).toFixed(0),
        'bytes each': (table.bytes / count).toFixed(1),
      });
    }
  }
}
console.table(rows);
console.log(`(checksum ${sink})`);
