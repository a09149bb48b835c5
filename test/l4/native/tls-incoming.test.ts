import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { OpenSsl } from '../../../src/l4/native/openssl.js';
import { Incoming } from '../../../src/l4/native/tls-incoming.js';

const SESSION = 1;
const WRITE = 2;
const FIRST_BIO = 3;

/** OpenSSL as far as it is asked here: BIOs that count their references, and memory that others write to. */
class FakeOpenSsl {
  readonly memory = new Uint8Array(100_000);
  readonly #bios = new Map<number, { references: number; readonly bytes: number[]; readonly lentAt?: number }>();
  #next = FIRST_BIO;
  #reading = 0;

  readonly asked = {
    BIO_s_mem: () => 0,
    BIO_new: () => this.#add({ references: 1, bytes: [] }),
    BIO_new_mem_buf: (at: number, length: number) =>
      this.#add({ references: 1, bytes: Array.from({ length }, (_, index) => at + index), lentAt: at }),
    BIO_ctrl: () => 1,
    BIO_up_ref: (bio: number) => {
      this.#of(bio).references += 1;
      return 1;
    },
    BIO_free: (bio: number) => this.#free(bio),
    BIO_ctrl_pending: (bio: number) => this.#of(bio).bytes.length,
    BIO_write: (bio: number, at: number, length: number) =>
      this.#of(bio).bytes.push(...this.memory.subarray(at, at + length)),
    BIO_write_bytes: (bio: number, bytes: Uint8Array) => this.#of(bio).bytes.push(...bytes),
    SSL_set_bio: (_session: number, read: number) => {
      this.#reading = read;
    },
    SSL_set0_rbio: (_session: number, read: number) => {
      this.#free(this.#reading);
      this.#reading = read;
    },
  } as unknown as OpenSsl;

  /** What the session reads: up to `most` bytes. */
  read(most: number): number[] {
    const { bytes, lentAt } = this.#of(this.#reading);
    const read = bytes.splice(0, most);
    return lentAt === undefined ? read : read.map((at) => this.memory[at] ?? -1);
  }

  /** As `SSL_free` does with its BIO. */
  freeSession(): void {
    this.#free(this.#reading);
  }

  get living(): number {
    return this.#bios.size;
  }

  #add(bio: { references: number; readonly bytes: number[]; readonly lentAt?: number }): number {
    this.#bios.set(this.#next, bio);
    this.#next += 1;
    return this.#next - 1;
  }

  #free(bio: number): number {
    const found = this.#of(bio);
    found.references -= 1;
    if (found.references === 0) this.#bios.delete(bio);
    return 1;
  }

  #of(bio: number) {
    const found = this.#bios.get(bio);
    if (found === undefined) throw new Error(`${bio} was freed`);
    return found;
  }
}

const arrival = fc.record({
  how: fc.constantFrom('lend' as const, 'copy' as const),
  // About the bound between a little and much.
  length: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 4000, max: 9000 })),
  /** Of what came, what is taken in before whoever drives OpenSSL is done with it for now. */
  takenIn: fc.integer({ min: 0, max: 9000 }),
  /** Whether more is read of the socket in the same turn, where all was taken in. */
  goesOn: fc.boolean(),
});

it('gives OpenSSL what was read, in order and whole, whatever becomes of the memory that it was read to; and leaves no BIO behind', () => {
  fc.assert(
    fc.property(fc.array(arrival, { maxLength: 30 }), (arrivals) => {
      const openssl = new FakeOpenSsl();
      const incoming = new Incoming(openssl.asked, SESSION, WRITE);
      const sent: number[] = [];
      const taken: number[] = [];
      for (const { how, length, takenIn, goesOn } of arrivals) {
        const bytes = Array.from({ length }, (_, index) => (sent.length + index) % 251);
        openssl.memory.set(bytes);
        sent.push(...bytes);
        incoming[how](0, length);
        const read = openssl.read(takenIn);
        expect(read).toHaveLength(Math.min(takenIn, length));
        taken.push(...read);
        if (goesOn && taken.length === sent.length) continue;
        incoming.settle();
        openssl.memory.fill(255);
        // Nothing more is read of the socket before all that there was has been taken in.
        taken.push(...openssl.read(Number.POSITIVE_INFINITY));
        incoming.settle();
      }
      incoming.settle();
      taken.push(...openssl.read(Number.POSITIVE_INFINITY));
      expect(Buffer.from(taken).equals(Buffer.from(sent))).toBe(true);
      incoming.gone();
      openssl.freeSession();
      expect(openssl.living).toBe(0);
    }),
  );
});
