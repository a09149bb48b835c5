/**
 * A reader of DER (X.690 section 10) for what others send: it finds where elements begin and end, and nothing more. What is
 * in them is OpenSSL's to judge. It refuses whatever DER does not allow, copies nothing and reads every byte once.
 */
import { MeshproxyError } from '../core/errors.js';

/** Tags as they are on the wire: class, constructed bit and number. */
export const TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  sequence: 0x30,
  /** `[0]` and `[3]`, constructed. */
  context0: 0xa0,
  context3: 0xa3,
} as const;

export interface Element {
  readonly tag: number;
  /** With tag and length. */
  readonly der: Uint8Array;
  readonly content: Uint8Array;
}

/** What is read here has some kilobytes at most. */
const MAX_LENGTH_BYTES = 3;

function bad(why: string): MeshproxyError {
  return new MeshproxyError('bad-certificate', `not DER: ${why}`);
}

/** The one element that all of `bytes` is. Throws a `MeshproxyError` `bad-certificate`, as all here do. */
export function readElement(bytes: Uint8Array): Element {
  const element = firstElement(bytes);
  if (element.der.length < bytes.length) throw bad(`${bytes.length - element.der.length} bytes follow the end`);
  return element;
}

/** The elements that `bytes` holds one after the other, at most `most`. */
export function readElements(bytes: Uint8Array, most: number): Element[] {
  const elements: Element[] = [];
  for (let rest = bytes; rest.length > 0; ) {
    if (elements.length === most) throw bad(`more than ${most} elements where no more may be`);
    const element = firstElement(rest);
    elements.push(element);
    rest = rest.subarray(element.der.length);
  }
  return elements;
}

/** `element`, which has to have the tag; `what` names it for people. */
export function expectTag(element: Element | undefined, tag: number, what: string): Element {
  if (element === undefined) throw bad(`${what} is missing`);
  if (element.tag !== tag) throw bad(`${what} has the tag 0x${hex(element.tag)} in place of 0x${hex(tag)}`);
  return element;
}

/** The bytes of a BIT STRING, which has to end with a whole byte. */
export function wholeBytes({ content }: Element, what: string): Uint8Array {
  if (content[0] !== 0) throw bad(`${what} does not end with a whole byte`);
  return content.subarray(1);
}

function firstElement(bytes: Uint8Array): Element {
  const [tag, first] = bytes;
  if (tag === undefined || first === undefined) throw bad('it ends within an element');
  if ((tag & 0x1f) === 0x1f) throw bad('a tag number above 30');
  const { length, header } = first < 0x80 ? { length: first, header: 2 } : longLength(bytes, first & 0x7f);
  const end = header + length;
  if (end > bytes.length) throw bad(`an element of ${length} bytes where ${bytes.length - header} are left`);
  return { tag, der: bytes.subarray(0, end), content: bytes.subarray(header, end) };
}

/** X.690 sections 8.1.3.5 and 10.1: how many bytes, then the length in as few as can hold it. */
function longLength(bytes: Uint8Array, count: number): { readonly length: number; readonly header: number } {
  if (count === 0) throw bad('an element of indefinite length');
  if (count > MAX_LENGTH_BYTES) throw bad(`a length of ${count} bytes`);
  if (2 + count > bytes.length) throw bad('it ends within a length');
  const length = bytes.subarray(2, 2 + count).reduce((sum, byte) => sum * 256 + byte, 0);
  if (length < 0x80 || length < 256 ** (count - 1)) throw bad('a length in more bytes than it needs');
  return { length, header: 2 + count };
}

function hex(tag: number): string {
  return tag.toString(16).padStart(2, '0');
}
