/**
 * What balancing costs, in one thread and without a network: `npm run bench:balancers` (`-- --json` for programs). First
 * picks, through all that a data thread has of a service, and what its endpoints take in time and memory; then the
 * tables of consistent hashing alone. Each figure is CPU time, the median of several runs after warming up; what is done
 * first in a cold process takes up to twice as long.
 */

import { HashWalk } from '../build/balancer/hash-table.js';
import { hashIds } from '../build/balancer/id-hashes.js';
import { buildMaglev, MaglevTable } from '../build/balancer/maglev.js';
import { buildRing, RingTable } from '../build/balancer/ring-hash.js';
import { hash32 } from '../build/balancer/xxhash.js';
import { parseConfig } from '../build/config/load.js';
import { Service } from '../build/l4/service.js';
import { deltaOf, withDelta } from '../build/workers/endpoints-delta.js';
import { PlacedServices } from '../build/workers/placed-services.js';

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
const PICKS = 200_000;
const CLOCK = { now: () => performance.now(), wall: () => Date.now(), after: () => ({ cancel: () => {} }) };
const sources = clients.map((host) => ({ client: { kind: 'ip', host, port: 1 } }));

/** Bytes in use, of the heap and shared. */
function inUse() {
  for (let times = 0; times < 3; times += 1) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function once(run) {
  const start = process.cpuUsage();
  const result = run();
  const { user, system } = process.cpuUsage(start);
  return { result, ms: (user + system) / 1000 };
}

function pickRow(count, balance) {
  const upstreams = ['127.0.0.1:1'];
  const config = parseConfig({ listeners: { s: { address: '127.0.0.1:0' } }, services: { s: { upstreams, balance } } });
  const endpoints = endpointsOf(count, () => 1).map(({ id }) => {
    const [host] = id.split(':');
    return { id, addresses: [{ kind: 'ip', host, port: 8080 }] };
  });
  const before = inUse();
  const main = new PlacedServices(2, CLOCK);
  const prepared = main.prepare([{ name: 's', settings: config.services.s, endpoints }], undefined);
  prepared.commit();
  const [placed] = prepared.all;
  const service = new Service(placed, { thread: 0, zone: undefined, clock: CLOCK });
  const bytes = inUse() - before;
  const tried = new Set();
  let now = performance.now();
  const pick = (index) => service.picker.pick({ tried, now, source: () => sources[index & 4095] });
  const picking = median(() => {
    for (let index = 0; index < PICKS; index += 1) pick(index).abandoned();
  });
  const living = median(() => {
    for (let index = 0; index < PICKS; index += 1) {
      now += 0.01;
      const one = pick(index);
      one.connected(1, now);
      one.answered(2, now);
      one.ended('served', now);
    }
  });
  const changed = [...endpoints.slice(1), { id: 'another', addresses: endpoints[0].addresses }];
  const onMain = once(() => main.update('s', changed));
  const delta = deltaOf(placed.endpoints, onMain.result.endpoints);
  const onThread = once(() => {
    service.update({ ...onMain.result, endpoints: withDelta(service.endpoints, delta) });
    pick(0).abandoned();
  });
  return {
    balance,
    endpoints: count,
    'pick, ns': Math.round((picking * 1e6) / PICKS),
    'pick to end, ns': Math.round((living * 1e6) / PICKS),
    'one changed, ms of main': Number(onMain.ms.toFixed(1)),
    'of a data thread': Number(onThread.ms.toFixed(1)),
    ...(globalThis.gc && { 'bytes each': Math.round(bytes / count) }),
  };
}

const BALANCES = ['ewma', 'least-connections', 'round-robin', 'random', 'ring-hash', 'maglev'];
const picks = [10, 1_000, 100_000].flatMap((count) => BALANCES.map((balance) => pickRow(count, balance)));

const tables = [];
for (const count of [10, 1_000, 100_000]) {
  for (const [name, weightOf] of Object.entries(weights)) {
    const endpoints = endpointsOf(count, weightOf);
    const hashed = hashIds(endpoints);
    const hashMs = median(() => hashIds(endpoints));
    const againMs = median(() => hashIds(endpoints, hashed));
    const kinds = {
      maglev: [() => buildMaglev(endpoints, undefined, hashed), (data) => new MaglevTable(data)],
      ring: [() => buildRing(endpoints, hashed), (data) => new RingTable(data)],
    };
    for (const [kind, [build, open]] of Object.entries(kinds)) {
      const buildMs = median(build);
      const table = open(build());
      tables.push({
        table: kind,
        endpoints: count,
        weights: name,
        'hash ids, ms': Number(hashMs.toFixed(2)),
        'known ids, ms': Number(againMs.toFixed(2)),
        'build, ms': Number(buildMs.toFixed(2)),
        'lookup, ns': Math.round(lookupNs(table)),
        'bytes each': Number((table.bytes / count).toFixed(1)),
      });
    }
  }
}
if (process.argv.includes('--json')) {
  console.log(JSON.stringify({ picks, tables, checksum: sink }));
} else {
  console.table(picks);
  console.table(tables);
  console.log(`(checksum ${sink})`);
}
