import { connect } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeError, errnoOf, MeshproxyError } from '../../src/core/errors.js';

function systemError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

describe('a MeshproxyError', () => {
  it('carries its code, what to do, and what it was caught from', () => {
    const cause = systemError('EADDRINUSE', 'listen EADDRINUSE');
    const error = new MeshproxyError('listen', 'cannot listen on :80', { hint: 'choose another port', cause });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: 'MeshproxyError', code: 'listen', hint: 'choose another port', cause });
    expect(error.message).toBe('cannot listen on :80');
  });

  it('has no cause where it was not caught from anything', () => {
    const error = new MeshproxyError('usage', 'no');
    expect(error.hint).toBeUndefined();
    expect('cause' in error).toBe(false);
  });

  it('is described by its message, and named as its cause was by the system', () => {
    const error = new MeshproxyError('connect', '10.0.0.1:80: refused', { cause: systemError('ECONNREFUSED', '') });
    expect(describeError(error)).toBe('10.0.0.1:80: refused');
    expect(errnoOf(error)).toBe('ECONNREFUSED');
    expect(errnoOf(new MeshproxyError('usage', 'no'))).toBeUndefined();
  });
});

describe('a system error', () => {
  it('is described in words, with its name', async () => {
    const error = await new Promise<Error>((resolve) => connect('/nonexistent/socket').once('error', resolve));
    expect(errnoOf(error)).toBe('ENOENT');
    expect(describeError(error)).toBe('no such file (ENOENT)');
  });

  it('keeps its own words where there are no better ones', () => {
    expect(describeError(systemError('CERT_HAS_EXPIRED', 'certificate has expired'))).toBe(
      'certificate has expired (CERT_HAS_EXPIRED)',
    );
    expect(describeError(systemError('EXDEV', 'EXDEV: cross-device link not permitted, rename'))).toBe(
      'EXDEV: cross-device link not permitted, rename',
    );
    expect(describeError(systemError('EXDEV', ''))).toBe('EXDEV');
    expect(describeError({ code: 'EXDEV' })).toBe('EXDEV');
    expect(describeError(systemError('toString', 'odd'))).toBe('odd (toString)');
  });
});

describe('anything else that was thrown', () => {
  it('is described by its message or as text', () => {
    expect(describeError(new Error('boom'))).toBe('boom');
    expect(describeError('boom')).toBe('boom');
    expect(describeError(undefined)).toBe('undefined');
    expect(describeError({ oops: true })).toBe('{ oops: true }');
  });

  it('never makes describing it fail', () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true }), (thrown) => {
        expect(typeof describeError(thrown)).toBe('string');
        expect(['string', 'undefined']).toContain(typeof errnoOf(thrown));
      }),
      { numRuns: 1000 },
    );
  });
});
