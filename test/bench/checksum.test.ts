import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Checksum } from '../../bench/load/node/checksum.js';

function digestOf(...chunks: Uint8Array[]): Buffer {
  const checksum = new Checksum();
  for (const chunk of chunks) checksum.update(Buffer.from(chunk));
  return checksum.digest();
}

const data = fc.uint8Array({ minLength: 1, maxLength: 200 });

describe('the checksum of a stream', () => {
  it('does not depend on where the stream was cut', () => {
    fc.assert(
      fc.property(fc.array(data, { maxLength: 10 }), (chunks) => {
        expect(digestOf(...chunks)).toEqual(digestOf(Buffer.concat(chunks)));
      }),
    );
  });

  it('notices any single byte that changed', () => {
    fc.assert(
      fc.property(data, fc.nat(), fc.integer({ min: 1, max: 255 }), (bytes, at, change) => {
        const changed = Uint8Array.from(bytes);
        const index = at % bytes.length;
        changed[index] = (changed[index] ?? 0) ^ change;
        expect(digestOf(changed)).not.toEqual(digestOf(bytes));
      }),
    );
  });

  it('notices two words that changed places, and zeros that were added or lost', () => {
    expect(digestOf(Buffer.from('aaaabbbb'))).not.toEqual(digestOf(Buffer.from('bbbbaaaa')));
    expect(digestOf(Buffer.alloc(8))).not.toEqual(digestOf(Buffer.alloc(9)));
  });

  it('is what its definition says', () => {
    // Words 1 and 2: their sum 3, and 1 + 3.
    const digest = digestOf(Buffer.from([1, 0, 0, 0, 2, 0, 0, 0]));
    expect([digest.readBigUInt64LE(), digest.readUInt32LE(8), digest.readUInt32LE(12)]).toEqual([8n, 3, 4]);
  });
});
