/**
 * What a parser of a connection's first bytes answers. Such a parser is a pure function of everything received so
 * far: it never throws, never keeps the bytes, and refuses as soon as no continuation could be valid. Asked again
 * only when `atLeast` bytes are there, it takes time linear in what it reads.
 */
export type SniffResult<T> =
  | {
      readonly kind: 'match';
      readonly value: T;
      /** Bytes that were read: what follows them is the connection's own. */
      readonly length: number;
    }
  | {
      readonly kind: 'no-match';
      /** In words an operator can act on. May quote what the peer sent, shortened and escaped. */
      readonly reason: string;
    }
  | {
      readonly kind: 'need-more';
      /** Bytes in all, counted from the first, before it is worth asking again. */
      readonly atLeast: number;
      /** Where to go on, to be handed back to a parser that takes it: nothing before that is read again. */
      readonly from?: number;
    };

export function match<T>(value: T, length: number): SniffResult<T> {
  return { kind: 'match', value, length };
}

export function noMatch(reason: string): SniffResult<never> {
  return { kind: 'no-match', reason };
}

export function needMore(atLeast: number, from = 0): SniffResult<never> {
  return { kind: 'need-more', atLeast, ...(from > 0 && { from }) };
}

/** Enough to recognise a protocol by, and not much of what may be a secret. */
const QUOTED_CHARS = 20;

/** The beginning of what was received, one character for each byte, for a `reason`: printable ASCII as it is, the rest as `\xNN`. */
export function quoted(received: string): string {
  const text = received
    .slice(0, QUOTED_CHARS)
    .replace(/[^ !#-[\]-~]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return `"${text}"${received.length > QUOTED_CHARS ? '...' : ''}`;
}
