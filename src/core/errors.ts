/**
 * The one error type of meshproxy, with a closed union of codes.
 *
 * Each layer that rethrows adds what it was doing, in words an operator can act on, and keeps what it caught as
 * `cause`. Anything that is not a `MeshproxyError` is a bug and is reported as one, with its stack.
 */
import { inspect } from 'node:util';

/** Every way meshproxy says "no". Programs match on these; people read the message. */
export type ErrorCode =
  /** A flag, or a combination of flags, that makes no sense. Exit code 2. */
  | 'usage'
  /** An address that does not parse. Exit code 2. */
  | 'bad-address'
  /** A configuration file that does not parse or validate. Exit code 2. */
  | 'bad-config'
  /** A SPIFFE ID or trust domain that does not parse, or is not one of this authority. Exit code 2. */
  | 'bad-identity'
  /** A join token that is none, or not whole. Exit code 2. */
  | 'bad-token'
  /** A file that cannot be read or written. */
  | 'file'
  /** An address that cannot be listened on: in use, privileged, not of this machine. */
  | 'listen'
  /** A name that does not resolve. */
  | 'resolve'
  /** An endpoint that cannot be reached. */
  | 'connect'
  /** No descriptor, no memory left in this process or machine: not the far side's fault. */
  | 'exhausted'
  /** Something took longer than it may. */
  | 'timeout'
  /** The other side ended or reset the connection before what was awaited. */
  | 'disconnected'
  /** The peer broke the protocol it was to speak. */
  | 'protocol'
  /** A certificate or key that cannot be used. */
  | 'bad-certificate'
  /** TLS with the other side did not come about. */
  | 'handshake'
  /** The certificate authority refuses, or cannot be reached. */
  | 'authority'
  /** Given up on purpose: shutting down, or no longer wanted. */
  | 'aborted'
  /** The running proxy that a command asked does not answer, or not as expected. */
  | 'admin';

export interface MeshproxyErrorOptions {
  /** What to do about it: an imperative sentence without a full stop. Shown after the message. */
  readonly hint?: string;
  readonly cause?: unknown;
}

export class MeshproxyError extends Error {
  override readonly name = 'MeshproxyError';
  readonly code: ErrorCode;
  /** What the operator can do about it, or `undefined` where there is nothing sensible to say. */
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: MeshproxyErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }
}

/** The system's name for what went wrong (`ECONNREFUSED`), or `undefined` where neither `error` nor its cause carries one. */
export function errnoOf(error: unknown): string | undefined {
  // Its own code is meshproxy's word for it, not the system's.
  if (error instanceof MeshproxyError) return errnoOf(error.cause);
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Plain words for the system errors that a proxy meets. */
const ERRNO_WORDS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    ECONNREFUSED: 'connection refused: nothing listens there',
    ECONNRESET: 'connection reset by the other side',
    EPIPE: 'the other side had already closed',
    ETIMEDOUT: 'no answer',
    EHOSTUNREACH: 'no route to the host',
    ENETUNREACH: 'no route to the network',
    EHOSTDOWN: 'the host is down',
    EADDRINUSE: 'the address is already in use',
    EADDRNOTAVAIL: 'the address is not one of this machine',
    EACCES: 'permission denied',
    EPERM: 'not permitted',
    ENOENT: 'no such file',
    EEXIST: 'there is one already',
    EISDIR: 'it is a directory',
    ENOTDIR: 'a part of the path is not a directory',
    EMFILE: 'this process has no descriptor left',
    ENFILE: 'this machine has no descriptor left',
    ENOBUFS: 'the kernel has no buffer space left',
    ENOMEM: 'out of memory',
    ENOTFOUND: 'no such name',
    ENODATA: 'the name has no address',
    ESERVFAIL: 'the name server failed',
    EREFUSED: 'the name server refused to answer',
    EAI_AGAIN: 'the name server did not answer',
    ETIMEOUT: 'the name server did not answer in time',
  }),
);

/**
 * What went wrong, in words, with the system's own name for it: `connection refused: nothing listens there
 * (ECONNREFUSED)`. Where there are no words of ours, the error's own.
 */
export function describeError(error: unknown): string {
  if (error instanceof MeshproxyError) return error.message;
  const errno = errnoOf(error);
  if (errno === undefined) return textOf(error);
  const words = ERRNO_WORDS.get(errno) ?? (error instanceof Error ? error.message : '');
  if (words === '') return errno;
  return words.includes(errno) ? words : `${words} (${errno})`;
}

/** Of whatever was thrown; `String` itself throws for some objects. */
function textOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  return typeof thrown === 'string' ? thrown : inspect(thrown);
}
