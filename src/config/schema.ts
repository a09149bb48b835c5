/**
 * What can be configured: one zod schema for the file, the flags and the library, from which the frozen `Config` is
 * parsed and the JSON Schema for editors is made. Every default stands beside its name, with its unit and its reason.
 *
 * Parsing is strict: an unknown key is an error. How single values are written is `fields.ts`; what a file's text looks like (YAML, lines) is `text.ts`.
 */
import { z } from 'zod';
import {
  address,
  count,
  DAY_MS,
  duration,
  name,
  nameServer,
  path,
  percent,
  size,
  spiffeId,
  target,
  upstream,
} from './fields.js';

/** Why each default is what it is; the values themselves are below, in the schema's own terms. */
export const DEFAULTS = {
  /** Twice a slow cross-continent handshake with one lost SYN (1 s until Linux sends it again). */
  connectTimeout: '2s',
  /** As ztunnel has it for one attempt; here for all attempts of one connection together. */
  connectDeadline: '10s',
  /** Enough to get past a rack that is gone; a bound, so that one connection cannot try a thousand endpoints. */
  connectAttempts: 8,
  /** RFC 8305 section 8: the recommended Connection Attempt Delay. */
  raceDelay: '250ms',
  /** As tower, linkerd2 and Finagle have it. */
  ewmaDecay: '10s',
  /** As linkerd2 has it: a little more than a good endpoint of the same region takes. */
  ewmaInitial: '30ms',
  /** Off, as in Envoy and HAProxy: most programs are as fast in their first second as later. */
  slowStart: 'off',
  /** As Envoy has it. */
  panicThreshold: '50%',
  /** As Envoy has it. */
  ejectAfter: 5,
  ejectTime: '30s',
  ejectMaxTime: '5m',
  /** Envoy's 10 % leaves two of three dead ones in a fleet of ten to be found out by each connection anew. */
  ejectMaxShare: '50%',
  /** None: databases keep connections idle for hours (Istio's default of one hour breaks their pools). */
  idleTimeout: 'off',
  /** As long as a person might wait for the answer to a finished request; bytes that move start it again. */
  halfCloseTimeout: '5m',
  /** Finds a dead peer in about a minute, and stays under the 350 s at which cloud load balancers forget a flow. */
  keepalive: '60s',
  /** A load balancer sends the header at once; this is for one lost packet and its retransmission, twice over. */
  proxyProtocolTimeout: '5s',
  /** A handshake is two round trips and a signature; this is for a client on a bad line, with packets lost. */
  tlsHandshakeTimeout: '10s',
  /** Longer than an authority takes to restart; whoever runs the proxy starts it again after that. */
  joinTimeout: '30s',
  /** As HAProxy's and Docker's users are used to; Kubernetes kills at 30 s as well. */
  drainTimeout: '30s',
  /** One Node read at most; the bound on bytes in flight per direction is about two of these beside the kernel's. */
  bufferSize: '64KiB',
  /** A TTL of 0 must not mean a query per connection. */
  dnsMinTtl: '1s',
  /** A name whose owner forgot its TTL of a week still moves within minutes. */
  dnsMaxTtl: '5m',
  /** As long as system caches (nscd, systemd-resolved) hold an answer that names no TTL. */
  dnsFallbackTtl: '30s',
  /** On the loopback interface: what it shows and does is for the machine's operator. */
  admin: '127.0.0.1:9901',
} as const;

/** More cores than any machine that this runs on has; a slip of the keyboard must not start a million threads. */
const MAX_WORKERS = 1024;

const listenerSettings = {
  acceptProxyProtocol: z
    .boolean()
    .default(false)
    .describe('Every connection must begin with a PROXY protocol header (v1 or v2); one without is refused.'),
  proxyProtocolTimeout: duration({ min: 1 })
    .prefault(DEFAULTS.proxyProtocolTimeout)
    .describe('How long a client may take to send its PROXY protocol header.'),
  maxConnections: count
    .optional()
    .describe(
      'Connections that one listener carries at a time; one more is refused at once. Default: no limit of its own.',
    ),
  tlsAccept: z
    .enum(['off', 'mutual', 'terminate'])
    .default('off')
    .describe(
      'TLS with clients: mutual (TLS 1.3, both sides show certificates of the mesh) or terminate (TLS 1.2 or 1.3, clients show none). After the PROXY protocol header, where there is one.',
    ),
  tlsHandshakeTimeout: duration({ min: 1 })
    .prefault(DEFAULTS.tlsHandshakeTimeout)
    .describe('How long the TLS handshake with a client may take.'),
  clientIdentities: z
    .array(spiffeId)
    .min(1, 'an empty list lets nobody in; leave the key out for every client that the trust bundle vouches for')
    .optional()
    .describe(
      'With tlsAccept mutual: the SPIFFE IDs of the clients that are let in. Default: everyone that the trust bundle vouches for.',
    ),
};

const serviceSettings = {
  connectTimeout: duration({ min: 1 })
    .prefault(DEFAULTS.connectTimeout)
    .describe('How long one endpoint may take to accept a connection before the next one is tried.'),
  connectDeadline: duration({ min: 1 })
    .prefault(DEFAULTS.connectDeadline)
    .describe('How long all attempts for one connection may take together.'),
  connectAttempts: count
    .max(100)
    .default(DEFAULTS.connectAttempts)
    .describe('How many endpoints are tried for one connection, each once.'),
  raceDelay: duration({ min: 10 })
    .prefault(DEFAULTS.raceDelay)
    .describe('Happy Eyeballs: the head start of one address of an endpoint before the next is tried beside it.'),
  idleTimeout: duration({ off: true })
    .prefault(DEFAULTS.idleTimeout)
    .describe('Reset a connection on which no byte has moved for this long; off for never.'),
  halfCloseTimeout: duration({ off: true })
    .prefault(DEFAULTS.halfCloseTimeout)
    .describe(
      'Reset a connection of which one direction has ended and on whose other no byte has moved for this long; off for never.',
    ),
  balance: z
    .enum(['ewma', 'least-connections', 'round-robin', 'random'])
    .default('round-robin')
    .describe(
      'How an endpoint is chosen: round-robin; ewma (of two drawn at random the one with less latency times open connections), least-connections (of two, the one with fewer) or random; all by weight.',
    ),
  ewmaDecay: duration({ min: 1 })
    .prefault(DEFAULTS.ewmaDecay)
    .describe('How fast what was learnt of latencies fades: to 37 % in so long.'),
  ewmaInitial: duration({ min: 1 })
    .prefault(DEFAULTS.ewmaInitial)
    .describe('With balance ewma: the latency that is expected of an endpoint before anything is known of it.'),
  slowStart: duration({ off: true })
    .prefault(DEFAULTS.slowStart)
    .describe('How long an endpoint that is added later takes to come to its full share; off for at once.'),
  panicThreshold: percent
    .prefault(DEFAULTS.panicThreshold)
    .describe(
      'Where fewer of the endpoints than this can take connections, all of them get some again: rather a few failures than too much for the rest.',
    ),
  ejectAfter: z
    .union([z.literal('off').transform(() => 0), count.max(1000)])
    .prefault(DEFAULTS.ejectAfter)
    .describe(
      'Failures in a row (connecting, TLS, or reset before the first byte) after which an endpoint takes no connections for a while; off for never.',
    ),
  ejectTime: duration({ min: 100 })
    .prefault(DEFAULTS.ejectTime)
    .describe('How long it takes none the first time; each further time twice as long.'),
  ejectMaxTime: duration({ min: 100 }).prefault(DEFAULTS.ejectMaxTime).describe('The longest that it takes none.'),
  ejectMaxShare: percent
    .prefault(DEFAULTS.ejectMaxShare)
    .describe('Of all endpoints of the service at most so many are ejected at a time, though always one of several.'),
  onEndpointRemoved: z
    .enum(['drain', 'reset'])
    .default('drain')
    .describe(
      'What becomes of connections to an endpoint that is no longer found: drain lets them run on until they end, reset ends them at once. It gets no new ones either way.',
    ),
  sendProxyProtocol: z
    .enum(['off', 'v1', 'v2'])
    .default('off')
    .describe('Begin every upstream connection with a PROXY protocol header that names the client.'),
  tlsDial: z
    .enum(['off', 'mutual', 'originate'])
    .default('off')
    .describe(
      'TLS towards upstreams: mutual (TLS 1.3, both sides show certificates of the mesh) or originate (TLS 1.2 or 1.3, to a server that is known by its host name). After the PROXY protocol header, where one is sent.',
    ),
  serverIdentity: spiffeId
    .optional()
    .describe('With tlsDial mutual: the SPIFFE ID that every upstream of the service must prove to be.'),
  serverName: z
    .string()
    .min(1)
    .max(253)
    .optional()
    .describe(
      'The name sent in the TLS handshake (SNI); with tlsDial originate also the one that the certificate must be for. Default there: the name that the upstream is configured by.',
    ),
};

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
