/** What the clients in TypeScript have in common. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { fail } from './recorder.js';

/** How long a client waits, after its time is up, for the answers still due. */
export const GRACE_MS = 5_000;

export async function connected(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return socket;
}

/** The same, for a connection that is to last: that it ends early ends the program. */
export async function kept(port: number): Promise<Socket> {
  const socket = await connected(port);
  socket.on('error', (error) => fail(error.message));
  socket.on('end', () => fail('a kept connection was closed'));
  return socket;
}

/** A message that says which one it is: an answer that belongs to another is noticed. */
export function stamped(size: number, connection: number, sequence: number): Buffer {
  const stamp = Buffer.alloc(8);
  stamp.writeUInt32LE(connection);
  stamp.writeUInt32LE(sequence >>> 0, 4);
  return Buffer.alloc(size, stamp);
}

/** Collects the answer to one message after the other, and ends the program where one is not what was sent. */
export class Answers {
  #expected: Buffer = Buffer.alloc(0);
  #received = 0;

  /** The next answer is to be this. Only when the one before is complete. */
  expect(message: Buffer): void {
    this.#expected = message;
    this.#received = 0;
  }

  /** Takes bytes up to the end of the answer; returns how many it took. */
  take(data: Buffer): number {
    const length = Math.min(data.length, this.#expected.length - this.#received);
    const from = this.#received;
    if (data.compare(this.#expected, from, from + length, 0, length) !== 0) fail('an answer is not what was sent');
    this.#received += length;
    return length;
  }

  get complete(): boolean {
    return this.#received === this.#expected.length;
  }
}

/** Sends `message` and waits for it to come back; rejects where the connection ends before that, or `GRACE_MS` pass. */
export function exchange(socket: Socket, message: Buffer): Promise<void> {
  const answers = new Answers();
  answers.expect(message);
  return new Promise((resolve, reject) => {
    const settle = (outcome: () => void) => {
      clearTimeout(limit);
      socket.removeAllListeners('data').removeListener('error', reject);
      outcome();
    };
    const limit = setTimeout(() => settle(() => reject(new Error('no answer'))), GRACE_MS);
    socket.once('error', reject).once('close', () => settle(() => reject(new Error('closed before the answer'))));
    socket.on('data', (data) => {
      answers.take(data);
      if (answers.complete) settle(resolve);
    });
    socket.write(message);
  });
}
