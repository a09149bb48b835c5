/**
 * The kinds of value that a configuration is written in: addresses, durations, sizes, names. Each is a zod schema that
 * knows its pattern for editors and says in plain words what is wrong with a value.
 *
 * Messages follow one pattern, so that they read after a path as well as after a flag: what was found, as JSON, then
 * what is wrong with it, then what to write instead.
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import { type Address, parseAddress } from '../core/address.js';
import { MeshproxyError } from '../core/errors.js';
import { HASH_KEYS, parseHashKey } from '../core/hash-key.js';
import { formatBandwidth, parseBandwidth, parseRate } from '../core/rate.js';
import { exactSize, formatDuration, parseDuration, parseSize } from '../core/units.js';
import type { Upstream } from '../core/upstream.js';
import { show } from './show.js';
import { parseUpstream, UPSTREAM_PATTERN } from './upstream.js';

function addressProblem(error: MeshproxyError): string {
  const message = error.message.replace(/^address /, '');
  return error.hint === undefined ? message : `${message} (${error.hint})`;
}

/** For editors, a little laxer than `parseAddress`, which has the last word. */
const ADDRESS_PATTERN = '^(unix:.+|\\[[^\\s\\]]+\\]:\\d{1,5}|[^\\s:/\\[\\]]*:\\d{1,5})$';

function addressOf<T>(pattern: string, parse: (text: string) => T) {
  return z
    .string({
      error: ({ input }) =>
        typeof input === 'number'
          ? `${input} is a number, not an address; write ":${input}" or "127.0.0.1:${input}"`
          : undefined,
    })
    .meta({ pattern })
    .transform((text, context): T => {
      try {
        return parse(text);
      } catch (error) {
        if (!(error instanceof MeshproxyError)) throw error;
        context.addIssue({ code: 'custom', message: addressProblem(error), input: text });
        return z.NEVER;
      }
    });
}

export const address = addressOf<Address>(ADDRESS_PATTERN, parseAddress).meta({
  examples: ['127.0.0.1:8080', ':8080', '[::1]:8080', 'example.org:80', 'unix:/run/app.sock'],
});

const NO_PORT = 'there is no port to connect to: 0 is for listening';

/** Where to connect to. */
export const target = address.refine((value) => value.kind === 'unix' || value.port !== 0, { message: NO_PORT });

/** Where a service's endpoints are, or are found. */
export const upstream = addressOf<Upstream>(UPSTREAM_PATTERN, parseUpstream)
  .refine((value) => !('port' in value) || value.port !== 0, { message: NO_PORT })
  .meta({
    examples: [
      '10.0.0.1:9000',
      'dns://app.internal:9000',
      'srv://_app._tcp.internal',
      'file:///etc/meshproxy/app.yaml',
      'unix:/run/app.sock',
    ],
  });

interface DurationBounds {
  /** Least and most, in milliseconds. */
  readonly min?: number;
  readonly max?: number;
  /** The word `off` may be written for 0. */
  readonly off?: boolean;
}

export const DAY_MS = 86_400_000;

const DURATION_PATTERN = '^(0|(\\d+(\\.\\d+)?(ms|s|m|h|d))+)$';
const DURATION_OR_OFF_PATTERN = DURATION_PATTERN.replace('0|', '0|off|');

/** A duration in milliseconds. */
export function duration({ min = 0, max = 365 * DAY_MS, off = false }: DurationBounds = {}) {
  const advice = `write 250ms, 2s, 1m30s or 1h${off ? ', or off' : ''}`;
  return z
    .union([z.string().meta({ pattern: off ? DURATION_OR_OFF_PATTERN : DURATION_PATTERN }), z.literal(0)], {
      error: ({ input }) => `${show(input)} is not a duration; ${unitAdvice(input) ?? advice}`,
    })
    .transform((value, context) => {
      const ms = value === 0 || (off && value === 'off') ? 0 : parseDuration(value);
      const problem =
        ms === undefined
          ? `is not a duration; ${unitAdvice(value) ?? advice}`
          : outside(ms, off && ms === 0 ? 0 : min, max, formatDuration);
      if (ms !== undefined && problem === undefined) return ms;
      context.addIssue({ code: 'custom', message: `${show(value)} ${problem}`, input: value });
      return z.NEVER;
    })
    .meta({ examples: off ? ['250ms', '2s', '1m30s', 'off'] : ['250ms', '2s', '1m30s'] });
}

/** A bare number is the usual slip: says how to give it a unit. */
function unitAdvice(value: unknown): string | undefined {
  return /^\d+$/.test(String(value)) ? `write ${value}s or ${value}ms` : undefined;
}

function outside(value: number, min: number, max: number, format: (value: number) => string): string | undefined {
  if (value < min) return `is too small; the least is ${format(min)}`;
  if (value > max) return `is too large; the most is ${format(max)}`;
  return undefined;
}

const SIZE_PATTERN = '^\\d+(\\.\\d+)?\\s*([kKmMgG]([iI]?[bB])?|[bB])?$';

const NOT_A_SIZE = 'is not a size; write 65536, 64KiB, 16MiB or 2GiB';

/** A size in bytes, between `min` and `max`. */
export function size(min: number, max: number) {
  return z
    .union([z.string().meta({ pattern: SIZE_PATTERN }), z.number()], {
      error: ({ input }) => `${show(input)} ${NOT_A_SIZE}`,
    })
    .transform((value, context) => {
      const bytes = parseSize(String(value));
      const problem = bytes === undefined ? NOT_A_SIZE : outside(bytes, min, max, exactSize);
      if (bytes !== undefined && problem === undefined) return bytes;
      context.addIssue({ code: 'custom', message: `${show(value)} ${problem}`, input: value });
      return z.NEVER;
    })
    .meta({ examples: ['64KiB', '2GiB'] });
}

/** A name server: an IP address, with a port where it is not 53. Names cannot be: who would resolve them? */
export const nameServer = z
  .string()
  .refine((text) => isIP(text) > 0 || isNameServerWithPort(text), {
    error: ({ input }) => `${show(input)} is not a name server; write 10.0.0.53, 10.0.0.53:5353 or [fd00::53]:53`,
  })
  .meta({ examples: ['10.0.0.53', '10.0.0.53:5353', '[fd00::53]:53'] });

function isNameServerWithPort(text: string): boolean {
  try {
    const parsed = parseAddress(text);
    return parsed.kind === 'ip' && parsed.port > 0;
  } catch {
    return false;
  }
}

const NOT_A_RATE = 'is not a rate; write 100/s, 10/m or 1000/h';

/** So many in so much time, one at least. */
export const rate = z
  .string({ error: ({ input }) => `${show(input)} ${NOT_A_RATE}` })
  .meta({ pattern: '^\\d{1,9}\\s*/\\s*[smh]$' })
  .transform((text, context) => {
    const parsed = parseRate(text);
    if (parsed !== undefined) return parsed;
    context.addIssue({ code: 'custom', message: `${show(text)} ${NOT_A_RATE}`, input: text });
    return z.NEVER;
  })
  .meta({ examples: ['100/s', '10/m'] });

const NOT_A_BANDWIDTH = 'is not a bandwidth; write 64KiB/s or 10MiB/s';
/** The slowest at which a connection that has its turn seldom, for one read in 16 s, is still of use. */
const LEAST_BANDWIDTH = 1024;
/** Faster than memory. */
const MOST_BANDWIDTH = 1024 ** 4;

/** Bytes a second. */
export const bandwidth = z
  .string({ error: ({ input }) => `${show(input)} ${NOT_A_BANDWIDTH}` })
  .meta({ pattern: '^\\d+(\\.\\d+)?\\s*([kKmMgG]([iI]?[bB])?|[bB])?\\s*/\\s*s$' })
  .transform((text, context) => {
    const parsed = parseBandwidth(text);
    const problem =
      parsed === undefined ? NOT_A_BANDWIDTH : outside(parsed, LEAST_BANDWIDTH, MOST_BANDWIDTH, formatBandwidth);
    if (parsed !== undefined && problem === undefined) return parsed;
    context.addIssue({ code: 'custom', message: `${show(text)} ${problem}`, input: text });
    return z.NEVER;
  })
  .meta({ examples: ['64KiB/s', '10MiB/s'] });

export const count = z.int().min(1);

const NOT_A_PERCENTAGE = 'is not a percentage; write 50% or 12.5%';

/** @param min @param max per cent */
export function percentBetween(min: number, max: number) {
  return z
    .string({ error: ({ input }) => `${show(input)} ${NOT_A_PERCENTAGE}` })
    .meta({ pattern: '^\\d{1,4}(\\.\\d+)?%$' })
    .transform((text, context) => {
      const value = /^\d{1,4}(\.\d+)?%$/.test(text) ? Number(text.slice(0, -1)) : undefined;
      const problem = value === undefined ? NOT_A_PERCENTAGE : outside(value, min, max, (bound) => `${bound}%`);
      if (value !== undefined && problem === undefined) return value;
      context.addIssue({ code: 'custom', message: `${show(text)} ${problem}`, input: text });
      return z.NEVER;
    });
}

export const percent = percentBetween(0, 100).meta({ examples: ['50%'] });

/** What consistent hashing goes by. */
export const hashKey = z
  .string({ error: ({ input }) => `${show(input)} is not a hash key; write ${HASH_KEYS}` })
  .transform((text, context) => {
    const key = parseHashKey(text);
    if (key !== undefined) return key;
    context.addIssue({ code: 'custom', message: `${show(text)} is not a hash key; write ${HASH_KEYS}`, input: text });
    return z.NEVER;
  })
  .meta({ examples: ['source-ip', 'sni', 'proxy-tlv:0xEA'] });

/** Names appear in metrics, logs and the mesh: a DNS label's letters, with dots and underscores. */
export const name = z
  .string()
  .regex(
    /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/,
    'a name has 1 to 63 letters, digits, ".", "_" and "-", and begins and ends with a letter or digit',
  );

/** A file's path, as the system has it: relative ones from where the program was started. */
export const path = z
  .string()
  .min(1, 'a path is needed')
  .refine((text) => !text.includes('\0'), 'a path cannot hold a NUL character');

/** Of a workload, after the SPIFFE ID standard: a trust domain, and a path with no empty segment in it. */
export const spiffeId = z
  .string()
  .max(2048)
  .regex(
    /^spiffe:\/\/[a-z0-9._-]{1,255}(\/(?!\.\.?(\/|$))[A-Za-z0-9._-]+)+$/,
    'not a SPIFFE ID; write spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/NAME',
  )
  .meta({ examples: ['spiffe://example.org/ns/default/sa/orders'] });
