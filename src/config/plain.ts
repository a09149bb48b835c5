/** Input as plain data: what a configuration is looked at as before anything is known of its shape. */

export type PlainRecord = Readonly<Record<string, unknown>>;

/** `value` as a mapping, or `undefined` where it is something else: a list, a date, text. */
export function asRecord(value: unknown): PlainRecord | undefined {
  return isPlainRecord(value) ? value : undefined;
}

/** Deeper than any valid configuration: what lies below is refused for where it is, whatever it is. */
const MAX_DEPTH = 8;

/**
 * A copy with nothing alive in it, so that every look at it sees the same: getters are read once, keys whose value is
 * `undefined` are left out, an instance of a class becomes its name as text, which no setting accepts.
 * Throws what a getter throws.
 */
export function plainCopy(input: unknown): unknown {
  // Each object is copied once, however often it is referred to; one within itself is null there.
  const copies = new Map<object, unknown>();
  const copy = (value: unknown, depth: number): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (depth > MAX_DEPTH) return null;
    if (copies.has(value)) return copies.get(value);
    copies.set(value, null);
    const made = copyChildren(value, (child) => copy(child, depth + 1));
    copies.set(value, made);
    return made;
  };
  return copy(input, 0);
}

function copyChildren(value: object, copy: (child: unknown) => unknown): unknown {
  if (Array.isArray(value)) return Array.from(value, copy);
  if (!isPlainRecord(value)) return Object.prototype.toString.call(value);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, child]) => child !== undefined)
      .map(([key, child]) => [key, copy(child)]),
  );
}

function isPlainRecord(value: unknown): value is PlainRecord {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // Not compared with Object.prototype: another realm (a test runner's, a worker's) has its own.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
