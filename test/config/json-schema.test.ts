import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DAY_MS } from '../../src/config/fields.js';
import { configJsonSchema, type JsonSchema, schemaAt } from '../../src/config/json-schema.js';
import { parseConfig } from '../../src/config/load.js';
import { formatAddress } from '../../src/core/address.js';
import { parseDuration, parseSize } from '../../src/core/units.js';
import { address } from '../core/arbitraries.js';
import { durationText } from './arbitraries.js';

/** The schema of the text of a value that may also be a number. */
function textAt(...path: string[]): JsonSchema {
  const schema = schemaAt(path);
  const text = [schema, ...(schema?.anyOf ?? [])].find((one) => typeof one === 'object' && 'pattern' in one);
  if (typeof text !== 'object') throw new Error(`nothing at ${path.join('.')} has a pattern`);
  return text;
}

function patternAt(...path: string[]): RegExp {
  return new RegExp(textAt(...path).pattern ?? '');
}

/** Every setting with its path. */
function settings(node: JsonSchema = configJsonSchema(), path: string[] = []): [string, JsonSchema][] {
  const children = [...Object.entries(node.properties ?? {}), ['NAME', node.additionalProperties] as const];
  return children.flatMap(([name, child]): [string, JsonSchema][] => {
    if (typeof child !== 'object' || child === null) return [];
    const own = [...path, name];
    return [[own.join('.'), child], ...settings(child, own)];
  });
}

describe('the JSON Schema', () => {
  it('names its dialect, and describes every setting', () => {
    expect(configJsonSchema()).toMatchObject({
      $schema: 'http://json-schema.org/draft-07/schema#',
      title: 'meshproxy',
    });
    const silent = settings().filter(([path, { description }]) => !path.endsWith('NAME') && description === undefined);
    expect(silent.map(([path]) => path)).toEqual([]);
    expect(settings().length).toBeGreaterThan(30);
  });

  it('gives as default what is the default', () => {
    // An authority is there or not: its settings mean nothing without its address.
    const written = settings().filter(
      ([path, schema]) =>
        !/NAME|identity[.]ca[.]/.test(path) && typeof schema.default !== 'object' && schema.default !== undefined,
    );
    expect(written.length).toBeGreaterThan(10);
    for (const [path, { default: value }] of written) {
      const input = path.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
      expect(parseConfig(input), path).toEqual(parseConfig({}));
    }
  });

  it('allows no unknown key', () => {
    const open = settings().filter(
      ([, schema]) => schema.properties !== undefined && schema.additionalProperties !== false,
    );
    expect(open.map(([path]) => path)).toEqual([]);
  });

  it('has a pattern for addresses that takes every address, and no text without a port', () => {
    const pattern = patternAt('listeners', 'x', 'address');
    fc.assert(fc.property(address, (one) => pattern.test(formatAddress(one))));
    for (const wrong of ['', 'localhost', '80', 'http://a:1', '::1', 'a:b', '[::1]', '/run/x']) {
      expect(pattern.test(wrong), wrong).toBe(false);
    }
  });

  it('has a pattern for durations that takes what the parser takes, and nothing else', () => {
    const pattern = patternAt('drainTimeout');
    const accepts = (text: string): boolean => {
      try {
        parseConfig({ drainTimeout: text });
        return true;
      } catch {
        return false;
      }
    };
    const nearly = fc.stringMatching(/^[0-9.]{0,3}(ms|s|m|h|d|x| )?[0-9.]{0,2}(ms|s|m)?$/);
    // No pattern can tell that 400d is longer than a year, the most that a setting takes.
    const isInRange = (text: string): boolean => (parseDuration(text) ?? 0) <= 365 * DAY_MS;
    fc.assert(
      fc.property(
        fc.oneof(durationText(0), nearly),
        (text) => (pattern.test(text) && isInRange(text)) === accepts(text),
      ),
    );
    expect([pattern.test('400d'), accepts('400d')]).toEqual([true, false]);
    expect(pattern.test('off')).toBe(false);
    expect(patternAt('limits', 'keepalive').test('off')).toBe(true);
  });

  it('has a pattern for sizes that takes what the parser takes, and nothing else', () => {
    const pattern = patternAt('limits', 'bufferSize');
    const nearly = fc.stringMatching(/^[0-9.]{0,4} ?[kKmMgGtbBi]{0,4}$/);
    fc.assert(fc.property(nearly, (text) => pattern.test(text) === (parseSize(text) !== undefined)));
  });
});
