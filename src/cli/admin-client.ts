/** Asks the admin listener of a running proxy. What answers there is a stranger until its answer has been checked. */
import { type IncomingMessage, request } from 'node:http';
import { Option } from 'commander';
import type { z } from 'zod';
import { DEFAULTS } from '../config/defaults.js';
import { type Address, formatAddress, parseAddress } from '../core/address.js';
import { describeError, errnoOf, MeshproxyError } from '../core/errors.js';
import { unixPath } from '../core/unix-socket.js';

/** For the whole answer, ms. It is made in milliseconds. */
const TIMEOUT_MS = 5000;
/** Several times what the longest list of connections takes. */
const MAX_ANSWER_BYTES = 64 * 1024 ** 2;

/** `--admin`, as every command has it that asks a running proxy. */
export function adminOption(): Option {
  return new Option('--admin <address>', 'Where the running proxy has its admin listener.')
    .argParser(parseAddress)
    .default(parseAddress(DEFAULTS.admin), DEFAULTS.admin);
}

/** The text that `path` answers with. Rejects with a `MeshproxyError` `admin` that names the address. */
export async function askAdmin(admin: Address, path: string): Promise<string> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await respond(admin, path, signal);
    const body = await read(response);
    if (response.statusCode === 200) return body;
    throw strange(admin, `it answered ${response.statusCode} to ${path}: ${firstLine(body)}`);
  } catch (error) {
    if (error instanceof MeshproxyError) throw error;
    const why = signal.aborted ? `no answer within ${TIMEOUT_MS / 1000} s` : describeError(error);
    throw new MeshproxyError('admin', `no meshproxy answers on ${formatAddress(admin)}: ${why}`, {
      cause: error,
      hint: hintFor(error),
    });
  }
}

/** Reads an answer of `askAdmin`. Throws a `MeshproxyError` `admin` where it is not what a meshproxy answers. */
export function readAnswer<T>(admin: Address, schema: z.ZodType<T>, body: string): T {
  try {
    return schema.parse(JSON.parse(body));
  } catch (cause) {
    throw strange(admin, `its answer is not what this version understands: ${firstLine(body)}`, cause);
  }
}

function strange(admin: Address, what: string, cause?: unknown): MeshproxyError {
  return new MeshproxyError(
    'admin',
    `what listens on ${formatAddress(admin)} does not speak as a meshproxy's admin: ${what}`,
    {
      cause,
      hint: 'ask the address that the proxy names when it starts, with --admin ADDRESS',
    },
  );
}

function hintFor(error: unknown): string {
  if (errnoOf(error) === 'EACCES') return "only the proxy's own user and group may use this socket";
  return 'start one, or say where its admin is with --admin ADDRESS';
}

function respond(admin: Address, path: string, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    // The admin goes by its address or as localhost; whichever name led here is not its concern.
    const asked = request({
      ...socketOf(admin),
      path,
      signal,
      headers: { host: 'localhost', accept: 'application/json' },
    });
    asked.on('response', resolve);
    asked.on('error', reject);
    asked.end();
  });
}

function socketOf(admin: Address): { socketPath: string } | { host: string; port: number } {
  switch (admin.kind) {
    case 'unix':
      return { socketPath: unixPath(admin.path) };
    case 'any':
      return { host: 'localhost', port: admin.port };
    case 'name':
      return { host: admin.name, port: admin.port };
    case 'ip':
      return { host: admin.host, port: admin.port };
  }
}

async function read(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`its answer is longer than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** Enough of a stranger's answer to recognise it, on one line and without what could upset a terminal. */
function firstLine(body: string): string {
  return JSON.stringify(body.trim().split('\n', 1)[0]?.slice(0, 120) ?? '');
}
