import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { encodeProxyHeader } from '../../../src/l4/proxy-header.js';
import { type ProxyHeader, TLV, V2_MAX_BYTES } from '../../../src/l4/sniff/proxy-format.js';
import { parseProxyHeader } from '../../../src/l4/sniff/proxy-protocol.js';
import type { SniffResult } from '../../../src/l4/sniff/result.js';
import * as arbitrary from './arbitraries.js';

function isMatch(result: SniffResult<ProxyHeader>): result is Extract<typeof result, { kind: 'match' }> {
  return result.kind === 'match';
}

/** Bytes that look enough like a header for the parser to get somewhere. */
const nearlyHeader = fc.oneof(
  fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
  fc.tuple(arbitrary.sample, fc.nat(), fc.nat(255)).map(([{ bytes }, at, byte]) => {
    const damaged = Buffer.from(bytes);
    damaged[at % damaged.length] = byte;
    return damaged;
  }),
  fc
    .tuple(
      fc.constantFrom(0x20, 0x21),
      fc.constantFrom(0x00, 0x11, 0x12, 0x21, 0x31),
      fc.uint8Array({ maxLength: 300 }),
    )
    .map(([command, family, body]) => arbitrary.v2Bytes(command, family, body)),
  fc
    .stringMatching(/^PROXY (TCP4|TCP6|UNKNOWN)( [0-9a-f.:]{1,12}){0,5}(\r\n|\r|\n|)$/)
    .map((line) => Buffer.from(line)),
);

describe('a valid header', () => {
  it('is read for what it says', () => {
    fc.assert(
      fc.property(arbitrary.sample, ({ bytes, header }) => {
        expect(parseProxyHeader(bytes)).toEqual({ kind: 'match', value: header, length: bytes.length });
      }),
    );
  });

  it('cut off anywhere needs more, and never more than the rest of it', () => {
    fc.assert(
      fc.property(arbitrary.sample, ({ bytes }) => {
        for (let length = 0; length < bytes.length; length++) {
          const result = parseProxyHeader(bytes.subarray(0, length));
          expect(result.kind).toBe('need-more');
          if (result.kind !== 'need-more') return;
          expect(result.atLeast).toBeGreaterThan(length);
          expect(result.atLeast).toBeLessThanOrEqual(bytes.length);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('is read in a few steps by someone who waits for what is asked for', () => {
    fc.assert(
      fc.property(arbitrary.v2, ({ bytes }) => {
        let steps = 0;
        let result = parseProxyHeader(bytes.subarray(0, 0));
        while (result.kind === 'need-more') {
          steps++;
          result = parseProxyHeader(bytes.subarray(0, result.atLeast));
        }
        expect(result.kind).toBe('match');
        // The least that any header has, the fixed part of version 2, all of it.
        expect(steps).toBeLessThanOrEqual(3);
      }),
    );
  });

  it('is kept when the bytes it was read from are used for something else', () => {
    fc.assert(
      fc.property(arbitrary.sample, ({ bytes, header }) => {
        const result = parseProxyHeader(bytes);
        bytes.fill(0x20);
        expect(isMatch(result) && result.value).toEqual(header);
      }),
    );
  });

  it('is not read by what follows it', () => {
    fc.assert(
      fc.property(arbitrary.sample, fc.uint8Array({ maxLength: 64 }), ({ bytes, header }, payload) => {
        const expected = { kind: 'match', value: header, length: bytes.length };
        expect(parseProxyHeader(Buffer.concat([bytes, payload]))).toEqual(expected);
      }),
    );
  });
});

describe('whatever arrives', () => {
  it('is answered without throwing, and with no look past its end', () => {
    fc.assert(
      fc.property(nearlyHeader, fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes, behind) => {
        const alone = parseProxyHeader(new Uint8Array(bytes));
        const larger = Buffer.concat([behind, bytes, behind]);
        expect(parseProxyHeader(larger.subarray(behind.length, behind.length + bytes.length))).toEqual(alone);
        if (alone.kind === 'match') expect(alone.length).toBeLessThanOrEqual(bytes.length);
        if (alone.kind === 'need-more') {
          expect(alone.atLeast).toBeGreaterThan(bytes.length);
          expect(alone.atLeast).toBeLessThanOrEqual(V2_MAX_BYTES);
        }
        if (alone.kind === 'no-match') expect(alone.reason).toMatch(/^[ -~]{10,160}$/);
      }),
      { numRuns: 2000 },
    );
  });

  it('once refused or matched stays so, whatever comes after', () => {
    fc.assert(
      fc.property(nearlyHeader, (bytes) => {
        const whole = parseProxyHeader(bytes);
        for (let length = 0; length < bytes.length; length++) {
          const part = parseProxyHeader(bytes.subarray(0, length));
          if (part.kind === 'match') expect(whole).toEqual(part);
          if (part.kind === 'no-match') expect(whole.kind).toBe('no-match');
          // What it said it was waiting for was worth waiting for: nothing is decided before.
          if (part.kind === 'need-more' && part.atLeast > bytes.length) expect(whole.kind).not.toBe('match');
        }
      }),
    );
  });

  test.each([
    ['HTTP', 'GET / HTTP/1.1\r\n', 1, 'no PROXY protocol header: the connection begins with "G"'],
    ['TLS', '\x16\x03\x01\x02\x00', 1, 'no PROXY protocol header: the connection begins with "\\x16"'],
    ['HTTP with a method that begins alike', 'PRI * HTTP/2.0', 3, 'the connection begins with "PRI"'],
    ['an empty line', '\r\n\r\n\r', 5, 'the connection begins with "\\x0d\\x0a\\x0d\\x0a\\x0d"'],
    ['a line of lower case', 'proxy TCP4', 1, 'the connection begins with "p"'],
  ])('%s is refused as soon as it fits no signature', (_, text, certain, reason) => {
    const bytes = Buffer.from(text, 'latin1');
    for (let length = 0; length < certain; length++) {
      expect(parseProxyHeader(bytes.subarray(0, length)).kind).toBe('need-more');
    }
    expect(parseProxyHeader(bytes.subarray(0, certain))).toMatchObject({ kind: 'no-match' });
    expect(parseProxyHeader(bytes.subarray(0, certain))).toHaveProperty('reason', expect.stringContaining(reason));
  });

  it('is quoted in part only, with nothing that a terminal would obey', () => {
    const result = parseProxyHeader(Buffer.from('\x1b[2J"\\\xff and a secret that is long', 'latin1'));
    expect(result).toHaveProperty(
      'reason',
      'no PROXY protocol header: the connection begins with "\\x1b[2J\\x22\\x5c\\xff and a secret"...',
    );
  });
});

describe('version 2 with a checksum', () => {
  it('is never taken for the same after the flip of any one bit', () => {
    fc.assert(
      fc.property(arbitrary.samePair, arbitrary.tlvs, fc.nat(), ([source, destination], tlvs, bit) => {
        const bytes = encodeProxyHeader('v2', source, destination, { tlvs, checksum: true });
        const original = parseProxyHeader(bytes);
        const at = (bit >> 3) % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
        // A flip may hide the checksum: in its type, or the command. What is read then is not the same, though.
        expect(parseProxyHeader(bytes)).not.toEqual(original);
      }),
      { numRuns: 1000 },
    );
  });
});

it('the value of a TLV is found by its type', () => {
  const tlvs = [TLV.alpn, TLV.authority, TLV.authority].map((type, at) => ({
    type,
    value: Buffer.from(`value ${at}`),
  }));
  const result = parseProxyHeader(
    encodeProxyHeader('v2', { kind: 'ip', host: '::1', port: 1 }, { kind: 'ip', host: '::1', port: 2 }, { tlvs }),
  );
  if (!isMatch(result)) throw new Error('not a match');
  const tlvValue = (wanted: number) => result.value.tlvs.find(({ type }) => type === wanted)?.value;
  expect(Buffer.from(tlvValue(TLV.authority) ?? []).toString()).toBe('value 1');
  expect(tlvValue(TLV.uniqueId)).toBeUndefined();
});
