/** `meshproxy demo`: a proxy with something behind it, to look at and to play with. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Flags } from '../config/flags.js';
import { loadFlags } from '../config/load.js';
import { type Address, formatAddress } from '../core/address.js';
import { MeshproxyError } from '../core/errors.js';
import { parseSize } from '../core/units.js';
import type { RunningProxy } from '../running-proxy.js';
import { adminUrl } from './announce.js';
import { exitNow } from './exit.js';
import { addFlags, readFlags } from './options.js';

const NAMES = ['red', 'green', 'blue'] as const;

const DEFAULTS = {
  '--listen': '127.0.0.1:8080',
  '--admin': '127.0.0.1:9901',
  /** Whoever presses Ctrl-C in a demo wants to be done with it. */
  '--drain-timeout': '3s',
  /** Each request is answered by another server: one sees that there are three. */
  '--balance': 'round-robin',
} as const;

export function register(program: Command): void {
  const command = program
    .command('demo')
    .summary('run the proxy in front of three small HTTP servers')
    .description(
      `Runs the proxy in front of three small HTTP servers (${NAMES.join(', ')}) in the same process, and says what to try.`,
    );
  addFlags(
    command,
    ['--listen', '--admin', '--engine', '--workers', '--access-log', '--log-level', '--log-format', '--drain-timeout'],
    DEFAULTS,
  );
  command.action(() => demo(readFlags(command)));
}

async function demo(flags: Flags): Promise<void> {
  const { supervise } = await import('./supervise.js');
  const servers = await Promise.all(NAMES.map(startServer));
  const upstreams = servers.map((server) => `127.0.0.1:${portOf(server)}`);
  try {
    const exitCode = await supervise({
      load: async () => loadFlags({ ...DEFAULTS, ...flags, '--upstream': upstreams }),
      file: undefined,
      started: (proxy) => process.stderr.write(whatToTry(proxy)),
      // What is kept alive for another request would hold up the drain.
      stopping: () => {
        for (const server of servers) server.closeIdleConnections();
      },
    });
    exitNow(exitCode);
  } catch (error) {
    throw withFlag(error);
  } finally {
    for (const server of servers) server.close();
  }
}

/** Both addresses are there by default, so that who meets one in use has not chosen it. */
function withFlag(error: unknown): unknown {
  if (!(error instanceof MeshproxyError) || error.code !== 'listen') return error;
  const flag = error.message.startsWith('the admin') ? '--admin' : '--listen';
  const hint = `choose another address: meshproxy demo ${flag} 127.0.0.1:0 takes any free port`;
  return new MeshproxyError('listen', error.message, { hint, cause: error });
}

async function startServer(name: string): Promise<Server> {
  const server = createServer((request, response) => {
    answer(name, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** A gigabyte shows what there is to see; more is a mistake. */
const MAX_BYTES = 1024 ** 3;
const DEFAULT_BYTES = 10 * 1024 ** 2;
const SLOW_MS = 3000;

async function answer(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://demo');
  response.setHeader('x-demo-server', name);
  switch (pathname) {
    case '/big':
      return sendBytes(response, Math.min(parseSize(searchParams.get('bytes') ?? '') ?? DEFAULT_BYTES, MAX_BYTES));
    case '/slow':
      await sleep(SLOW_MS);
      break;
    case '/reset':
      request.socket.resetAndDestroy();
      return;
  }
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.end(`${name} answers ${request.method} ${pathname}\n`);
}

/** As fast as they are read, and no faster. */
async function sendBytes(response: ServerResponse, bytes: number): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes });
  await pipeline(Readable.from(blocksOf(bytes)), response);
}

function* blocksOf(bytes: number): Generator<Buffer> {
  const block = Buffer.alloc(64 * 1024, 'meshproxy ');
  for (let left = bytes; left > 0; left -= block.length) yield block.subarray(0, left);
}

function whatToTry({ listeners, admin }: RunningProxy): string {
  const address = listeners[0]?.address;
  const url = address === undefined ? '' : demoUrl(address);
  const ofAdmin = admin === undefined ? '' : ` --admin ${formatAddress(admin)}`;
  // Started by `npm start` in a clone, the program is not on the PATH.
  const program = process.env['npm_lifecycle_event'] === 'start' ? 'npm start --' : 'meshproxy';
  const lines = [
    ['curl', `${url}/`, 'red, green and blue answer in turn'],
    ['curl', `${url}/slow`, `an answer that takes ${SLOW_MS / 1000} s; see it among the open connections`],
    // Quoted for zsh, to which a question mark is a pattern.
    ['curl', `-so /dev/null '${url}/big?bytes=1GiB'`, 'a gigabyte'],
    ['curl', `${url}/reset`, 'the server resets the connection, and so does the proxy'],
    ...(admin === undefined
      ? []
      : [
          [program, `connections${ofAdmin}`, 'what is open now, where it went and why'],
          [program, `latency${ofAdmin}`, 'how long connecting and answering took'],
        ]),
  ].map(([command, args, what]) => [`${command} ${args}`, what] as const);
  const width = Math.max(...lines.map(([command]) => command.length));
  const listed = lines.map(([command, what]) => `  ${command.padEnd(width)}  ${what}\n`).join('');
  const page = admin === undefined ? '' : `\nWatch it on ${adminUrl(admin)}`;
  return `\nTry, in another terminal:\n${listed}${page}\nCtrl-C ends it.\n\n`;
}

/** As curl takes it. */
function demoUrl(address: Address): string {
  if (address.kind === 'unix') return `--unix-socket ${address.path} http://localhost`;
  return address.kind === 'any' ? `http://localhost:${address.port}` : `http://${formatAddress(address)}`;
}
