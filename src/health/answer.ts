/** What an endpoint's answer to a check means. Pure: the bytes so far come to a verdict, or more are needed. */
import type { StatusRanges } from '../config/health-check.js';

/** Of an answer no more is read than this: enough for any status line, and for a banner with what comes before it. */
export const MOST_READ = 16 * 1024;

export type Verdict =
  | { readonly kind: 'more' }
  /** In words that follow the name of the check: `answered 200`. */
  | { readonly kind: 'passed' | 'failed'; readonly words: string };

/** @param isAll no more will come, or no more is read */
export type Judge = (bytes: Uint8Array, isAll: boolean) => Verdict;

const MORE: Verdict = { kind: 'more' };

/** RFC 9112 section 4: a reason may follow, and old servers leave out the space before it. */
const STATUS_LINE = /^HTTP\/1\.[01] (\d{3})[ \r\n]/;
const STATUS_BYTES = 'HTTP/1.1 200 '.length;

/** The status of an HTTP response; those before the final one (1xx) say nothing. */
export function judgeHttp(passing: StatusRanges): Judge {
  const judge: Judge = (bytes, isAll) => {
    if (bytes.length === 0 && isAll) return { kind: 'failed', words: 'was not answered: the connection was closed' };
    const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, STATUS_BYTES)).toString('latin1');
    const [, digits] = STATUS_LINE.exec(head) ?? [];
    if (digits === undefined) {
      if (bytes.length < STATUS_BYTES && !isAll) return MORE;
      return { kind: 'failed', words: `was answered by what is no HTTP: ${shown(bytes)}` };
    }
    const status = Number(digits);
    if (status < 200) {
      const end = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf('\r\n\r\n');
      if (end !== -1) return judge(bytes.subarray(end + 4), isAll);
      return isAll ? { kind: 'failed', words: `answered ${status}, and no more` } : MORE;
    }
    const passed = passing.some(([from, to]) => status >= from && status <= to);
    return { kind: passed ? 'passed' : 'failed', words: `answered ${status}` };
  };
  return judge;
}

/** Whether what is expected is anywhere in what came. */
export function judgeExpected(expected: Uint8Array): Judge {
  return (bytes, isAll) => {
    const came = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    if (came.indexOf(expected) !== -1) return { kind: 'passed', words: `was answered by ${shown(expected)}` };
    if (!isAll) return MORE;
    const what = bytes.length === 0 ? 'nothing: the connection was closed' : shown(bytes);
    return { kind: 'failed', words: `was not answered by ${shown(expected)} but by ${what}` };
  };
}

/** As much as tells a person what it is. */
const SHOWN_BYTES = 40;

/** Bytes for people: quoted, with nothing in it that could move a cursor. */
export function shown(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, SHOWN_BYTES)).toString('latin1');
  const printable = text.replace(
    /[^ -~]/g,
    (char) => NAMED.get(char) ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return `"${printable}"${bytes.length > SHOWN_BYTES ? '…' : ''}`;
}

const NAMED: ReadonlyMap<string, string> = new Map([
  ['\r', '\\r'],
  ['\n', '\\n'],
  ['\t', '\\t'],
]);
