/**
 * Of HTTP/2's compressed headers (HPACK, RFC 7541) as much as it takes to find whom the first request of a connection is
 * for. Nothing was sent before it, so nothing that it could refer to is missing but what it has itself just defined.
 */

/** Places in the static table (appendix A) of names that say it. */
const AUTHORITY = 1;
const HOST = 38;

const LITERAL_NAME = 0;

/** Its `:authority`, or its `host`; empty where it has neither, `undefined` where it cannot be read. */
export function authorityIn(block: Uint8Array): string | undefined {
  const reader = new HpackReader(block);
  let host = '';
  while (!reader.atEnd) {
    const first = reader.peek();
    if ((first & 0x80) !== 0) {
      // A whole field of a table: of the static one none says it but with an empty value.
      reader.integer(7);
    } else if ((first & 0xe0) === 0x20) {
      // Another size for the table that is not kept here.
      reader.integer(5);
    } else {
      const index = reader.integer((first & 0x40) === 0 ? 4 : 6);
      const name = index === LITERAL_NAME ? reader.string()?.text() : undefined;
      const value = reader.string();
      if (value === undefined || reader.failed) return undefined;
      if (index === AUTHORITY || name === ':authority') return value.text();
      if (index === HOST || name === 'host') {
        const text = value.text();
        if (text === undefined) return undefined;
        host ||= text;
      }
    }
    if (reader.failed) return undefined;
  }
  return host;
}

/** No string is longer; that of no frame that is read. */
const MOST_BITS = 20;

class HpackReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  failed = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  peek(): number {
    return this.#bytes[this.#at] ?? 0;
  }

  /** Section 5.1. @param prefix bits of its first byte that belong to it */
  integer(prefix: number): number {
    const most = (1 << prefix) - 1;
    let value = this.#next() & most;
    if (value < most) return value;
    for (let shift = 0; shift < MOST_BITS; shift += 7) {
      const byte = this.#next();
      value += (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value;
    }
    this.failed = true;
    return 0;
  }

  /** Section 5.2. Decoded only if somebody asks. */
  string(): HpackString | undefined {
    const isHuffman = (this.peek() & 0x80) !== 0;
    const length = this.integer(7);
    const start = this.#at;
    if (this.failed || length > this.#bytes.length - start) {
      this.failed = true;
      return undefined;
    }
    this.#at += length;
    return new HpackString(this.#bytes.subarray(start, this.#at), isHuffman);
  }

  #next(): number {
    const byte = this.#bytes[this.#at];
    this.#at += 1;
    if (byte === undefined) this.failed = true;
    return byte ?? 0;
  }
}

class HpackString {
  readonly #bytes: Uint8Array;
  readonly #isHuffman: boolean;

  constructor(bytes: Uint8Array, isHuffman: boolean) {
    this.#bytes = bytes;
    this.#isHuffman = isHuffman;
  }

  /** `undefined` where it has characters that no name and no address has, or is no Huffman code. */
  text(): string | undefined {
    return this.#isHuffman ? decodeHuffman(this.#bytes) : Buffer.from(this.#bytes).toString('latin1');
  }
}

/**
 * The characters that take so many bits. The code is a canonical one (appendix B): within a length it counts up in the
 * order of the characters, and from one length to the next it is doubled. What takes more than 15 bits is in no host.
 */
const BY_BITS: ReadonlyMap<number, string> = new Map([
  [5, '012aceiost'],
  [6, ' %-./3456789=A_bdfghlmnpru'],
  [7, ':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz'],
  [8, '&*,;XZ'],
  [9, ''],
  [10, '!"()?'],
  [11, "'+|"],
  [12, '#>'],
  [13, '\0$@[]~'],
  [14, '^}'],
  [15, '<`{'],
]);
/** What is left at the end of the last byte is ones, and fewer than a byte of them (section 5.2). */
const MOST_PADDING_BITS = 7;

const characters = codeOf(BY_BITS);

/** By code, with a one before it so that leading zeroes count. */
function codeOf(byBits: ReadonlyMap<number, string>): ReadonlyMap<number, string> {
  const characters = new Map<number, string>();
  let code = 0;
  for (const [bits, those] of byBits) {
    code <<= 1;
    for (const character of those) {
      characters.set((1 << bits) | code, character);
      code += 1;
    }
  }
  return characters;
}

function decodeHuffman(bytes: Uint8Array): string | undefined {
  let text = '';
  let bits = 1;
  for (const byte of bytes) {
    for (let place = 7; place >= 0; place -= 1) {
      bits = (bits << 1) | ((byte >> place) & 1);
      const character = characters.get(bits);
      if (character !== undefined) {
        text += character;
        bits = 1;
      } else if (bits >= 1 << 16) return undefined;
    }
  }
  const padding = Math.floor(Math.log2(bits));
  return padding <= MOST_PADDING_BITS && bits === (1 << (padding + 1)) - 1 ? text : undefined;
}
