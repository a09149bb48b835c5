/** One check of one endpoint: connects as a connection of the service would, asks, and reads the answer within bounds. */
import type { ServiceConfig } from '../config/schema.js';
import type { SocketAddress } from '../core/address.js';
import { Canceller, type CancelSignal } from '../core/cancel.js';
import type { Clock } from '../core/clock.js';
import { MeshproxyError } from '../core/errors.js';
import { formatDuration } from '../core/units.js';
import { encodeProxyHeader } from '../l4/proxy-header.js';
import { race } from '../l4/race.js';
import type { StreamConnection } from '../l4/streams/connection.js';
import { secure } from '../l4/streams/tls.js';
import { dial } from '../l4/streams/transport.js';
import type { TlsSetup } from '../l4/tls.js';
import type { TlsSetups } from '../l4/tls-setups.js';
import { type Judge, MOST_READ, type Verdict } from './answer.js';
import type { Question } from './question.js';

export type CheckResult =
  /** In words, as a whole: `GET /health answered 503`. */
  | { readonly kind: 'passed' | 'failed'; readonly words: string }
  /** It says nothing of the endpoint: it was given up, or this process is at fault. */
  | { readonly kind: 'void' };

const VOID: CheckResult = { kind: 'void' };

export interface CheckContext {
  readonly settings: ServiceConfig;
  readonly tls: TlsSetups;
  readonly clock: Clock;
}

/** A check's connection lives for moments, and reads little. */
const SOCKETS = { keepaliveMs: 0, bufferSize: MOST_READ } as const;

/** Where the service knows nobody to trust, what is asked is whether TLS is spoken, not by whom. */
const ANYBODY: TlsSetup = {
  role: 'client',
  credential: undefined,
  roots: '',
  minVersion: 'TLSv1.2',
  peerCertificate: 'none',
  alpn: [],
  strict: false,
};

/**
 * Rejects only for a bug.
 * @param addresses raced as connections race them: one that works is enough for the endpoint to be of use
 */
export async function check(
  addresses: readonly SocketAddress[],
  question: Question,
  context: CheckContext,
  signal: CancelSignal,
): Promise<CheckResult> {
  const { settings, clock } = context;
  const giveUp = new Canceller();
  const onAbort = (): void => giveUp.abort();
  signal.addEventListener('abort', onAbort, { once: true });
  const timer = clock.after(settings.healthTimeout, onAbort);
  try {
    if (signal.aborted) return VOID;
    const verdict = await ask(addresses, question, context, giveUp.signal);
    return verdict.kind === 'more' ? VOID : { kind: verdict.kind, words: `${question.name} ${verdict.words}` };
  } catch (error) {
    if (!(error instanceof MeshproxyError)) throw error;
    if (signal.aborted || error.code === 'exhausted' || error.code === 'bad-certificate') return VOID;
    const late = giveUp.aborted && error.code === 'aborted';
    const why = late ? `no answer within ${formatDuration(settings.healthTimeout)}` : error.message;
    return { kind: 'failed', words: `${question.name} failed: ${why}` };
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', onAbort);
  }
}

async function ask(
  addresses: readonly SocketAddress[],
  question: Question,
  { settings, tls, clock }: CheckContext,
  signal: CancelSignal,
): Promise<Verdict> {
  const { value: connection, address } = await race(
    addresses.map((one) => atPort(one, question.port)),
    settings.raceDelay,
    clock,
    signal,
    (one, giveUp) => dial(one, SOCKETS, giveUp),
    (late) => late.reset(),
  );
  let verdict: Verdict | undefined;
  try {
    if (settings.sendProxyProtocol !== 'off')
      // Of nobody: LOCAL, which servers take for a health check.
      connection.write(encodeProxyHeader(settings.sendProxyProtocol, undefined, undefined));
    const how = tlsFor(question, settings, tls, address);
    if (how) await secure(connection, how.setup, how.call, signal);
    if (question.answer === undefined) {
      verdict = { kind: 'passed', words: 'succeeded' };
    } else {
      connection.write(question.answer.send(address));
      verdict = await read(connection, question.answer.judge, signal);
    }
    return verdict;
  } finally {
    if (verdict?.kind === 'passed') connection.close(clock);
    else connection.reset();
  }
}

async function read(connection: StreamConnection, judge: Judge, signal: CancelSignal): Promise<Verdict> {
  let bytes: Uint8Array = new Uint8Array(0);
  for (;;) {
    const wanted = bytes.length + 1;
    bytes = await connection.peek(wanted, signal);
    const verdict = judge(bytes, bytes.length < wanted || bytes.length >= MOST_READ);
    if (verdict.kind !== 'more') return verdict;
  }
}

function tlsFor(question: Question, settings: ServiceConfig, tls: TlsSetups, address: SocketAddress) {
  if (question.tls === 'never') return undefined;
  const asConnections = tls.dial(settings, address);
  if (asConnections !== undefined || question.tls === 'as-connections') return asConnections;
  return { setup: ANYBODY, call: { serverName: settings.serverName } };
}

function atPort(address: SocketAddress, port: number | undefined): SocketAddress {
  return port === undefined || address.kind === 'unix' ? address : { ...address, port };
}
