/**
 * What no single value shows: whether the parts of a configuration fit together. It looks at what was written, not at
 * what was parsed, so that its problems are listed beside all others.
 */
import { isIPv4 } from 'node:net';
import { type Address, formatAddress, isLoopback, parseAddress } from '../core/address.js';
import { formatDuration } from '../core/units.js';
import { checkHealth, idleExchanges } from './check-health.js';
import { checkTls } from './check-tls.js';
import { DEFAULTS } from './defaults.js';
import type { Path } from './json-schema.js';
import { nearest } from './nearest.js';
import { asRecord, type PlainRecord } from './plain.js';
import type { Problem } from './problems.js';
import type { ParsedInput } from './schema.js';
import { show } from './show.js';
import { parseUpstream } from './upstream.js';

export function checkTogether(input: unknown): Problem[] {
  const root = asRecord(input) ?? {};
  const listeners = listenersOf(root['listeners']);
  const services = asRecord(root['services']) ?? {};
  return [
    ...badNames(root),
    ...listeners.flatMap((listener) => checkService(listener, services)),
    ...sharedAddresses(listeners, root['admin']),
    ...idleWorkers(root),
    ...idleExchanges(root),
  ];
}

/** The same of what can only be compared once it is parsed. */
export function checkParsed(parsed: ParsedInput): Problem[] {
  return [...checkTtls(parsed), ...checkTls(parsed), ...checkHealth(parsed)];
}

function checkTtls({ dns }: ParsedInput): Problem[] {
  if (dns.minTtl <= dns.maxTtl) return [];
  const message = `${formatDuration(dns.minTtl)} is longer than dns.maxTtl, which is ${formatDuration(dns.maxTtl)}`;
  return [{ path: ['dns', 'minTtl'], at: 'value', message }];
}

function idleWorkers({ engine, workers }: PlainRecord): Problem[] {
  if (engine !== 'streams' || typeof workers !== 'number' || workers <= 1) return [];
  const message = `${workers} needs the native engine: streams runs in one thread; leave workers out, or set engine to native or auto`;
  return [{ path: ['workers'], at: 'value', message }];
}

interface WrittenListener {
  readonly name: string;
  readonly address: Address | undefined;
  readonly service: unknown;
}

function listenersOf(written: unknown): WrittenListener[] {
  return Object.entries(asRecord(written) ?? {}).flatMap(([name, value]) => {
    const listener = asRecord(value);
    return listener
      ? [{ name, address: tryParse(listener['address'], parseAddress), service: listener['service'] }]
      : [];
  });
}

/** zod's records pass over this one key in silence. */
function badNames(root: PlainRecord): Problem[] {
  return ['listeners', 'services']
    .filter((section) => Object.hasOwn(asRecord(root[section]) ?? {}, '__proto__'))
    .map((section) => ({ path: [section, '__proto__'], at: 'key', message: '"__proto__" cannot be a name' }));
}

/** The service that a listener's connections go to, or `undefined` where it cannot be told. */
export function serviceOf(listener: string, written: unknown, services: readonly string[]): string | undefined {
  if (written !== undefined) return services.find((name) => name === written);
  if (services.includes(listener)) return listener;
  return services.length === 1 ? services[0] : undefined;
}

function checkService({ name, address, service }: WrittenListener, services: PlainRecord): Problem[] {
  const names = Object.keys(services);
  const path = ['listeners', name, 'service'];
  const resolved = serviceOf(name, service, names);
  if (resolved === undefined) {
    // Of another type than text: zod says so.
    if (service !== undefined && typeof service !== 'string') return [];
    return [{ path, at: 'value', message: noService(service, names) }];
  }
  return address === undefined ? [] : loops(address, ['services', resolved, 'upstreams'], services[resolved], name);
}

function noService(written: string | undefined, names: readonly string[]): string {
  if (names.length === 0)
    return 'there is no service; a service is what has upstreams: services: {NAME: {upstreams: [...]}}';
  const known = `the services are ${names.slice(0, 10).join(', ')}${names.length > 10 ? ', ...' : ''}`;
  if (written === undefined) return `is missing, and no service has the listener's name; ${known}`;
  const near = nearest(written, names);
  return `there is no service ${show(written)}; ${near === undefined ? known : `did you mean ${show(near)}?`}`;
}

/** A connection to itself would be accepted, and connect to itself, until there is no descriptor left. */
function loops(listener: Address, path: Path, service: unknown, name: string): Problem[] {
  const upstreams = asRecord(service)?.['upstreams'];
  if (!Array.isArray(upstreams)) return [];
  return upstreams.flatMap((written: unknown, index): Problem[] => {
    const upstream = tryParse(written, parseUpstream);
    if (upstream === undefined || upstream.kind === 'srv' || upstream.kind === 'file') return [];
    if (!reaches(upstream, listener)) return [];
    const message = `${show(written)} is where listener ${name} listens: its connections would come back to it without end`;
    return [{ path: [...path, index], at: 'value', message }];
  });
}

function reaches(upstream: Address, listener: Address): boolean {
  if (upstream.kind === 'unix' || listener.kind === 'unix') return formatAddress(upstream) === formatAddress(listener);
  if (upstream.port !== listener.port || listener.port === 0) return false;
  if (formatAddress(upstream) === formatAddress(listener)) return true;
  return hostsDialled(upstream).some((host) => takes(listener, host));
}

/** As far as the text tells: what a name other than `localhost` stands for, only DNS knows. */
function hostsDialled(upstream: Address): readonly string[] {
  if (upstream.kind === 'ip') return [upstream.host];
  return upstream.kind === 'any' || isLoopback(upstream) ? ['127.0.0.1', '::1'] : [];
}

function takes(listener: Address, host: string): boolean {
  if (listener.kind === 'any') return isLoopbackHost(host);
  if (listener.kind === 'name') return isLoopback(listener) && host === '127.0.0.1';
  if (listener.kind === 'unix') return false;
  if (listener.host === '::') return isLoopbackHost(host);
  return listener.host === '0.0.0.0' ? isIPv4(host) && isLoopbackHost(host) : listener.host === host;
}

function isLoopbackHost(host: string): boolean {
  return isLoopback({ kind: 'ip', host, port: 0 });
}

function sharedAddresses(listeners: readonly WrittenListener[], admin: unknown): Problem[] {
  const users = new Map<string, string>();
  const adminAddress = tryParse(admin === undefined ? DEFAULTS.admin : admin, parseAddress);
  if (adminAddress !== undefined && isFixed(adminAddress)) users.set(formatAddress(adminAddress), 'the admin listener');
  return listeners.flatMap(({ name, address }): Problem[] => {
    if (address === undefined || !isFixed(address)) return [];
    const other = users.get(formatAddress(address));
    users.set(formatAddress(address), other ?? `listener ${name}`);
    if (other === undefined) return [];
    const message = `${show(formatAddress(address))} is taken: ${other} has the same address`;
    return [{ path: ['listeners', name, 'address'], at: 'value', message }];
  });
}

/** Port 0 is another port for everyone who asks. */
function isFixed(address: Address): boolean {
  return address.kind === 'unix' || address.port !== 0;
}

function tryParse<T>(written: unknown, parse: (text: string) => T): T | undefined {
  if (typeof written !== 'string') return undefined;
  try {
    return parse(written);
  } catch {
    return undefined;
  }
}
