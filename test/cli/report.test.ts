import { describe, expect, it } from 'vitest';
import { exitCodeOf, formatError, wantsStack } from '../../src/cli/report.js';
import { MeshproxyError } from '../../src/core/errors.js';

const PLAIN = { stack: false, colour: false };

describe('an error, as it is printed', () => {
  it('is one line, and what to do about it', () => {
    const error = new MeshproxyError('listen', 'cannot listen on :80', { hint: 'choose another port' });
    expect(formatError(error, PLAIN)).toBe('meshproxy: cannot listen on :80\n  (choose another port)\n');
  });

  it('is one line for each of its problems', () => {
    expect(formatError(new MeshproxyError('bad-config', 'a\nb'), PLAIN)).toBe('meshproxy: a\nmeshproxy: b\n');
  });

  it('brings nothing that moves a cursor', () => {
    const error = new MeshproxyError('bad-config', 'a\u001b[2Jb\u202e\r', { hint: '\u0007' });
    expect(formatError(error, PLAIN)).toBe('meshproxy: a\\u001b[2Jb\\u202e\\u000d\n  (\\u0007)\n');
  });

  it('that is none of ours is called a bug, without its stack', () => {
    const text = formatError(new TypeError('x is not a function'), PLAIN);
    expect(text).toContain('meshproxy: this is a bug in meshproxy, please report it: x is not a function\n');
    expect(text).not.toContain('    at ');
  });

  it('has its stack, and what caused it, for who asked for it', () => {
    const error = new MeshproxyError('file', 'cannot read', { cause: new Error('the cause') });
    const text = formatError(error, { stack: true, colour: false });
    expect(text).toContain('    at ');
    expect(text).toContain('the cause');
  });

  it('is coloured where colours are welcome', () => {
    expect(formatError(new MeshproxyError('file', 'x'), { stack: false, colour: true })).toContain(
      '\u001b[31mmeshproxy:',
    );
  });
});

describe('the exit code', () => {
  it.each([
    ['usage', 2],
    ['bad-address', 2],
    ['bad-config', 2],
    ['file', 1],
    ['listen', 1],
    ['resolve', 1],
    ['admin', 1],
  ] as const)('of %s is %i', (code, expected) => {
    expect(exitCodeOf(new MeshproxyError(code, ''))).toBe(expected);
  });

  it('of anything else is 1', () => {
    expect(exitCodeOf(new Error())).toBe(1);
    expect(exitCodeOf(undefined)).toBe(1);
  });
});

describe('a stack', () => {
  it.each([
    [['--log-level', 'debug'], true],
    [['--log-level=trace', '--listen', 'x'], true],
    [['--log-level', 'info'], false],
    [['--listen', 'debug'], false],
    [['debug'], false],
    [[], false],
  ])('is wanted with %j: %s', (args, expected) => {
    expect(wantsStack(args)).toBe(expected);
  });
});
