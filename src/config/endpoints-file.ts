/** The file of `file:///path`: a list of endpoints, in YAML or JSON, as strictly read as a configuration. */
import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { formatAddress, type SocketAddress } from '../core/address.js';
import { describeError, MeshproxyError } from '../core/errors.js';
import { formatSize } from '../core/units.js';
import { address, name } from './fields.js';
import type { JsonSchema } from './json-schema.js';
import { explain, formatPath, type Problem, problemsError, toProblems } from './problems.js';
import { readText } from './read.js';
import { show } from './show.js';
import { parseText } from './text.js';

/** An endpoint of the file; what is absent has its default. */
export interface FileEndpoint {
  readonly id: string;
  readonly addresses: readonly [SocketAddress];
  readonly weight?: number;
  readonly zone?: string;
  readonly priority?: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Room for a hundred thousand endpoints with some metadata each. */
const MAX_BYTES = 32 * 1024 ** 2;

/** So much YAML, some 7000 endpoints, takes the main thread a second or two; of JSON it takes as long for a hundred times more. */
const MAX_YAML_BYTES = 512 * 1024;

const MAX_ENDPOINTS = 100_000;

/** It is sent to every worker and shown on the page; what is larger belongs elsewhere. */
const MAX_METADATA = 32;
const text = z.string().max(256);

const endpoint = z.strictObject({
  address: address.transform((parsed, context): SocketAddress => {
    if (parsed.kind === 'unix' || (parsed.kind === 'ip' && parsed.port !== 0)) return parsed;
    const message = `${show(formatAddress(parsed))} is not the address of one endpoint; write 10.0.0.1:80, [::1]:80 or unix:/path (a name can be an upstream of its own: dns://name:port)`;
    context.addIssue({ code: 'custom', message, input: parsed });
    return z.NEVER;
  }),
  id: text.min(1, 'an id cannot be empty; leave it out to have the address').optional(),
  weight: z.int().min(0).max(1000).optional(),
  zone: name.optional(),
  priority: z.int().min(0).max(100).optional(),
  metadata: z
    .record(text, text)
    .refine((all) => Object.keys(all).length <= MAX_METADATA, `at most ${MAX_METADATA} entries`)
    .optional(),
});

const list = z.array(endpoint).max(MAX_ENDPOINTS, `more than ${MAX_ENDPOINTS} endpoints`);

let made: JsonSchema | undefined;

function schema(): JsonSchema {
  made ??= z.toJSONSchema(list, { io: 'input', target: 'draft-7' });
  return made;
}

/**
 * Reads the file at `path`. An empty list is a list; an empty file is an error.
 * @throws MeshproxyError `file` where it cannot be read, `bad-config` with line and column of every problem
 */
export async function readEndpoints(path: string): Promise<readonly FileEndpoint[]> {
  // A pipe could keep its reader waiting for ever.
  const stats = await stat(path).catch(() => undefined);
  if (stats && !stats.isFile()) throw new MeshproxyError('file', `cannot read ${path}: it is not a file`);
  return parseEndpoints(await readText(path, MAX_BYTES), path);
}

/** @throws MeshproxyError `bad-config` */
export function parseEndpoints(written: string, file: string): readonly FileEndpoint[] {
  try {
    return read(written, file);
  } catch (error) {
    if (!(error instanceof MeshproxyError) || error.code !== 'bad-config') throw error;
    const hint = 'it is a list, as in [{address: "10.0.0.1:80", weight: 2, zone: a, priority: 0}]';
    throw new MeshproxyError('bad-config', error.message, { hint, cause: error });
  }
}

function read(written: string, file: string): readonly FileEndpoint[] {
  const small = written.length <= MAX_YAML_BYTES;
  // JSON is YAML, too, whose parser knows lines, and finds keys that are there twice.
  const parsed = small ? parseText(written, file) : undefined;
  const value = parsed ? parsed.value : fromJson(written, file);
  const { data, error } = list.safeParse(value, { error: explain });
  const problems = data ? repeated(data) : toProblems(error?.issues ?? [], schema());
  if (data && problems.length === 0) return data.map(toEndpoint);
  throw problemsError(problems, ({ path, at, message }: Problem) => {
    const shown = formatPath(at === 'key' ? path.slice(0, -1) : path);
    return [parsed?.locate(path, at) ?? file, shown, message].filter((part) => part !== '').join(': ');
  });
}

function fromJson(written: string, file: string): unknown {
  try {
    return JSON.parse(written) as unknown;
  } catch (error) {
    const why = `${file}: more than ${formatSize(MAX_YAML_BYTES)} is read as JSON alone, and this is none: ${describeError(error)}`;
    throw new MeshproxyError('bad-config', why);
  }
}

function repeated(all: z.output<typeof list>): Problem[] {
  const seen = new Map<string, number>();
  return all.flatMap(({ id, address }, index): Problem[] => {
    const own = id ?? formatAddress(address);
    const first = seen.get(own);
    if (first === undefined) {
      seen.set(own, index);
      return [];
    }
    const message = `${show(own)} is here for the second time; the first is [${first}]. Give each an id of its own`;
    return [{ path: [index, id === undefined ? 'address' : 'id'], at: 'value', message }];
  });
}

/** Without what has its default: there may be a hundred thousand of these. */
function toEndpoint({ address, id, weight, zone, priority, metadata }: z.output<typeof endpoint>): FileEndpoint {
  return {
    id: id ?? formatAddress(address),
    addresses: [address],
    ...(weight === undefined || weight === 1 ? {} : { weight }),
    ...(zone === undefined ? {} : { zone }),
    ...(priority === undefined || priority === 0 ? {} : { priority }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}
