/**
 * Reads the beginning of an HTTP/2 connection without TLS (RFC 9113, prior knowledge) as far as its first request, for
 * whom that is: the ones behind it go where the connection goes.
 */
import { type Authority, parseAuthority } from './authority.js';
import { authorityIn } from './hpack.js';
import { match, needMore, noMatch, quoted, type SniffResult } from './result.js';

export interface Http2Request {
  /** Of its first request; `undefined` where that names nobody. */
  readonly authority: Authority | undefined;
}

/** What every connection begins with (section 3.4). */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
const FRAME_HEADER_BYTES = 9;
/** A larger one is an error as long as the server has not allowed it (section 4.2), which it has not been asked yet. */
const FRAME_MAX_BYTES = 1 << 14;
const FRAME = { data: 0, headers: 1, resetStream: 3, settings: 4, pushPromise: 5, goAway: 7, continuation: 9 } as const;
/** Of no request that comes first. */
const MISPLACED: ReadonlySet<number> = new Set([
  FRAME.data,
  FRAME.resetStream,
  FRAME.pushPromise,
  FRAME.goAway,
  FRAME.continuation,
]);
const FLAG = { endHeaders: 0x04, padded: 0x08, priority: 0x20 } as const;
/** A header of 64 KB takes three. A client that sends many small ones means to make work. */
const MOST_CONTINUATIONS = 8;
/** Of the stream that it depends on, and its weight. */
const PRIORITY_BYTES = 5;

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly body: Uint8Array;
  /** Where the next one begins. */
  readonly end: number;
}

/** Reads it from everything received so far. @param from what the last `need-more` said: frames before it are not looked at again */
export function parseHttp2(bytes: Uint8Array, from = 0): SniffResult<Http2Request> {
  const start = bytes.subarray(0, PREFACE.length);
  if (!start.every((byte, at) => byte === PREFACE[at])) {
    return refuse(`it begins with ${quoted(Buffer.from(start).toString('latin1'))}`);
  }
  if (start.length < PREFACE.length) return needMore(PREFACE.length);
  for (let at = Math.max(from, PREFACE.length); ; ) {
    const frame = frameAt(bytes, at);
    if (frame.kind !== 'match') return frame;
    const { type, end } = frame.value;
    if (at === PREFACE.length && type !== FRAME.settings) return refuse(`its first frame is of type ${type}`);
    if (MISPLACED.has(type)) return refuse(`a frame of type ${type} comes before any request`);
    if (type === FRAME.headers) return readRequest(bytes, frame.value, at);
    at = end;
  }
}

/** @param at where it begins: there it is read again when all of its header is there */
function readRequest(bytes: Uint8Array, headers: Frame, at: number): SniffResult<Http2Request> {
  const first = fragmentOf(headers);
  if (first === undefined) return refuse('its first request is padded with more than there is');
  const fragments = [first];
  let last = headers;
  while ((last.flags & FLAG.endHeaders) === 0) {
    const next = frameAt(bytes, last.end);
    if (next.kind === 'need-more') return needMore(next.atLeast, at);
    if (next.kind === 'no-match') return next;
    last = next.value;
    if (fragments.length > MOST_CONTINUATIONS)
      return refuse('the header of its first request comes in too many pieces');
    if (last.type !== FRAME.continuation) return refuse('the header of its first request is not continued');
    fragments.push(last.body);
  }
  const text = authorityIn(Buffer.concat(fragments));
  if (text === undefined) return refuse('the header of its first request cannot be read');
  if (text === '') return match({ authority: undefined }, last.end);
  const authority = parseAuthority(text);
  return authority === undefined ? refuse(`it is for ${quoted(text)}`) : match({ authority }, last.end);
}

function frameAt(bytes: Uint8Array, at: number): SniffResult<Frame> {
  const header = bytes.subarray(at, at + FRAME_HEADER_BYTES);
  const [high = 0, middle, low, type, flags] = header;
  const bodyAt = at + FRAME_HEADER_BYTES;
  if (middle === undefined || low === undefined || type === undefined || flags === undefined)
    return needMore(bodyAt, at);
  const length = (high << 16) | (middle << 8) | low;
  if (length > FRAME_MAX_BYTES) return refuse(`a frame says ${length} bytes, and ${FRAME_MAX_BYTES} are allowed`);
  const end = bodyAt + length;
  if (end > bytes.length) return needMore(end, at);
  return match({ type, flags, body: bytes.subarray(bodyAt, end), end }, end);
}

/** The part of the header that a HEADERS frame has, without padding and priority (section 6.2). */
function fragmentOf({ flags, body }: Frame): Uint8Array | undefined {
  const isPadded = (flags & FLAG.padded) !== 0;
  const padding = isPadded ? body[0] : 0;
  const start = (isPadded ? 1 : 0) + ((flags & FLAG.priority) === 0 ? 0 : PRIORITY_BYTES);
  if (padding === undefined || start + padding > body.length) return undefined;
  return body.subarray(start, body.length - padding);
}

function refuse(why: string): SniffResult<never> {
  return noMatch(`no HTTP/2 request: ${why}`);
}
