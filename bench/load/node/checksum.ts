/** Fletcher's checksum over little-endian 32-bit words, modulo 2^32: as native/common.h describes it. */
export class Checksum {
  #low = 0;
  #high = 0;
  #bytes = 0;
  #tail = Buffer.alloc(0);

  update(chunk: Buffer): void {
    this.#bytes += chunk.length;
    // A word may lie across two chunks: its first bytes wait for the rest.
    const data = this.#tail.length === 0 ? chunk : Buffer.concat([this.#tail, chunk]);
    const whole = data.length - (data.length % 4);
    this.#words(data, whole);
    this.#tail = Buffer.from(data.subarray(whole));
  }

  /** Bytes, then the two sums: 16 bytes, as the sink answers. */
  digest(): Buffer {
    if (this.#tail.length > 0) this.#words(Buffer.concat([this.#tail, Buffer.alloc(4 - this.#tail.length)]), 4);
    this.#tail = Buffer.alloc(0);
    const digest = Buffer.alloc(16);
    digest.writeBigUInt64LE(BigInt(this.#bytes));
    digest.writeUInt32LE(this.#low >>> 0, 8);
    digest.writeUInt32LE(this.#high >>> 0, 12);
    return digest;
  }

  #words(data: Buffer, length: number): void {
    const view = new DataView(data.buffer, data.byteOffset, length);
    let low = this.#low;
    let high = this.#high;
    for (let at = 0; at < length; at += 4) {
      low = (low + view.getInt32(at, true)) | 0;
      high = (high + low) | 0;
    }
    this.#low = low;
    this.#high = high;
  }
}
