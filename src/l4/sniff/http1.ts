/**
 * Reads the beginning of an HTTP/1 request (RFC 9112) as far as it takes to learn whom it is for. The bytes go on to
 * whoever serves it, who has the last word on whether they are HTTP.
 */
import { type Authority, parseAuthority } from './authority.js';
import { match, needMore, noMatch, quoted, type SniffResult } from './result.js';

export interface HttpRequest {
  /** CONNECT: it is for a proxy, which is to answer, and to carry what follows to `authority`. */
  readonly isConnect: boolean;
  /** Whom it is for, by its target or its Host field; `undefined` where it does not say (HTTP/1.0). */
  readonly authority: Authority | undefined;
}

/** Longer than any line that servers take by default (nginx and HAProxy: 8 to 16 KB). */
const LINE_MAX_BYTES = 16 * 1024;
/** Those that are registered have 17 characters at most. */
const METHOD_MAX_CHARS = 32;

const LINE_FEED = 10;
const METHOD = /^[!#$%&'*+.^_`|~0-9A-Za-z-]*$/;
const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~\x80-\xff]+) HTTP\/1\.[01]$/;
const ABSOLUTE = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/?#]*)/;
/** RFC 9112 section 5.1: a name, a colon right behind it, and space that does not count. */
const HOST_FIELD = /^host:[ \t]*(.*?)[ \t]*$/i;

/**
 * Reads it from everything received so far. @param from what the last `need-more` said: lines before it are not looked at again
 */
export function parseHttpRequest(bytes: Uint8Array, from = 0): SniffResult<HttpRequest> {
  let at = from;
  if (from === 0) {
    const first = lineAt(bytes, 0);
    if (first === undefined) return startOf(bytes);
    const [, method = '', target = ''] = REQUEST_LINE.exec(first.text) ?? [];
    if (method === '') return refuse(`it begins with ${quoted(first.text)}`);
    const isConnect = method === 'CONNECT';
    // What the target says overrules the Host field (section 3.2.2).
    const named = isConnect ? target : ABSOLUTE.exec(target)?.[1];
    if (named !== undefined) return found(isConnect, withoutUser(named), first.end);
    at = first.end;
  }
  for (;;) {
    const line = lineAt(bytes, at);
    if (line === undefined) {
      const isTooLong = bytes.length - at > LINE_MAX_BYTES;
      return isTooLong ? refuse('a line of its header is too long') : needMore(bytes.length + 1, at);
    }
    if (line.text === '') return match({ isConnect: false, authority: undefined }, line.end);
    const host = HOST_FIELD.exec(line.text)?.[1];
    if (host !== undefined) return found(false, host, line.end);
    at = line.end;
  }
}

/** An empty Host is what a request for no host has to send. */
function found(isConnect: boolean, text: string, length: number): SniffResult<HttpRequest> {
  if (text === '') return match({ isConnect, authority: undefined }, length);
  const authority = parseAuthority(text);
  return authority === undefined ? refuse(`it is for ${quoted(text)}`) : match({ isConnect, authority }, length);
}

/** No line is complete yet: whether this can still be the first one of a request. */
function startOf(bytes: Uint8Array): SniffResult<never> {
  const text = latin1(bytes, 0, METHOD_MAX_CHARS + 1);
  const space = text.indexOf(' ');
  const method = space === -1 ? text : text.slice(0, space);
  if (space === 0 || method.length > METHOD_MAX_CHARS || !METHOD.test(method))
    return refuse(`it begins with ${quoted(text)}`);
  return bytes.length > LINE_MAX_BYTES ? refuse('its first line is too long') : needMore(bytes.length + 1);
}

/** A line without what ends it; a bare line feed will do, as it does for servers (section 2.2). */
function lineAt(bytes: Uint8Array, at: number): { readonly text: string; readonly end: number } | undefined {
  const feed = bytes.indexOf(LINE_FEED, at);
  if (feed === -1) return undefined;
  return { text: latin1(bytes, at, feed).replace(/\r$/, ''), end: feed + 1 };
}

function withoutUser(authority: string): string {
  return authority.slice(authority.lastIndexOf('@') + 1);
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1', start, end);
}

function refuse(why: string): SniffResult<never> {
  return noMatch(`no HTTP/1 request: ${why}`);
}
