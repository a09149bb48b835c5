/** A minimal client of Redis' protocol (RESP2, redis.io/docs/reference/protocol-spec). */
import type { Socket } from 'node:net';

export type Reply = string | number | null | Error | readonly Reply[];

export class RespClient {
  readonly #socket: Socket;
  readonly #waiting: { resolve(reply: Reply): void; reject(error: Error): void }[] = [];
  readonly #unasked: Reply[] = [];
  #chunks: Buffer[] = [];
  #length = 0;
  /** Not worth parsing before so many bytes are there. */
  #atLeast = 1;

  /** Takes over a connected socket. */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#take(chunk));
    socket.once('close', () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('the connection was closed'));
    });
    socket.resume();
  }

  /** Sends a command; its reply is the next that nobody waits for yet. */
  command(...words: readonly (string | Buffer)[]): Promise<Reply> {
    const parts: (string | Buffer)[] = [`*${words.length}\r\n`];
    for (const word of words) parts.push(`$${Buffer.byteLength(word)}\r\n`, word, '\r\n');
    this.#socket.write(Buffer.concat(parts.map((part) => Buffer.from(part))));
    return this.next();
  }

  /** The next reply, or what the server sends by itself. */
  next(): Promise<Reply> {
    const reply = this.#unasked.shift();
    if (reply !== undefined) return Promise.resolve(reply);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#atLeast) return;
    let bytes = Buffer.concat(this.#chunks);
    let parsed = parse(bytes, 0);
    for (; typeof parsed !== 'number'; parsed = parse(bytes, 0)) {
      bytes = bytes.subarray(parsed.end);
      const waiting = this.#waiting.shift();
      if (waiting) waiting.resolve(parsed.reply);
      else this.#unasked.push(parsed.reply);
    }
    this.#chunks = [bytes];
    this.#length = bytes.length;
    this.#atLeast = parsed;
  }
}

/** A reply and where it ends; or how many bytes there have to be before it can be read. */
function parse(bytes: Buffer, at: number): { readonly reply: Reply; readonly end: number } | number {
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd === -1) return bytes.length + 1;
  const line = bytes.toString('utf8', at + 1, lineEnd);
  const next = lineEnd + 2;
  const type = String.fromCharCode(bytes.readUInt8(at));
  if (type === '+') return { reply: line, end: next };
  if (type === '-') return { reply: new Error(line), end: next };
  if (type === ':') return { reply: Number(line), end: next };
  const length = Number(line);
  if (length === -1) return { reply: null, end: next };
  if (type === '$') {
    const end = next + length + 2;
    return end > bytes.length ? end : { reply: bytes.toString('latin1', next, end - 2), end };
  }
  if (type !== '*') throw new Error(`not RESP: ${JSON.stringify(line)}`);
  const replies: Reply[] = [];
  let end = next;
  for (let i = 0; i < length; i += 1) {
    const element = parse(bytes, end);
    if (typeof element === 'number') return element;
    replies.push(element.reply);
    end = element.end;
  }
  return { reply: replies, end };
}
