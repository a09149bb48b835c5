/** A fleet of upstreams that can be made to misbehave, and clients that ask all the time and check each answer. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { formatAddress, type IpAddress } from '../../src/core/address.js';

/** Every question is so long, and the answer repeats it after the upstream's name and a space. */
const QUESTION = 8;

/** `answers`: after `delayMs`. `resets`: right at accept, before it has read anything. */
export type Behaviour = { readonly kind: 'answers'; readonly delayMs: number } | { readonly kind: 'resets' };

export interface Upstream {
  readonly name: string;
  readonly address: IpAddress;
}

/** In this process; how it behaves can be changed from one connection to the next. */
export class LocalUpstream implements Upstream {
  readonly name: string;
  behaviour: Behaviour;
  /** Connections so far. */
  accepted = 0;
  readonly #server: net.Server;

  private constructor(name: string, behaviour: Behaviour) {
    this.name = name;
    this.behaviour = behaviour;
    this.#server = net.createServer((socket) => this.#serve(socket));
  }

  static async start(name: string, behaviour: Behaviour): Promise<LocalUpstream> {
    const upstream = new LocalUpstream(name, behaviour);
    upstream.#server.listen(0, '127.0.0.1');
    await once(upstream.#server, 'listening');
    onTestFinished(() => void upstream.#server.close());
    return upstream;
  }

  get address(): IpAddress {
    return { kind: 'ip', host: '127.0.0.1', port: (this.#server.address() as net.AddressInfo).port };
  }

  #serve(socket: net.Socket): void {
    this.accepted += 1;
    socket.on('error', () => {});
    const { behaviour } = this;
    if (behaviour.kind === 'resets') return void socket.resetAndDestroy();
    let asked = '';
    socket.on('data', (chunk) => {
      asked += chunk;
      if (asked.length === QUESTION) setTimeout(() => socket.end(`${this.name} ${asked}`), behaviour.delayMs);
    });
  }
}

/** A process of its own, which can be killed, stopped and started again at the same address. */
export class ChildUpstream implements Upstream {
  readonly name: string;
  readonly address: IpAddress;
  readonly #delayMs: number;
  #child: ChildProcess;

  private constructor(name: string, delayMs: number, { child, port }: { child: ChildProcess; port: number }) {
    this.name = name;
    this.#delayMs = delayMs;
    this.#child = child;
    this.address = { kind: 'ip', host: '127.0.0.1', port };
    onTestFinished(() => void this.#child.kill('SIGKILL'));
  }

  static async start(name: string, delayMs: number): Promise<ChildUpstream> {
    return new ChildUpstream(name, delayMs, await spawnUpstream(name, delayMs, 0));
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  async startAgain(): Promise<void> {
    this.#child = (await spawnUpstream(this.name, this.#delayMs, this.address.port)).child;
  }
}

async function spawnUpstream(name: string, delayMs: number, port: number) {
  const script = `require('net').createServer((socket) => {
    let asked = '';
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      asked += chunk;
      if (asked.length === ${QUESTION}) setTimeout(() => socket.end('${name} ' + asked), ${delayMs});
    });
  }).listen(${port}, '127.0.0.1', function () { console.log(this.address().port); });`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error(`upstream ${name} cannot listen on port ${port}`))),
  ]);
  return { child, port: Number(line) };
}

/** The file that tells the proxy of them. */
export class EndpointsFile {
  readonly path: string;

  constructor(upstreams: readonly Upstream[]) {
    const folder = mkdtempSync(join(tmpdir(), 'meshproxy-faults-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    this.path = join(folder, 'endpoints.json');
    this.write(upstreams);
  }

  /** @param drained those of weight 0 */
  write(upstreams: readonly Upstream[], drained: readonly Upstream[] = []): void {
    const list = upstreams.map((upstream) => ({
      address: formatAddress(upstream.address),
      id: upstream.name,
      weight: drained.includes(upstream) ? 0 : 1,
    }));
    writeFileSync(`${this.path}.new`, JSON.stringify(list));
    renameSync(`${this.path}.new`, this.path);
  }
}

/** What became of a client. */
export interface Asked {
  /** Where it came from: another address for each, of 127.0.0.0/8. */
  readonly client: string;
  /** Who answered; `undefined` where nobody did. */
  readonly answeredBy: string | undefined;
  /** What went wrong, where something did. */
  readonly problem: string | undefined;
}

/** Clients that connect, ask, check the answer, and begin again. */
export class Load {
  readonly asked: Asked[] = [];
  readonly #to: IpAddress;
  readonly #patienceMs: number;
  readonly #clients: Promise<void>[];
  #number = 0;
  #isOver = false;

  constructor(to: IpAddress, clients: number, patienceMs: number) {
    this.#to = to;
    this.#patienceMs = patienceMs;
    this.#clients = Array.from({ length: clients }, () => this.#askOn());
  }

  /** Of the last so many answers, which share came from `name`. */
  shareOf(name: string, last: number): number {
    const answers = this.asked.slice(-last);
    return answers.filter(({ answeredBy }) => answeredBy === name).length / answers.length;
  }

  async stop(): Promise<readonly Asked[]> {
    this.#isOver = true;
    await Promise.all(this.#clients);
    return this.asked;
  }

  async #askOn(): Promise<void> {
    while (!this.#isOver) this.asked.push(await this.#ask());
  }

  async #ask(): Promise<Asked> {
    const number = this.#number++;
    const question = String(number).padStart(QUESTION, '0');
    const client = `127.${64 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
    const { answer, problem } = await answerOf(this.#to, client, question, this.#patienceMs);
    const [answeredBy, repeated] = answer.split(' ');
    if (problem !== undefined) return { client, answeredBy: undefined, problem };
    if (repeated === question) return { client, answeredBy, problem: undefined };
    return { client, answeredBy: undefined, problem: `asked ${question}, and was answered "${answer}"` };
  }
}

function answerOf(
  { host, port }: IpAddress,
  localAddress: string,
  question: string,
  patienceMs: number,
): Promise<{ answer: string; problem?: string }> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port, localAddress });
    let answer = '';
    const settle = (problem?: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(problem === undefined ? { answer } : { answer, problem });
    };
    const timer = setTimeout(() => settle(`no answer within ${patienceMs} ms`), patienceMs);
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.once('end', () => settle(answer === '' ? 'closed without an answer' : undefined));
    socket.once('error', (error) => settle(error.message));
    socket.write(question);
  });
}
