/** `meshproxy connections`: what a running proxy carries now, where each connection went and why. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { type ConnectionsView, type ConnectionView, connectionsView } from '../admin/views.js';
import type { Address } from '../core/address.js';
import { MeshproxyError } from '../core/errors.js';
import { formatSize } from '../core/units.js';
import { formatMs } from '../telemetry/words.js';
import { adminOption, askAdmin, readAnswer } from './admin-client.js';
import { type Cell, type Column, formatTable, type Output, paint, standardOutput } from './table.js';

export interface ConnectionsOptions {
  readonly admin: Address;
  readonly service?: string;
  readonly listener?: string;
  readonly limit: number;
  readonly json?: boolean;
  readonly watch?: boolean;
}

/** A screenful on most terminals; the newest are what one looks for. */
const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 10_000;
/** As the page does. */
const WATCH_MS = 2000;
/** Cursor home and clear to the end of the screen (ECMA-48 CUP and ED). */
const CLEAR = '\u001b[H\u001b[J';

const COLUMNS: readonly Column[] = [
  { name: 'client', shrinks: true },
  { name: 'listener', shrinks: true },
  { name: 'endpoint', shrinks: true },
  { name: 'phase' },
  { name: 'open for', align: 'right' },
  { name: 'up', align: 'right' },
  { name: 'down', align: 'right' },
  { name: 'connect', align: 'right' },
  { name: 'first byte', align: 'right' },
  { name: 'why there', shrinks: true },
];

export function register(program: Command): void {
  program
    .command('connections')
    .summary('list the open connections of a running proxy')
    .description('Lists the connections that a running proxy carries, newest first: where each went, and why.')
    .addOption(adminOption())
    .option('--service <name>', 'Only connections to this service.')
    .option('--listener <name>', 'Only connections of this listener.')
    .option('--limit <count>', `List at most so many, up to ${MAX_LIMIT}.`, parseLimit, DEFAULT_LIMIT)
    .option('--watch', 'Show them again every two seconds, until interrupted.')
    .option('--json', 'Print what the proxy answered, for programs.')
    .action((options: ConnectionsOptions) => showConnections(options, standardOutput()));
}

/** Prints once, or with `watch` until `signal` is aborted. */
export async function showConnections(
  options: ConnectionsOptions,
  output: Output,
  signal?: AbortSignal,
): Promise<void> {
  for (;;) {
    const text = await connectionsText(options, output);
    output.write(options.watch === true && output.width !== undefined ? CLEAR + text : text);
    if (options.watch !== true || signal?.aborted === true) return;
    await sleep(WATCH_MS, undefined, signal && { signal }).catch(() => {});
  }
}

async function connectionsText(options: ConnectionsOptions, output: Output): Promise<string> {
  const { admin, service, listener, limit, json } = options;
  const query = new URLSearchParams({
    limit: String(limit),
    ...(service !== undefined && { service }),
    ...(listener !== undefined && { listener }),
  });
  const body = await askAdmin(admin, `/connections?${query}`);
  const view = readAnswer(admin, connectionsView, body);
  return json === true ? body : formatConnections(view, output);
}

function formatConnections({ total, connections }: ConnectionsView, output: Output): string {
  if (total === 0) return 'no connection is open\n';
  const table = formatTable(COLUMNS, connections.map(rowOf), output);
  const few = connections.length < total;
  const words = few
    ? `the newest ${connections.length} of ${total} open connections; --limit lists more`
    : `${total} open`;
  return `${table}${paint(words, 'dim', output.colour)}\n`;
}

function rowOf(one: ConnectionView): readonly Cell[] {
  const failed = one.attempts.filter(({ error }) => error !== undefined);
  const why = [one.why ?? '', ...failed.map(({ endpoint, error }) => `${endpoint}: ${error}`)].filter(
    (words) => words !== '',
  );
  return [
    one.client === one.peer ? one.client : `${one.client} (through ${one.peer})`,
    one.service === undefined || one.service === one.listener ? one.listener : `${one.listener} → ${one.service}`,
    one.upstream === undefined || one.upstream === one.endpoint
      ? (one.endpoint ?? '–')
      : `${one.endpoint} (${one.upstream})`,
    { text: one.phase, style: one.phase === 'relaying' ? 'green' : 'yellow' },
    formatMs(one.ageMs),
    formatSize(one.bytesReceived),
    formatSize(one.bytesSent),
    one.connectMs === undefined ? '–' : formatMs(one.connectMs),
    one.firstByteMs === undefined ? '–' : formatMs(one.firstByteMs),
    { text: why.join('; '), style: failed.length > 0 ? 'red' : 'dim' },
  ];
}

function parseLimit(text: string): number {
  const limit = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MAX_LIMIT) {
    throw new MeshproxyError('usage', `--limit ${JSON.stringify(text)}: write a number from 1 to ${MAX_LIMIT}`);
  }
  return limit;
}
