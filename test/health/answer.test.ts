import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseStatuses } from '../../src/config/health-check.js';
import { type Judge, judgeExpected, judgeHttp, shown } from '../../src/health/answer.js';

const OK = judgeHttp(parseStatuses('200-399') ?? []);
const bytes = (text: string) => Buffer.from(text, 'latin1');

describe('an HTTP answer', () => {
  it.each([
    ['HTTP/1.1 200 OK\r\n', 'passed', 'answered 200'],
    ['HTTP/1.0 302 Found\r\n', 'passed', 'answered 302'],
    ['HTTP/1.1 204\r\n\r\n', 'passed', 'answered 204'],
    ['HTTP/1.1 404 Not Found\r\n', 'failed', 'answered 404'],
    ['HTTP/1.1 503 Service Unavailable\r\n', 'failed', 'answered 503'],
    ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n', 'passed', 'answered 200'],
    ['SSH-2.0-OpenSSH_9.6\r\n', 'failed', 'was answered by what is no HTTP: "SSH-2.0-OpenSSH_9.6\\r\\n"'],
    ['HTTP/2.0 200 OK\r\n', 'failed', 'was answered by what is no HTTP: "HTTP/2.0 200 OK\\r\\n"'],
    ['HTTP/1.1 2000 OK\r\n', 'failed', 'was answered by what is no HTTP: "HTTP/1.1 2000 OK\\r\\n"'],
  ])('%j has %s: %s', (text, kind, words) => {
    expect(OK(bytes(text), true)).toEqual({ kind, words });
    expect(OK(bytes(text), false)).toEqual({ kind, words });
  });

  it('that never came, or broke off, failed', () => {
    expect(OK(bytes(''), true)).toEqual({ kind: 'failed', words: 'was not answered: the connection was closed' });
    expect(OK(bytes('HTTP/1.1 2'), true)).toMatchObject({ kind: 'failed' });
    expect(OK(bytes('HTTP/1.1 100 Continue\r\n'), true)).toEqual({
      kind: 'failed',
      words: 'answered 100, and no more',
    });
  });

  it('is expected to have the statuses that were named', () => {
    const judge = judgeHttp(parseStatuses('200,404-410') ?? []);
    const kinds = [200, 201, 404, 410, 411].map((status) => judge(bytes(`HTTP/1.1 ${status} x\r\n`), false).kind);
    expect(kinds).toEqual(['passed', 'failed', 'passed', 'passed', 'failed']);
  });
});

describe('an answer', () => {
  it('is good where it has what was expected, anywhere in it', () => {
    const judge = judgeExpected(bytes('+PONG'));
    expect(judge(bytes('-x\r\n+PONG\r\n'), false)).toEqual({ kind: 'passed', words: 'was answered by "+PONG"' });
    expect(judge(bytes('+PO'), false)).toEqual({ kind: 'more' });
    const other = 'was not answered by "+PONG" but by "-NOAUTH"';
    expect(judge(bytes('-NOAUTH'), true)).toEqual({ kind: 'failed', words: other });
  });

  it('comes to the same verdict however it is cut, and to one in the end', () => {
    const judges: Judge[] = [OK, judgeExpected(bytes('OK'))];
    const text = fc.oneof(
      fc.string({ unit: 'binary-ascii' }),
      fc.constantFrom(
        'HTTP/1.1 200 OK\r\n',
        'HTTP/1.1 103 x\r\n\r\nHTTP/1.1 503 OK',
        'HTTP/1.1 1',
        'HTTP/1.1 100 \r\n',
      ),
    );
    fc.assert(
      fc.property(text, fc.constantFrom(...judges), (answer, judge) => {
        const all = judge(bytes(answer), true);
        expect(all.kind).not.toBe('more');
        for (let end = 0; end < answer.length; end += 1) {
          const early = judge(bytes(answer.slice(0, end)), false);
          if (early.kind !== 'more') expect(early.kind).toBe(all.kind);
        }
      }),
    );
  });

  it('is shown with nothing in it that could move a cursor, and cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (any) => {
        expect(shown(any)).toMatch(/^"[ -~]*"…?$/);
        expect(shown(any).length).toBeLessThan(170);
      }),
    );
  });
});
