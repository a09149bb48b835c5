/**
 * What can be configured: one zod schema for the file, the flags and the library, from which the frozen `Config` is
 * parsed and the JSON Schema for editors is made. Every default stands beside its name, with its unit and its reason.
 *
 * Parsing is strict: an unknown key is an error. How single values are written is `fields.ts`; what a file's text looks like (YAML, lines) is `text.ts`.
 */
import { z } from 'zod';
import { DEFAULTS } from './defaults.js';
import { address, count, DAY_MS, duration, name, nameServer, path, size, target, upstream } from './fields.js';
import { listenerSettings } from './listener-settings.js';
import { serviceSettings } from './service-settings.js';

/** More cores than any machine that this runs on has; a slip of the keyboard must not start a million threads. */
const MAX_WORKERS = 1024;

const listener = z.strictObject({
  address: address.describe('Where to listen: host:port, :port, [v6]:port or unix:/path.'),
  service: name
    .optional()
    .describe(
      "The service its connections go to. Default: the one with the listener's own name, or else the only one there is.",
    ),
  ...listenerSettings,
});

const service = z.strictObject({
  upstreams: z
    .array(upstream)
    .min(1, 'a service needs at least one upstream')
    .describe(
      'Its endpoints: host:port or tcp://host:port, unix:/path, a name (dns://name:port), which stands for all of its addresses, srv://_service._tcp.name, or file:///path, a list that is watched.',
    ),
  ...serviceSettings,
});

const admin = z
  .union([z.literal('off'), address])
  .describe('Where metrics, health, connections and the page for people are served; off for nowhere.');

export const configSchema = z
  .strictObject({
    $schema: z.string().optional().describe('For editors: the JSON Schema of this file. Ignored.'),
    listeners: z.record(name, listener).default({}).describe('What is listened on, by name.'),
    services: z.record(name, service).default({}).describe('Where connections go, by name.'),
    defaults: z
      .strictObject({
        listener: z.strictObject(listenerSettings).prefault({}).describe('For every listener.'),
        service: z.strictObject(serviceSettings).prefault({}).describe('For every service.'),
      })
      .prefault({})
      .describe('Settings for every listener or service that does not say otherwise itself.'),
    admin: admin.prefault(DEFAULTS.admin),
    engine: z
      .enum(['auto', 'native', 'streams'])
      .default('auto')
      .describe(
        "What moves the bytes: native (epoll and splice, Linux) or streams (Node's own, anywhere); auto: native where it can run. Holds from the start on.",
      ),
    workers: count
      .max(MAX_WORKERS)
      .optional()
      .describe(
        'Threads that carry connections, with the native engine. Default: as many as there are cores for this process. Holds from the start on.',
      ),
    identity: z
      .strictObject({
        certificate: path
          .optional()
          .describe('PEM file: the certificate of this proxy first, then what leads to a root.'),
        key: path.optional().describe('PEM file: the private key that belongs to it, without passphrase.'),
        bundle: path
          .optional()
          .describe(
            'PEM file: the roots that certificates of others must lead to. Without it tlsDial originate trusts the public authorities that Node knows.',
          ),
        revoked: path
          .optional()
          .describe(
            'JSON file, {"identities": [...], "serials": [...]}: SPIFFE IDs and certificates that are trusted no more. What is open to them is reset within a second.',
          ),
        ca: z
          .strictObject({
            addresses: z
              .array(target)
              .default([])
              .describe('Where the authority is served (meshproxy ca serve); several are asked in turn.'),
            tokenFile: path
              .optional()
              .describe(
                'The join token for the first certificate (meshproxy ca token). Not read where there is an identity.',
              ),
            directory: path
              .default('identity')
              .describe('The folder that the identity is kept in, so that it outlives a restart.'),
            joinTimeout: duration({ min: 1 })
              .prefault(DEFAULTS.joinTimeout)
              .describe('How long to try to get the first certificate before giving up.'),
          })
          .optional()
          .describe('The authority that gives this proxy its certificates and renews them, in place of files.'),
      })
      .prefault({})
      .describe(
        'Who this proxy is to others, and whom it trusts. The files are watched: new ones hold for new connections.',
      ),
    zone: name.optional().describe('The zone that this proxy is in: endpoints of the same zone are preferred.'),
    drainTimeout: duration()
      .prefault(DEFAULTS.drainTimeout)
      .describe('After SIGTERM or SIGINT: how long connections may take to finish before they are reset.'),
    accessLog: z
      .enum(['off', 'errors', 'all'])
      .default('all')
      .describe('One line for each connection that ends; errors: only for those that did not end as they should.'),
    log: z
      .strictObject({
        level: z
          .enum(['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'])
          .default('info')
          .describe('The least severe lines that are logged. With debug and trace, errors show their stack.'),
        format: z
          .enum(['auto', 'pretty', 'json'])
          .default('auto')
          .describe('How log lines are written; auto: pretty on a terminal, JSON elsewhere.'),
      })
      .prefault({})
      .describe('The log, on standard error.'),
    limits: z
      .strictObject({
        maxConnections: count
          .optional()
          .describe('Connections carried at a time in all. Default: what the descriptors of this process allow.'),
        maxMemory: size(64 * 1024 ** 2, 2 ** 50)
          .optional()
          .describe(
            'Resident memory past which new connections are refused. Default: three quarters of what the machine or its control group has.',
          ),
        shedTarget: duration({ min: 2, max: 60_000, off: true })
          .prefault(DEFAULTS.shedTarget)
          .describe(
            'How long connections may wait to be accepted while this process cannot keep up; past it they are refused at once, those of the busiest sources first. off: however long they wait.',
          ),
        bufferSize: size(4096, 16 * 1024 ** 2)
          .prefault(DEFAULTS.bufferSize)
          .describe(
            'With the engine streams: bytes buffered per connection and direction before its sender is held back.',
          ),
        keepalive: duration({ min: 1000, max: DAY_MS / 4, off: true })
          .prefault(DEFAULTS.keepalive)
          .describe('TCP keepalive: how long a connection may be silent before its peer is probed; off for never.'),
      })
      .prefault({})
      .describe('Bounds for the whole process.'),
    dns: z
      .strictObject({
        servers: z
          .array(nameServer)
          .min(1, 'at least one name server is needed; leave the key out for those of the machine')
          .optional()
          .describe("Name servers to ask, as address or address:port. Default: the machine's own."),
        minTtl: duration({ min: 100 })
          .prefault(DEFAULTS.dnsMinTtl)
          .describe('Answers are kept at least this long, whatever their TTL.'),
        maxTtl: duration({ min: 1000 })
          .prefault(DEFAULTS.dnsMaxTtl)
          .describe('Answers are kept at most this long, whatever their TTL.'),
        fallbackTtl: duration({ min: 1000 })
          .prefault(DEFAULTS.dnsFallbackTtl)
          .describe('How long an answer without a TTL (hosts file, system resolver) is kept.'),
      })
      .prefault({})
      .describe('How the names of upstreams are resolved.'),
  })
  .meta({ title: 'meshproxy', description: 'Configuration of meshproxy, a service mesh for TCP.' });

/** What a file or a library user writes. */
export type ConfigInput = z.input<typeof configSchema>;

type DeepReadonly<T> = T extends readonly (infer E)[]
  ? readonly DeepReadonly<E>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

/** What the schema makes of a valid input: parsed, with every default filled in; not yet resolved. */
export type ParsedInput = DeepReadonly<z.output<typeof configSchema>>;

/** A listener whose service is known to exist. */
export type ListenerConfig = Omit<ParsedInput['listeners'][string], 'service'> & { readonly service: string };
export type ServiceConfig = ParsedInput['services'][string];

/** What the program runs on: parsed (addresses as `Address`, durations in ms, sizes in bytes), resolved, complete and frozen. */
export type Config = Omit<ParsedInput, '$schema' | 'defaults' | 'listeners'> & {
  readonly listeners: Readonly<Record<string, ListenerConfig>>;
};
