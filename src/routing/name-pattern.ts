/** Which names a route is for: one, those one label below it, or all below it. */
import { isIPv6 } from 'node:net';

export type NamePattern =
  /** `orders.example`. */
  | { readonly kind: 'exact'; readonly name: string }
  /** `*.example`: with exactly one label before it, as in certificates (RFC 6125 section 6.4.3). */
  | { readonly kind: 'wildcard'; readonly base: string }
  /** `.example`: with one label or more before it. */
  | { readonly kind: 'suffix'; readonly base: string }
  /** `*`: any name, as long as there is one. */
  | { readonly kind: 'any' };

const NAME = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;

/** `undefined` where it is none. An IP address is a name as well: HTTP clients ask for those. */
export function parseNamePattern(text: string): NamePattern | undefined {
  const lower = text.toLowerCase().replace(/(?<=[a-z0-9_-])\.$/, '');
  if (lower === '*') return { kind: 'any' };
  const kind = lower.startsWith('*.') ? 'wildcard' : lower.startsWith('.') ? 'suffix' : 'exact';
  const base = lower.slice(kind === 'wildcard' ? 2 : kind === 'suffix' ? 1 : 0);
  if (kind === 'exact') return NAME.test(base) || isIPv6(base) ? { kind, name: base } : undefined;
  return NAME.test(base) ? { kind, base } : undefined;
}

export function formatNamePattern(pattern: NamePattern): string {
  switch (pattern.kind) {
    case 'exact':
      return pattern.name;
    case 'wildcard':
      return `*.${pattern.base}`;
    case 'suffix':
      return `.${pattern.base}`;
    case 'any':
      return '*';
  }
}

export function matchesName(pattern: NamePattern, name: string): boolean {
  switch (pattern.kind) {
    case 'exact':
      return pattern.name === name;
    case 'wildcard':
      return name.slice(name.indexOf('.') + 1) === pattern.base && name.length > pattern.base.length;
    case 'suffix':
      return name.endsWith(pattern.base) && name.at(-pattern.base.length - 1) === '.';
    case 'any':
      return true;
  }
}

/** The more, the more exactly it says which names; at most `MOST_SPECIFIC`. Of two that match one name, no two are equal. */
export function specificity(pattern: NamePattern): number {
  switch (pattern.kind) {
    case 'exact':
      return MOST_SPECIFIC;
    case 'wildcard':
      return 2 * labels(pattern.base) + 1;
    case 'suffix':
      return 2 * labels(pattern.base);
    case 'any':
      return 1;
  }
}

/** A name has 127 labels at most. */
export const MOST_SPECIFIC = 0xff;

function labels(name: string): number {
  let count = 1;
  for (let at = name.indexOf('.'); at !== -1; at = name.indexOf('.', at + 1)) count += 1;
  return count;
}
