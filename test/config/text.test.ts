import { describe, expect, it } from 'vitest';
import { parseText } from '../../src/config/text.js';

function errorOf(text: string): string {
  try {
    parseText(text, 'f');
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('it was accepted');
}

describe('the text of a configuration', () => {
  it('may be JSON, indented by tabs', () => {
    expect(parseText('{\n\t"a": [\n\t\t1,\n\t\t"x"\n\t]\n}\n', 'f').value).toEqual({ a: [1, 'x'] });
  });

  it('keeps off, yes and times as text, as YAML 1.2 has it', () => {
    expect(parseText('a: off\nb: yes\nc: 1:30\nd: 2001-01-01', 'f').value).toEqual({
      a: 'off',
      b: 'yes',
      c: '1:30',
      d: '2001-01-01',
    });
  });

  it('may use anchors and aliases', () => {
    expect(parseText('a: &x [1]\nb: *x', 'f').value).toEqual({ a: [1], b: [1] });
  });

  it.each([
    ['a tab as indentation', 'a:\n\tb: 1', ['f:2:1: a tab as indentation; YAML takes only spaces']],
    [
      'two keys on a line',
      'a: b: c',
      ['f:1:4: a second "key: " on one line; put the value in quotes, or indent it on the lines below'],
    ],
    ['wrong indentation', 'a:\n  b: 1\n c: 2', ['f:3:1: All mapping items must start at the same column']],
    [
      'an open bracket',
      'a: [1, 2\nb: 3',
      ['f:2:1: Flow sequence in block collection must be sufficiently indented and end with a ]'],
    ],
    [
      'a key that is there twice',
      'a: 1\nb:\n  c: 1\n  "c": 2',
      ['f:4:3: the key "c" is here for the second time; the first is at f:3:3'],
    ],
    [
      'a number and a text that are the same key',
      '1: a\n"1": b',
      ['f:2:1: the key "1" is here for the second time; the first is at f:1:1'],
    ],
    ['a key that is a list', '? [a]\n: 1', ['f:1:3: a key must be plain text']],
    ['an alias without an anchor', 'a: *x', ['f:1:4: the alias *x has no anchor before it']],
    ['an alias within its own anchor', 'a: &x {b: *x}', ['f:1:11: the alias *x has no anchor before it']],
    ['a tag', 'a: !secret x', ['f:1:4: tags (!word) mean nothing here; put text that begins with "!" in quotes']],
    ['a second document', 'a: 1\n---\nb: 1', ['f:2:1: a second document begins here; a configuration is one']],
    ['nothing', '---\n', ['f: the file is empty']],
  ])('is refused for %s', (_, text, lines) => {
    expect(errorOf(text).split('\n')).toEqual(lines);
  });

  it.each(['[', '{', '- ', '? ', '{a: ', '[{'])(
    'is refused where %j nests deeper than a parser may recurse',
    (opening) => {
      expect(errorOf(opening.repeat(100_000))).toMatch(/^f:1:\d+: more than 32 levels deep$/);
    },
  );

  it('is refused where aliases of aliases multiply', () => {
    const levels = Array.from(
      { length: 10 },
      (_, level) =>
        `a${level}: &a${level} [${Array(10)
          .fill(level === 0 ? 'x' : `*a${level - 1}`)
          .join(', ')}]`,
    );
    expect(errorOf(levels.join('\n'))).toMatch(/^f: Excessive alias count/);
  });
});
