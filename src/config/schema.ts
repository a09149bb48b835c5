/**
 * What can be configured: one zod schema for the file, the flags and the library, from which the frozen `Config` is
 * parsed and the JSON Schema for editors is made. Every default stands beside its name, with its unit and its reason.
 *
 * Parsing is strict: an unknown key is an error. What the file's text looks like (lines, YAML) is `load.ts`.
 */
import { z } from 'zod';
import { type Address, parseAddress } from '../core/address.js';
import { MeshproxyError } from '../core/errors.js';
import { parseDuration, parseSize } from '../core/units.js';

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
  /** None: databases keep connections idle for hours (Istio's default of one hour breaks their pools). */
  idleTimeout: '0',
  /** As long as a person might wait for the answer to a finished request; bytes that move start it again. */
  halfCloseTimeout: '5m',
  /** Finds a dead peer in about a minute, and stays under the 350 s at which cloud load balancers forget a flow. */
  keepalive: '60s',
  /** A load balancer sends the header at once; this is for one lost packet and its retransmission, twice over. */
  proxyProtocolTimeout: '5s',
  /** As HAProxy's and Docker's users are used to; Kubernetes kills at 30 s as well. */
  drainTimeout: '30s',
  /** One Node read at most; the bound on bytes in flight per direction is about two of these beside the kernel's. */
  bufferSize: '64KiB',
  /** On the loopback interface: what it shows and does is for the machine's operator. */
  admin: '127.0.0.1:9901',
} as const;

/** Keeps a refinement's own words: zod shows `message`, the hint follows it. */
function issueText(error: MeshproxyError): string {
  return error.hint === undefined ? error.message : `${error.message} (${error.hint})`;
}

const address = z
  .string()
  .transform((text, context): Address => {
    try {
      return parseAddress(text);
    } catch (error) {
      if (!(error instanceof MeshproxyError)) throw error;
      context.addIssue({ code: 'custom', message: issueText(error), input: text });
      return z.NEVER;
    }
  })
  .meta({ examples: ['127.0.0.1:8080', ':8080', '[::1]:8080', 'example.org:80', 'unix:/run/app.sock'] });

interface DurationBounds {
  /** Least and most, in milliseconds. */
  readonly min?: number;
  readonly max?: number;
}

const DAY_MS = 86_400_000;

/** A duration in milliseconds; `0` or `off` mean "none" where `min` allows it. */
function duration({ min = 0, max = 365 * DAY_MS }: DurationBounds = {}) {
  return z
    .union([z.string(), z.literal(0)])
    .transform((value, context) => {
      const ms = value === 0 || value === 'off' ? 0 : parseDuration(value);
      if (ms === undefined) {
        const unitless = /^\d+$/.test(String(value)) ? `, or did you mean ${value}s?` : '';
        context.addIssue({
          code: 'custom',
          message: `${JSON.stringify(value)} is not a duration; write 250ms, 2s, 1m30s or 1h${min === 0 ? ', or off' : ''}${unitless}`,
          input: value,
        });
        return z.NEVER;
      }
      if (ms < min || ms > max) {
        const bounds = ms < min ? `at least ${min}ms` : `at most ${max / DAY_MS}d`;
        context.addIssue({ code: 'custom', message: `${JSON.stringify(value)} must be ${bounds}`, input: value });
        return z.NEVER;
      }
      return ms;
    })
    .meta({ examples: ['250ms', '2s', '1m30s'] });
}

/** A size in bytes, between `min` and `max`. */
function size(min: number, max: number) {
  return z
    .union([z.string(), z.number()])
    .transform((value, context) => {
      const bytes = parseSize(String(value));
      if (bytes === undefined || bytes < min || bytes > max) {
        context.addIssue({
          code: 'custom',
          message:
            bytes === undefined
              ? `${JSON.stringify(value)} is not a size; write 65536, 64KiB, 16MiB or 2GiB`
              : `${JSON.stringify(value)} is outside of ${min} to ${max} bytes`,
          input: value,
        });
        return z.NEVER;
      }
      return bytes;
    })
    .meta({ examples: ['64KiB', '2GiB'] });
}

const count = z.int().min(1);

/** Names appear in metrics, logs and the mesh: a DNS label's letters, with dots and underscores. */
const name = z
  .string()
  .regex(/^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/, 'a name is 1 to 63 letters, digits, ".", "_" and "-"');

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
      'Connections that this listener carries at a time; one more is refused at once. Default: no limit of its own.',
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
  idleTimeout: duration()
    .prefault(DEFAULTS.idleTimeout)
    .describe('Reset a connection on which no byte has moved for this long. Off by default.'),
  halfCloseTimeout: duration()
    .prefault(DEFAULTS.halfCloseTimeout)
    .describe(
      'Reset a connection of which one direction has ended and on whose other no byte has moved for this long.',
    ),
  sendProxyProtocol: z
    .enum(['off', 'v1', 'v2'])
    .default('off')
    .describe('Begin every upstream connection with a PROXY protocol header that names the client.'),
};

const listener = z.strictObject({
  address: address.describe('Where to listen: host:port, :port, [v6]:port or unix:/path.'),
  service: name.optional().describe("Where its connections go. Default: the service with the listener's own name."),
  ...listenerSettings,
});

const service = z.strictObject({
  upstreams: z
    .array(address)
    .min(1, 'a service needs at least one upstream')
    .describe('Its endpoints: host:port, [v6]:port, unix:/path, or a name, which stands for all of its addresses.'),
  ...serviceSettings,
});

const admin = z
  .union([z.literal('off'), address])
  .describe('Where metrics, health, connections and the page for people are served; off for nowhere.');

export const configSchema = z.strictObject({
  listeners: z.record(name, listener).default({}).describe('What is listened on, by name.'),
  services: z.record(name, service).default({}).describe('Where connections go, by name.'),
  admin: admin.prefault(DEFAULTS.admin),
  drainTimeout: duration()
    .prefault(DEFAULTS.drainTimeout)
    .describe('After SIGTERM: how long connections may take to finish before they are reset.'),
  accessLog: z
    .enum(['off', 'errors', 'all'])
    .default('all')
    .describe('One line for each connection that ends; errors: only for those that did not end as they should.'),
  log: z
    .strictObject({
      level: z.enum(['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace']).default('info'),
      format: z
        .enum(['auto', 'pretty', 'json'])
        .default('auto')
        .describe('auto: pretty on a terminal, JSON elsewhere.'),
    })
    .prefault({}),
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
        .describe('Bytes buffered per connection and direction before its sender is held back.'),
      keepalive: duration({ max: DAY_MS / 4 })
        .prefault(DEFAULTS.keepalive)
        .describe('TCP keepalive: how long a connection may be silent before its peer is probed; off for never.'),
    })
    .prefault({}),
  dns: z
    .strictObject({
      servers: z
        .array(z.string())
        .min(1)
        .optional()
        .describe("Name servers to ask, as address or address:port. Default: the machine's own."),
      minTtl: duration({ min: 100 })
        .prefault('1s')
        .describe('Answers are kept at least this long: a TTL of 0 must not mean a query per connection.'),
      maxTtl: duration({ min: 1000 })
        .prefault('5m')
        .describe('Answers are kept at most this long, whatever their TTL.'),
      fallbackTtl: duration({ min: 1000 })
        .prefault('30s')
        .describe('How long an answer without a TTL (hosts file, system resolver) is kept.'),
    })
    .prefault({}),
});

/** What a file or a library user writes. */
export type ConfigInput = z.input<typeof configSchema>;

type DeepReadonly<T> = T extends readonly (infer E)[]
  ? readonly DeepReadonly<E>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

/** What the program runs on: parsed (addresses as `Address`, durations in ms, sizes in bytes), complete and frozen. */
export type Config = DeepReadonly<z.output<typeof configSchema>>;
export type ListenerConfig = Config['listeners'][string];
export type ServiceConfig = Config['services'][string];
