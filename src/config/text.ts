/** A configuration's text: YAML, and JSON as a part of it, to plain values, each of which knows its line and column. */
import {
  Composer,
  type CST,
  type ErrorCode,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  Parser,
  type YAMLError,
  type YAMLMap,
} from 'yaml';
import type { Path } from './json-schema.js';
import { configError } from './problems.js';
import { show } from './show.js';

export interface ParsedText {
  readonly value: unknown;
  /** `file:line:column` of what stands at `path`, or of the nearest thing around it that is there. */
  locate(path: Path, at: 'key' | 'value'): string;
}

/** A configuration is five deep. Past this, YAML's parser, which recurses, is not given the text. */
const MAX_DEPTH = 32;

/** Broken YAML breaks again at every line that follows: the first few errors are the ones that tell. */
const MAX_SYNTAX_ERRORS = 5;

/** Each alias may copy a whole tree, and aliases of aliases multiply; far more than a person writes by hand. */
const MAX_ALIASES = 1000;

/** Reads a text. Throws `bad-config` with the line of each error in its syntax, and of each key that is there twice. */
export function parseText(text: string, file: string): ParsedText {
  const lines = new LineCounter();
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  // YAML forbids it; its parser takes it, and the operator would be told of keys that look like nothing at all.
  if (text.includes('\0')) throw configError([`${file}: this is a binary file, not text`]);
  const tokens = [...new Parser(lines.addNewLine).parse(text)];
  const tooDeep = findDeep(tokens);
  if (tooDeep !== undefined) throw configError([`${place(tooDeep)}: more than ${MAX_DEPTH} levels deep`]);

  const [document, second] = new Composer(OPTIONS).compose(tokens, true, text.length);
  if (document === undefined) throw configError([`${file}: the file is empty`]);
  const syntax = syntaxErrors([...document.errors, ...document.warnings], place);
  if (syntax.length > 0) throw configError(syntax);
  if (second) throw configError([`${place(second.range[0])}: a second document begins here; a configuration is one`]);
  const root = document.contents;
  if (root === null || isEmpty(root)) throw configError([`${file}: the file is empty`]);

  const { anchors, problems } = inspect(root, place);
  if (problems.length > 0) throw configError(problems);
  return {
    value: toPlain(() => document.toJS({ maxAliasCount: MAX_ALIASES }), file),
    locate: (path, at) => place(offsetOf(root, anchors, path, at)),
  };
}

/** Of the parser's errors, those whose own words are for who knows its grammar. */
const SYNTAX_WORDS: Partial<Record<ErrorCode, string>> = {
  BLOCK_AS_IMPLICIT_KEY: 'a second "key: " on one line; put the value in quotes, or indent it on the lines below',
  TAB_AS_INDENT: 'a tab as indentation; YAML takes only spaces',
  TAG_RESOLVE_FAILED: 'tags (!word) mean nothing here; put text that begins with "!" in quotes',
};

/** The first few, and one for each place: what follows there is mostly the parser being at a loss. */
function syntaxErrors(errors: readonly YAMLError[], place: (offset: number) => string): string[] {
  const byPlace = new Map<string, string>();
  for (const { pos, code, message } of errors.slice(0, MAX_SYNTAX_ERRORS)) {
    const where = place(pos[0]);
    if (!byPlace.has(where)) byPlace.set(where, `${where}: ${SYNTAX_WORDS[code] ?? message}`);
  }
  return [...byPlace.values()];
}

const OPTIONS = {
  // Ours finds keys that are there twice in linear time, and names both places.
  uniqueKeys: false,
  prettyErrors: false,
  // Numbers of any length stay what zod can refuse; nothing is printed on the side.
  logLevel: 'error',
} as const;

function isEmpty(node: Node): boolean {
  return isScalar(node) && node.value === null && node.source === '';
}

function toPlain(read: () => unknown, file: string): unknown {
  try {
    return read();
  } catch (error) {
    // The parser's word for an alias that multiplies past the limit; there is nothing else for it to refuse by now.
    throw configError([`${file}: ${error instanceof Error ? error.message : String(error)}`]);
  }
}

/** The offset of the first thing that is nested too deeply. Without recursion, which is the point. */
function findDeep(tokens: readonly CST.Token[]): number | undefined {
  const waiting = tokens.map((token) => ({ token, depth: 0 }));
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { token, depth } = next;
    if (depth > MAX_DEPTH) return token.offset;
    if (token.type === 'document' && token.value) waiting.push({ token: token.value, depth });
    if (!('items' in token)) continue;
    for (const { key, value } of token.items) {
      if (key) waiting.push({ token: key, depth: depth + 1 });
      if (value) waiting.push({ token: value, depth: depth + 1 });
    }
  }
  return undefined;
}

interface Inspected {
  readonly anchors: ReadonlyMap<string, Node>;
  readonly problems: readonly string[];
}

/** Collects anchors, and what YAML allows and a configuration does not: keys twice, keys that are no names, lost aliases. */
function inspect(root: Node, place: (offset: number) => string): Inspected {
  const anchors = new Map<string, Node>();
  const problems: string[] = [];
  const visit = (node: unknown): void => {
    if (!isNode(node)) return;
    if (isAlias(node)) {
      if (!anchors.has(node.source))
        problems.push(`${place(startOf(node))}: the alias *${node.source} has no anchor before it`);
      return;
    }
    if (isSeq(node)) node.items.forEach(visit);
    if (isMap(node)) visitPairs(node);
    // Only now: an alias inside of its own anchor would have no end.
    if (node.anchor !== undefined) anchors.set(node.anchor, node);
  };
  const visitPairs = (node: YAMLMap): void => {
    const seen = new Map<string, number>();
    for (const { key, value } of node.items) {
      const offset = isNode(key) ? startOf(key) : startOf(node);
      const name = keyName(key);
      const first = name === undefined ? undefined : seen.get(name);
      if (name === undefined) problems.push(`${place(offset)}: a key must be plain text`);
      else if (first !== undefined)
        problems.push(
          `${place(offset)}: the key ${show(name)} is here for the second time; the first is at ${place(first)}`,
        );
      else seen.set(name, offset);
      visit(value);
    }
  };
  visit(root);
  return { anchors, problems };
}

/** A key as the plain value will have it: `1` and `"1"` are the same. */
function keyName(key: unknown): string | undefined {
  if (!isScalar(key)) return undefined;
  return key.value === null ? '' : String(key.value);
}

function startOf(node: Node): number {
  return node.range?.[0] ?? 0;
}

interface Spot {
  readonly offset: number;
  /** What stands there, where anything does. */
  readonly node: Node | undefined;
}

function offsetOf(root: Node, anchors: ReadonlyMap<string, Node>, path: Path, at: 'key' | 'value'): number {
  let spot: Spot = { offset: startOf(root), node: root };
  for (const [index, step] of path.entries()) {
    const node = isAlias(spot.node) ? anchors.get(spot.node.source) : spot.node;
    const child = childOf(node, step, at === 'key' && index === path.length - 1);
    if (child === undefined) break;
    spot = child;
  }
  return spot.offset;
}

function childOf(parent: Node | undefined, step: string | number, wantKey: boolean): Spot | undefined {
  if (isSeq(parent)) {
    const item: unknown = parent.items[Number(step)];
    return isNode(item) ? { offset: startOf(item), node: item } : undefined;
  }
  if (!isMap(parent)) return undefined;
  const pair = parent.items.find(({ key }) => keyName(key) === String(step));
  if (pair === undefined || !isNode(pair.key)) return undefined;
  const value = isNode(pair.value) && !isEmpty(pair.value) ? pair.value : undefined;
  return { offset: startOf(wantKey ? pair.key : (value ?? pair.key)), node: value };
}
