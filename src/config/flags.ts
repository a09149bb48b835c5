/**
 * The command line's settings. Flags and file are one configuration: flags are laid over what the file says, as the
 * same kind of raw input, and then all of it is parsed at once.
 *
 * Settings of the whole process win over the file's. Settings of listeners and services go to `defaults`, so that they
 * hold for each that does not say otherwise itself. `--listen` and `--upstream` add listeners and a service `default`.
 */
import { MeshproxyError } from '../core/errors.js';
import type { Path } from './json-schema.js';
import { asRecord } from './plain.js';
import { explain, formatPath, listed, type Problem, toProblems } from './problems.js';
import { configSchema } from './schema.js';
import { show } from './show.js';

export interface FlagSpec {
  /** How its value is called in the help; absent where it takes none. */
  readonly value?:
    | 'percentage'
    | 'key'
    | 'address'
    | 'upstream'
    | 'duration'
    | 'size'
    | 'rate'
    | 'bandwidth'
    | 'number'
    | 'mode'
    | 'check'
    | 'statuses'
    | 'bytes'
    | 'file'
    | 'folder'
    | 'name'
    | 'spiffe-id';
  readonly group:
    | 'Main options'
    | 'Clients'
    | 'Upstreams'
    | 'Balancing'
    | 'Health checks'
    | 'TLS'
    | 'Limits'
    | 'Name resolution'
    | 'Process';
  /** What it sets. */
  readonly path: Path;
  /** May be given more than once: all values count. Of any other flag, the last does. */
  readonly repeats?: true;
}

/** Listed as the help lists them. What each means, and its default, is said by the schema at its path. */
export const FLAGS = {
  '--listen': { value: 'address', group: 'Main options', path: ['listeners', 'default', 'address'], repeats: true },
  '--upstream': { value: 'upstream', group: 'Main options', path: ['services', 'default', 'upstreams'], repeats: true },
  '--admin': { value: 'address', group: 'Main options', path: ['admin'] },
  '--accept-proxy-protocol': { group: 'Clients', path: ['defaults', 'listener', 'acceptProxyProtocol'] },
  '--proxy-protocol-timeout': {
    value: 'duration',
    group: 'Clients',
    path: ['defaults', 'listener', 'proxyProtocolTimeout'],
  },
  '--detect-timeout': { value: 'duration', group: 'Clients', path: ['defaults', 'listener', 'detectTimeout'] },
  '--max-connections-per-listener': {
    value: 'number',
    group: 'Clients',
    path: ['defaults', 'listener', 'maxConnections'],
  },
  '--max-connection-rate': { value: 'rate', group: 'Clients', path: ['defaults', 'listener', 'maxConnectionRate'] },
  '--max-connection-rate-per-source': {
    value: 'rate',
    group: 'Clients',
    path: ['defaults', 'listener', 'maxConnectionRatePerSource'],
  },
  '--max-bandwidth': { value: 'bandwidth', group: 'Clients', path: ['defaults', 'listener', 'maxBandwidth'] },
  '--max-bandwidth-per-source': {
    value: 'bandwidth',
    group: 'Clients',
    path: ['defaults', 'listener', 'maxBandwidthPerSource'],
  },
  '--balance': { value: 'mode', group: 'Balancing', path: ['defaults', 'service', 'balance'] },
  '--hash-key': { value: 'key', group: 'Balancing', path: ['defaults', 'service', 'hashKey'] },
  '--hash-balance-factor': {
    value: 'percentage',
    group: 'Balancing',
    path: ['defaults', 'service', 'hashBalanceFactor'],
  },
  '--ewma-decay': { value: 'duration', group: 'Balancing', path: ['defaults', 'service', 'ewmaDecay'] },
  '--ewma-initial': { value: 'duration', group: 'Balancing', path: ['defaults', 'service', 'ewmaInitial'] },
  '--slow-start': { value: 'duration', group: 'Balancing', path: ['defaults', 'service', 'slowStart'] },
  '--zone': { value: 'name', group: 'Balancing', path: ['zone'] },
  '--panic-threshold': { value: 'percentage', group: 'Balancing', path: ['defaults', 'service', 'panicThreshold'] },
  '--eject-after': { value: 'number', group: 'Balancing', path: ['defaults', 'service', 'ejectAfter'] },
  '--eject-latency': { value: 'number', group: 'Balancing', path: ['defaults', 'service', 'ejectLatency'] },
  '--eject-time': { value: 'duration', group: 'Balancing', path: ['defaults', 'service', 'ejectTime'] },
  '--eject-max-time': { value: 'duration', group: 'Balancing', path: ['defaults', 'service', 'ejectMaxTime'] },
  '--eject-max-share': { value: 'percentage', group: 'Balancing', path: ['defaults', 'service', 'ejectMaxShare'] },
  '--health-check': { value: 'check', group: 'Health checks', path: ['defaults', 'service', 'healthCheck'] },
  '--health-interval': { value: 'duration', group: 'Health checks', path: ['defaults', 'service', 'healthInterval'] },
  '--health-timeout': { value: 'duration', group: 'Health checks', path: ['defaults', 'service', 'healthTimeout'] },
  '--health-rise': { value: 'number', group: 'Health checks', path: ['defaults', 'service', 'healthRise'] },
  '--health-fall': { value: 'number', group: 'Health checks', path: ['defaults', 'service', 'healthFall'] },
  '--health-port': { value: 'number', group: 'Health checks', path: ['defaults', 'service', 'healthPort'] },
  '--health-status': { value: 'statuses', group: 'Health checks', path: ['defaults', 'service', 'healthStatus'] },
  '--health-send': { value: 'bytes', group: 'Health checks', path: ['defaults', 'service', 'healthSend'] },
  '--health-expect': { value: 'bytes', group: 'Health checks', path: ['defaults', 'service', 'healthExpect'] },
  '--send-proxy-protocol': { value: 'mode', group: 'Upstreams', path: ['defaults', 'service', 'sendProxyProtocol'] },
  '--connect-timeout': { value: 'duration', group: 'Upstreams', path: ['defaults', 'service', 'connectTimeout'] },
  '--connect-deadline': { value: 'duration', group: 'Upstreams', path: ['defaults', 'service', 'connectDeadline'] },
  '--connect-attempts': { value: 'number', group: 'Upstreams', path: ['defaults', 'service', 'connectAttempts'] },
  '--max-connections-per-service': {
    value: 'number',
    group: 'Upstreams',
    path: ['defaults', 'service', 'maxConnections'],
  },
  '--max-pending': { value: 'number', group: 'Upstreams', path: ['defaults', 'service', 'maxPending'] },
  '--queue-timeout': { value: 'duration', group: 'Upstreams', path: ['defaults', 'service', 'queueTimeout'] },
  '--queue-target': { value: 'duration', group: 'Upstreams', path: ['defaults', 'service', 'queueTarget'] },
  '--max-retries': { value: 'number', group: 'Upstreams', path: ['defaults', 'service', 'maxRetries'] },
  '--retry-budget': { value: 'percentage', group: 'Upstreams', path: ['defaults', 'service', 'retryBudget'] },
  '--replay': { value: 'size', group: 'Upstreams', path: ['defaults', 'service', 'replay'] },
  '--retry-min-rate': { value: 'number', group: 'Upstreams', path: ['defaults', 'service', 'retryMinRate'] },
  '--race-delay': { value: 'duration', group: 'Upstreams', path: ['defaults', 'service', 'raceDelay'] },
  '--idle-timeout': { value: 'duration', group: 'Upstreams', path: ['defaults', 'service', 'idleTimeout'] },
  '--half-close-timeout': { value: 'duration', group: 'Upstreams', path: ['defaults', 'service', 'halfCloseTimeout'] },
  '--on-endpoint-removed': {
    value: 'mode',
    group: 'Upstreams',
    path: ['defaults', 'service', 'onEndpointRemoved'],
  },
  '--tls-accept': { value: 'mode', group: 'TLS', path: ['defaults', 'listener', 'tlsAccept'] },
  '--tls-dial': { value: 'mode', group: 'TLS', path: ['defaults', 'service', 'tlsDial'] },
  '--tls-certificate': { value: 'file', group: 'TLS', path: ['identity', 'certificate'] },
  '--tls-key': { value: 'file', group: 'TLS', path: ['identity', 'key'] },
  '--tls-bundle': { value: 'file', group: 'TLS', path: ['identity', 'bundle'] },
  '--tls-revoked': { value: 'file', group: 'TLS', path: ['identity', 'revoked'] },
  '--ca': { value: 'address', group: 'TLS', path: ['identity', 'ca', 'addresses'], repeats: true },
  '--token-file': { value: 'file', group: 'TLS', path: ['identity', 'ca', 'tokenFile'] },
  '--identity-dir': { value: 'folder', group: 'TLS', path: ['identity', 'ca', 'directory'] },
  '--client-identity': {
    value: 'spiffe-id',
    group: 'TLS',
    path: ['defaults', 'listener', 'clientIdentities'],
    repeats: true,
  },
  '--server-identity': { value: 'spiffe-id', group: 'TLS', path: ['defaults', 'service', 'serverIdentity'] },
  '--server-name': { value: 'name', group: 'TLS', path: ['defaults', 'service', 'serverName'] },
  '--tls-handshake-timeout': {
    value: 'duration',
    group: 'TLS',
    path: ['defaults', 'listener', 'tlsHandshakeTimeout'],
  },
  '--max-connections': { value: 'number', group: 'Limits', path: ['limits', 'maxConnections'] },
  '--max-memory': { value: 'size', group: 'Limits', path: ['limits', 'maxMemory'] },
  '--shed-target': { value: 'duration', group: 'Limits', path: ['limits', 'shedTarget'] },
  '--buffer-size': { value: 'size', group: 'Limits', path: ['limits', 'bufferSize'] },
  '--keepalive': { value: 'duration', group: 'Limits', path: ['limits', 'keepalive'] },
  '--dns-server': { value: 'address', group: 'Name resolution', path: ['dns', 'servers'], repeats: true },
  '--dns-min-ttl': { value: 'duration', group: 'Name resolution', path: ['dns', 'minTtl'] },
  '--dns-max-ttl': { value: 'duration', group: 'Name resolution', path: ['dns', 'maxTtl'] },
  '--dns-fallback-ttl': { value: 'duration', group: 'Name resolution', path: ['dns', 'fallbackTtl'] },
  '--engine': { value: 'mode', group: 'Process', path: ['engine'] },
  '--workers': { value: 'number', group: 'Process', path: ['workers'] },
  '--drain-timeout': { value: 'duration', group: 'Process', path: ['drainTimeout'] },
  '--access-log': { value: 'mode', group: 'Process', path: ['accessLog'] },
  '--log-level': { value: 'mode', group: 'Process', path: ['log', 'level'] },
  '--log-format': { value: 'mode', group: 'Process', path: ['log', 'format'] },
} as const satisfies Readonly<Record<string, FlagSpec>>;

export type FlagName = keyof typeof FLAGS;

export const FLAG_NAMES = Object.keys(FLAGS) as readonly FlagName[];

/** What was written behind each flag, unparsed: `{'--listen': [':8080'], '--drain-timeout': '5s'}`. */
export type Flags = { readonly [Name in FlagName]?: string | true | readonly string[] };

/** The flag that set a path, for errors; by the path's written form. */
export type Origins = ReadonlyMap<string, Origin>;

interface Origin {
  readonly flag: FlagName;
  readonly value: unknown;
}

export interface Merged {
  /** Not yet checked as a whole. */
  readonly input: unknown;
  readonly origins: Origins;
}

/**
 * Lays flags over `raw`, the content of `file`, or over nothing.
 * @throws MeshproxyError `usage` or `bad-address` that names the flag, for a value that is wrong in itself and for
 * flags that make no sense together or with this file
 */
export function mergeFlags(flags: Flags, raw: unknown = {}, file = 'the file'): Merged {
  refuseHalf(flags);
  const settings = toSettings(flags);
  const origins = new Map(settings.flatMap(originsOf));
  refuseBadValues(settings, origins);
  refuseTakenNames(settings, raw, file);
  return { input: overlay(raw, settings), origins };
}

/** A problem with what a flag has set, as `--listen ":x": the port ...`; `undefined` where none has. */
export function inFlag({ path, message }: Problem, origins: Origins): string | undefined {
  const origin = origins.get(formatPath(path));
  if (origin === undefined) return undefined;
  if (origin.value === true) return `${origin.flag}: ${message}`;
  const value = show(origin.value);
  return message.startsWith(value) ? `${origin.flag} ${message}` : `${origin.flag} ${value}: ${message}`;
}

interface Setting {
  readonly flag: FlagName;
  readonly path: Path;
  readonly value: unknown;
}

function toSettings(flags: Flags): Setting[] {
  return FLAG_NAMES.flatMap((flag): Setting[] => {
    const written = flags[flag];
    if (written === undefined) return [];
    const { path, ...spec }: FlagSpec = FLAGS[flag];
    if (flag === '--listen') return [written].flat().flatMap((address, index) => listenerSettings(address, index));
    if (spec.repeats) return [{ flag, path, value: [written].flat() }];
    const isCount = spec.value === 'number' && /^\d{1,15}$/.test(String(written));
    return [{ flag, path, value: isCount ? Number(written) : written }];
  });
}

function listenerSettings(address: unknown, index: number): Setting[] {
  const name = index === 0 ? 'default' : `default-${index + 1}`;
  return [
    { flag: '--listen', path: ['listeners', name, 'address'], value: address },
    { flag: '--listen', path: ['listeners', name, 'service'], value: 'default' },
  ];
}

function originsOf({ flag, path, value }: Setting): [string, Origin][] {
  const values = Array.isArray(value) ? value : [value];
  return values.map((one: unknown, index) => [
    formatPath(Array.isArray(value) ? [...path, index] : path),
    { flag, value: one },
  ]);
}

function refuseHalf(flags: Flags): void {
  const given = flags['--listen'] !== undefined;
  if (given === (flags['--upstream'] !== undefined)) return;
  throw given
    ? usage('--listen without --upstream: where are its connections to go?', 'add --upstream HOST:PORT')
    : usage('--upstream without --listen: where are its connections to come from?', 'add --listen 127.0.0.1:8080');
}

/** Each value by itself; what they are together with the file is for later. */
function refuseBadValues(settings: readonly Setting[], origins: Origins): void {
  const { error } = configSchema.safeParse(overlay({}, settings), { error: explain });
  const problems = toProblems(error?.issues ?? []);
  if (problems.length === 0) return;
  const areAddresses = problems.every(({ path }) => ADDRESS_FLAGS.has(origins.get(formatPath(path))?.flag));
  const lines = problems.map((problem) => inFlag(problem, origins) ?? problem.message);
  throw new MeshproxyError(areAddresses ? 'bad-address' : 'usage', listed(lines));
}

const ADDRESS_FLAGS: ReadonlySet<FlagName | undefined> = new Set(['--listen', '--upstream', '--admin', '--ca']);

function refuseTakenNames(settings: readonly Setting[], raw: unknown, file: string): void {
  for (const { flag, path } of settings) {
    const [section, name] = path;
    if ((section !== 'listeners' && section !== 'services') || name === undefined) continue;
    if (!Object.hasOwn(asRecord(asRecord(raw)?.[section]) ?? {}, name)) continue;
    const kind = section === 'listeners' ? 'listener' : 'service';
    throw usage(
      `${flag} makes a ${kind} ${show(name)}, and ${file} has one of that name`,
      `rename it in ${file}, or leave out --listen and --upstream`,
    );
  }
}

function overlay(raw: unknown, settings: readonly Setting[]): unknown {
  return settings.reduce((input, { path, value }) => put(input, path, value), raw);
}

/** A copy of `target` with `value` at `path`. What is no mapping on the way stays, for the schema to refuse. */
function put(target: unknown, path: Path, value: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const mapping = target === undefined ? {} : asRecord(target);
  if (mapping === undefined) return target;
  const child = Object.hasOwn(mapping, key) ? mapping[key] : undefined;
  return { ...mapping, [key]: put(child, rest, value) };
}

function usage(message: string, hint: string): MeshproxyError {
  return new MeshproxyError('usage', message, { hint });
}
