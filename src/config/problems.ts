/** What is wrong with a configuration, in words an operator can act on: zod's issues become `Problem`s here. */
import type { z } from 'zod';
import { MeshproxyError } from '../core/errors.js';
import { configJsonSchema, type JsonSchema, keysAt, type Path, placesOf } from './json-schema.js';
import { nearest } from './nearest.js';
import { show } from './show.js';

export interface Problem {
  readonly path: Path;
  /** Whether the key itself is wrong, or what stands under it. */
  readonly at: 'key' | 'value';
  /** What was found, what is wrong with it, what to write instead. */
  readonly message: string;
}

/** A person mends a few and tries again; a file of rubbish must not fill the log. */
const MAX_SHOWN = 50;

/** No value makes a line longer than a terminal can show in a few rows. */
const MAX_LINE = 600;

/** The error that lists what is wrong with a configuration, one line for each problem. */
export function configError(lines: readonly string[], found = lines.length): MeshproxyError {
  return new MeshproxyError('bad-config', listed(lines, found), {
    hint: '`meshproxy schema` prints everything that a configuration may contain',
  });
}

/** Puts `web.yaml:9:1` before `web.yaml:10:1`. */
const IN_ORDER = new Intl.Collator('en', { numeric: true });

/** The same, of problems that are yet to be put into words: only as many are as will be shown. */
export function problemsError(problems: readonly Problem[], describe: (problem: Problem) => string): MeshproxyError {
  const lines = problems.slice(0, MAX_SHOWN).map(describe);
  return configError(lines.sort(IN_ORDER.compare), problems.length);
}

/** Lines as the message of one error; those past what a person reads are only counted. */
export function listed(lines: readonly string[], found = lines.length): string {
  const shown = lines
    .slice(0, MAX_SHOWN)
    .map((line) => (line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}…` : line));
  return [...shown, ...(found > shown.length ? [`... and ${found - shown.length} more`] : [])].join('\n');
}

/** `services.web.upstreams[0]`; names that would be unclear in it are quoted. */
export function formatPath(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (!/^[A-Za-z0-9_$-]+$/.test(step)) text += `[${JSON.stringify(step)}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}

/** The words for an issue of zod's that the schema has none of its own for: given to zod as its error map. */
export function explain(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined
        ? `is missing; ${KIND_WORDS[issue.expected] ?? issue.expected} is needed`
        : `${found(issue.input)}; ${KIND_WORDS[issue.expected] ?? issue.expected} is needed${advice(issue.input, issue.expected)}`;
    case 'invalid_value':
      return notOneOf(issue.input, issue.values.map(String));
    case 'too_small':
      return `${show(issue.input)} is too small; the least is ${issue.minimum}`;
    case 'too_big':
      return `${show(issue.input)} is too large; the most is ${issue.maximum}`;
    default:
      return undefined;
  }
}

/** What zod calls a type, in words. */
const KIND_WORDS: Readonly<Record<string, string>> = {
  object: 'a mapping of keys to values',
  record: 'a mapping of names to settings',
  array: 'a list',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
};

function found(value: unknown): string {
  return value === null ? 'nothing is written here' : `this is ${show(value)}`;
}

function advice(value: unknown, expected: string): string {
  const isNumber = expected === 'number' || expected === 'int';
  if (isNumber && typeof value === 'string' && /^\d+$/.test(value)) return '; leave out the quotes';
  if (expected === 'string' && typeof value === 'number') return '; put it in quotes';
  if (expected === 'array' && typeof value === 'string') return `; write [${show(value)}]`;
  return '';
}

function notOneOf(value: unknown, accepted: readonly string[]): string {
  const near = typeof value === 'string' ? nearest(value, accepted) : undefined;
  const start = `${show(value)} is not one of ${accepted.join(', ')}`;
  return near === undefined ? start : `${start}; did you mean ${JSON.stringify(near)}?`;
}

/** All problems that zod found, each at its own key. `schema` is what the text was to be. */
export function toProblems(
  issues: readonly z.core.$ZodIssue[],
  schema: JsonSchema = configJsonSchema(),
  base: Path = [],
): Problem[] {
  return issues.flatMap((issue) => {
    const path = [...base, ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))];
    switch (issue.code) {
      case 'unrecognized_keys':
        return issue.keys.map(
          (key): Problem => ({ path: [...path, key], at: 'key', message: unknownKey(key, path, schema) }),
        );
      case 'invalid_key':
        return [
          { path, at: 'key' as const, message: `${show(path.at(-1))} is not a name: ${issue.issues[0]?.message}` },
        ];
      case 'invalid_union':
        return toProblems(likeliest(issue), schema, path);
      default:
        return [{ path, at: 'value' as const, message: issue.message }];
    }
  });
}

/** Of a value that may be of several kinds, the complaint of the one it nearly was. */
function likeliest(issue: z.core.$ZodIssueInvalidUnion): readonly z.core.$ZodIssue[] {
  const own = { ...issue, code: 'custom' as const, path: [] };
  if (issue.message !== 'Invalid input') return [own];
  const branch = issue.errors.find((issues) => issues.some(({ code }) => code === 'custom')) ?? issue.errors.at(-1);
  return branch ?? [own];
}

function unknownKey(key: string, parent: Path, schema: JsonSchema): string {
  const known = keysAt(parent, schema);
  const start = `unknown key ${show(key)}`;
  const near = nearest(key, known);
  if (near !== undefined) return `${start}; did you mean ${JSON.stringify(near)}?`;
  const places = placesOf(key, schema);
  if (places.length > 0) return `${start} here; it belongs in ${places.join(' or ')}`;
  return `${start}; known here are ${known.join(', ')}`;
}
