import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Column, formatTable } from '../../src/cli/table.js';
import { FakeOutput } from '../fakes/output.js';

const columns: readonly Column[] = [
  { name: 'name', shrinks: true },
  { name: 'where', shrinks: true },
  { name: 'count', align: 'right' },
];
// biome-ignore lint/suspicious/noControlCharactersInRegex: the colours of a terminal begin with one
const withoutColours = (text: string): string => text.replace(/\u001b\[\d+m/g, '');

test('columns line up: text to the left, figures to the right', () => {
  const rows = [
    ['web', '10.0.0.1:80', '7'],
    ['a-long-name', ':80', '12345'],
  ];
  expect(formatTable(columns, rows, new FakeOutput())).toBe(
    ['name         where        count', 'web          10.0.0.1:80      7', 'a-long-name  :80          12345', ''].join(
      '\n',
    ),
  );
});

test('a line is never wider than the terminal while a column can still give', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.string(), fc.string()), { maxLength: 5 }),
      fc.integer({ min: 30, max: 80 }),
      (texts, width) => {
        const rows = texts.map(([name, where]) => [name, where, '12345']);
        for (const line of withoutColours(formatTable(columns, rows, new FakeOutput(width)))
          .trimEnd()
          .split('\n')) {
          expect([...line].length).toBeLessThanOrEqual(width);
        }
      },
    ),
  );
});

test('what is cut short says so, and figures are never cut', () => {
  const text = formatTable(columns, [['x'.repeat(100), 'y'.repeat(100), '1234567890']], new FakeOutput(40));
  expect(withoutColours(text).split('\n')[1]).toBe(`${'x'.repeat(12)}…  ${'y'.repeat(12)}…  1234567890`);
});

test('a pipe gets whole values, and no colours', () => {
  const text = formatTable(columns, [['x'.repeat(500), { text: 'there', style: 'red' }, '1']], new FakeOutput());
  expect(text).toContain('x'.repeat(500));
  expect(text).not.toContain('\u001b');
});

test('a terminal gets colours', () => {
  expect(formatTable(columns, [[{ text: 'web', style: 'red' }, 'x', '1']], new FakeOutput(80))).toContain(
    '\u001b[31mweb\u001b[0m',
  );
});

test('control characters in a value cannot reach the terminal', () => {
  const hostile = 'a\u001b[2Jb\nc\rd\u0007\u009b\u202ee\u2028f';
  const text = formatTable(columns, [[hostile, hostile, '1']], new FakeOutput());
  expect(text.split('\n')).toHaveLength(3);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  expect(text.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2028]/);
});
