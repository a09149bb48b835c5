/** The access log: one line per connection that ended. What to say is decided here; where it goes is the logger's. */
import { formatSize } from '../core/units.js';
import { type Attempt, type ConnectionRecord, ENDINGS, isOrderly } from './record.js';
import { formatMs, toMicroseconds } from './words.js';

/** `errors`: only connections that did not end as their two ends wanted. */
export type AccessLog = 'off' | 'errors' | 'all';

/** What programs read: ids, names, addresses, bytes, and milliseconds with three decimals. What is `undefined` is not written. */
export interface AccessFields {
  readonly id: string;
  readonly listener: string;
  readonly client: string;
  /** Who connected on the client's behalf, where a PROXY protocol header named another client. */
  readonly peer: string | undefined;
  readonly clientIdentity: string | undefined;
  readonly serverIdentity: string | undefined;
  readonly destination: string | undefined;
  readonly service: string | undefined;
  readonly endpoint: string | undefined;
  readonly upstream: string | undefined;
  /** Why that endpoint. */
  readonly why: string | undefined;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly identifyMs: number | undefined;
  readonly queuedMs: number | undefined;
  readonly connectMs: number | undefined;
  readonly firstByteMs: number | undefined;
  /** Where there was a bandwidth limit. */
  readonly heldBackMs: number | undefined;
  readonly durationMs: number | undefined;
  /** Only where there was more than one, or one that failed. */
  readonly attempts: readonly Attempt[] | undefined;
  readonly ending: string;
  readonly detail: string | undefined;
}

export interface AccessLine {
  readonly level: 'info' | 'warn';
  /** The whole story in words: `127.0.0.1:51000 → web → 127.0.0.1:9001, 1.2 KiB up, 14 KiB down, 3 ms: both sides closed in order`. */
  readonly message: string;
  readonly fields: AccessFields;
}

/** Failed attempts that the message tells of; the fields have them all. */
const ATTEMPTS_TOLD = 3;

export function isLogged(mode: AccessLog, record: ConnectionRecord): boolean {
  return mode === 'all' || (mode === 'errors' && !isOrderly(record.ending ?? 'internal-error'));
}

/** The line for a connection that has ended. */
export function accessLine(record: ConnectionRecord): AccessLine {
  const ending = record.ending ?? 'internal-error';
  return { level: isOrderly(ending) ? 'info' : 'warn', message: messageOf(record), fields: fieldsOf(record) };
}

function messageOf(record: ConnectionRecord): string {
  const { client, peer, clientIdentity } = record;
  const from = client === peer ? client : `${client} (through ${peer})`;
  const who = clientIdentity === undefined ? from : `${clientIdentity} at ${from}`;
  const sizes = `${formatSize(record.bytesReceived)} up, ${formatSize(record.bytesSent)} down`;
  const ending = ENDINGS[record.ending ?? 'internal-error'];
  const detail = record.detail === undefined ? '' : `; ${record.detail}`;
  return `${who} ${routeOf(record)}, ${sizes}, ${formatMs(record.durationMs ?? 0)}: ${ending}${detail}${failuresOf(record.attempts)}`;
}

/** `→ web → 10.0.0.1:80`, with the service where it is not named as the listener is, and the endpoint where it is not its address. */
function routeOf({ listener, service, endpoint, upstream }: ConnectionRecord): string {
  let route = `→ ${listener}`;
  if (service !== undefined && service !== listener) route += ` → ${service}`;
  if (endpoint !== undefined) route += ` → ${endpoint}`;
  if (upstream !== undefined && upstream !== endpoint) route += ` (${upstream})`;
  return route;
}

function failuresOf(attempts: readonly Attempt[]): string {
  const failed = attempts.filter(({ error }) => error !== undefined);
  if (failed.length === 0) return '';
  const told = failed.slice(0, ATTEMPTS_TOLD).map(({ error }) => error);
  const more = failed.length > told.length ? [`${failed.length - told.length} more`] : [];
  return ` (failed attempts: ${[...told, ...more].join('; ')})`;
}

function fieldsOf(record: ConnectionRecord): AccessFields {
  const { attempts } = record;
  const wentAtOnce = attempts.length <= 1 && attempts.every(({ error }) => error === undefined);
  return {
    id: record.id,
    listener: record.listener,
    client: record.client,
    peer: record.peer === record.client ? undefined : record.peer,
    clientIdentity: record.clientIdentity,
    serverIdentity: record.serverIdentity,
    destination: record.destination,
    service: record.service,
    endpoint: record.endpoint,
    upstream: record.upstream,
    why: attempts.findLast(({ error }) => error === undefined)?.why,
    bytesReceived: record.bytesReceived,
    bytesSent: record.bytesSent,
    identifyMs: rounded(record.identifyMs),
    queuedMs: rounded(record.queuedMs),
    connectMs: rounded(record.connectMs),
    firstByteMs: rounded(record.firstByteMs),
    heldBackMs: rounded(record.heldBackMs),
    durationMs: rounded(record.durationMs),
    attempts: wentAtOnce ? undefined : attempts.map(roundedAttempt),
    ending: record.ending ?? 'internal-error',
    detail: record.detail,
  };
}

function roundedAttempt(attempt: Attempt): Attempt {
  return { ...attempt, durationMs: toMicroseconds(attempt.durationMs) };
}

function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : toMicroseconds(ms);
}
