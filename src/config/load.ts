/** From what somebody wrote, as a file, as flags or as an object, to the frozen `Config` that the program runs on. */
import { describeError, MeshproxyError } from '../core/errors.js';
import { checkParsed, checkTogether, serviceOf } from './check.js';
import { type Flags, inFlag, mergeFlags } from './flags.js';
import { asRecord, type PlainRecord, plainCopy } from './plain.js';
import { explain, formatPath, type Problem, problemsError, toProblems } from './problems.js';
import { readText } from './read.js';
import { type Config, configSchema, type ListenerConfig, type ParsedInput } from './schema.js';
import { type ParsedText, parseText } from './text.js';

/**
 * Parses, checks, completes and freezes a configuration. `where` begins every line of the error.
 * @throws MeshproxyError `bad-config`, its message one line for every problem
 */
export function parseConfig(input: unknown, where = 'configuration'): Config {
  return build(input, (problem) => atPath(where, problem));
}

/**
 * Reads a file and lays flags over it.
 * @throws MeshproxyError `file` where it cannot be read, `bad-config` with file, line and column of every problem,
 * `usage` or `bad-address` where a flag is wrong
 */
export async function loadConfigFile(path: string, flags: Flags = {}): Promise<Config> {
  return (await loadFile(path, flags)).config;
}

export interface Loaded {
  readonly config: Config;
  /** The keys of the top level that somebody wrote; all others are there by default. */
  readonly written: ReadonlySet<string>;
}

/** `loadConfigFile`, for who has to know what was written. */
export async function loadFile(path: string, flags: Flags): Promise<Loaded> {
  const text = parseText(await readText(path), path);
  const { input, origins } = mergeFlags(flags, text.value, path);
  const config = build(input, (problem) => inFlag(problem, origins) ?? inText(problem, text));
  return { config, written: keysOf(input) };
}

/**
 * A configuration of flags alone.
 * @throws MeshproxyError `usage` or `bad-address` that names the flag
 */
export function loadFlags(flags: Flags): Loaded {
  const { input, origins } = mergeFlags(flags);
  try {
    const config = build(input, (problem) => inFlag(problem, origins) ?? atPath('', problem));
    return { config, written: keysOf(input) };
  } catch (error) {
    throw error instanceof MeshproxyError ? new MeshproxyError('usage', error.message, { cause: error }) : error;
  }
}

function keysOf(input: unknown): ReadonlySet<string> {
  return new Set(Object.keys(asRecord(input) ?? {}));
}

function build(input: unknown, describe: (problem: Problem) => string): Config {
  const { parsed, problems } = read(input);
  if (parsed === undefined || problems.length > 0) throw problemsError(problems, describe);
  return resolve(parsed);
}

interface Read {
  readonly parsed: ParsedInput | undefined;
  readonly problems: readonly Problem[];
}

function read(input: unknown): Read {
  try {
    const plain = plainCopy(input);
    const result = configSchema.safeParse(withDefaults(plain), { error: explain });
    const own = result.success ? checkParsed(result.data) : toProblems(result.error.issues);
    const problems = [...own, ...checkTogether(plain)];
    return { parsed: result.data, problems };
  } catch (error) {
    // An object with getters may throw anything at whoever reads it; a file cannot.
    return {
      parsed: undefined,
      problems: [{ path: [], at: 'value', message: `cannot be read: ${describeError(error)}` }],
    };
  }
}

/** Lays `defaults` under every listener and service, unless something is wrong with them: then they are told of once. */
function withDefaults(input: unknown): unknown {
  const root = asRecord(input);
  const { data } = configSchema.shape.defaults.safeParse(root?.['defaults']);
  if (root === undefined || data === undefined) return input;
  const written = asRecord(root['defaults']);
  return {
    ...root,
    ...fill(root, 'listeners', asRecord(written?.['listener'])),
    ...fill(root, 'services', asRecord(written?.['service'])),
  };
}

function fill(root: PlainRecord, section: 'listeners' | 'services', defaults: PlainRecord | undefined): PlainRecord {
  const entries = asRecord(root[section]);
  if (entries === undefined || defaults === undefined) return {};
  const filled = Object.entries(entries).map(([name, value]) => {
    const settings = asRecord(value);
    return [name, settings === undefined ? value : { ...defaults, ...settings }];
  });
  return { [section]: Object.fromEntries(filled) };
}

function resolve({ $schema: _, defaults: __, listeners, ...rest }: ParsedInput): Config {
  const services = Object.keys(rest.services);
  const resolved = Object.entries(listeners).map(([name, listener]): [string, ListenerConfig] => {
    const service = serviceOf(name, listener.service, services);
    if (service === undefined) throw new Error(`listener ${name} was checked to have a service`);
    return [name, { ...listener, service }];
  });
  return deepFreeze({ ...rest, listeners: Object.fromEntries(resolved) });
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const child of Object.values(value)) deepFreeze(child);
    Object.freeze(value);
  }
  return value;
}

function atPath(where: string, { path, at, message }: Problem): string {
  // A key that is wrong is named by its message; what it is wrong in, by the path.
  const shown = formatPath(at === 'key' ? path.slice(0, -1) : path);
  return [where, shown, message].filter((part) => part !== '').join(': ');
}

function inText(problem: Problem, text: ParsedText): string {
  return atPath(text.locate(problem.path, problem.at), problem);
}
