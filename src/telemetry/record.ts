/**
 * What is known of one connection: filled in as it lives, shown live by `/connections`, turned into the access line,
 * the metrics and the latency histograms when it ends. The explanation of where a connection went and why is this record.
 */

/** How a connection ended: the closed union that metrics are labelled with. `ENDINGS` has the words for people. */
export type Ending =
  | 'completed'
  | 'client-reset'
  | 'upstream-reset'
  | 'client-lost'
  | 'upstream-lost'
  | 'client-tls'
  | 'upstream-tls'
  | 'client-distrusted'
  | 'upstream-distrusted'
  | 'idle-timeout'
  | 'half-close-timeout'
  | 'endpoint-removed'
  | 'no-endpoint'
  | 'service-full'
  | 'queue-timeout'
  | 'overload'
  | 'connect-failed'
  | 'bad-proxy-header'
  | 'proxy-header-timeout'
  | 'closed-before-header'
  | 'client-handshake'
  | 'shed'
  | 'rate-limited'
  | 'exhausted'
  | 'drain-deadline'
  | 'internal-error';

export const ENDINGS: Readonly<Record<Ending, string>> = {
  completed: 'both sides closed in order',
  'client-reset': 'the client reset the connection',
  'upstream-reset': 'the upstream reset the connection',
  'client-tls': "the client's TLS broke, or its stream was cut short",
  'upstream-tls': "the upstream's TLS broke, or its stream was cut short",
  'client-distrusted': 'the client is trusted no more: it was revoked, or its root has left the trust bundle',
  'upstream-distrusted': 'the upstream is trusted no more: it was revoked, or its root has left the trust bundle',
  'client-lost': 'the client stopped answering',
  'upstream-lost': 'the upstream stopped answering',
  'idle-timeout': 'no byte moved for the idle timeout',
  'half-close-timeout': 'one side had closed and the other neither sent nor closed for the half-close timeout',
  'endpoint-removed': 'its endpoint is no longer one of the service, which has such connections reset',
  'no-endpoint': 'the service has no endpoint',
  'service-full': 'the service had as many connections as it may have, and as many waiting',
  'queue-timeout': 'the service had as many connections as it may have for the whole queue timeout',
  overload: 'the service had more connections waiting than it could take in time',
  'connect-failed': 'no endpoint could be connected to',
  'bad-proxy-header': 'the client did not send a valid PROXY protocol header',
  'proxy-header-timeout': 'the client sent no PROXY protocol header in time',
  'closed-before-header': 'the client closed before it had sent its PROXY protocol header',
  'client-handshake': 'there was no TLS with the client',
  shed: 'this proxy could not keep up, and the client, known only after accept, had had its share',
  'rate-limited': 'its client, known only after accept, had opened as many connections as it may in a time',
  exhausted: 'this process or machine had no descriptor or memory left',
  'drain-deadline': 'it was still open when the drain timeout ran out, or when the proxy was told to end at once',
  'internal-error': 'a bug in meshproxy; please report it',
};

/** Endings that `--access-log errors` leaves out: the connection did what its two ends wanted. */
export function isOrderly(ending: Ending): boolean {
  return ending === 'completed';
}

/** Why a listener turned a connection away before it became one. */
export type Refusal =
  | 'max-connections'
  | 'listener-max-connections'
  | 'max-memory'
  | 'descriptors'
  | 'overload'
  | 'rate-limit'
  | 'source-rate-limit'
  | 'draining';

/** One attempt to reach an endpoint. */
export interface Attempt {
  readonly endpoint: string;
  readonly why: string;
  /** The address that answered, or the last that did not. */
  readonly address: string;
  readonly durationMs: number;
  /** In words, with each address that was tried; absent where it was the one that connected. */
  readonly error?: string;
}

export type Phase = 'identifying' | 'waiting' | 'connecting' | 'relaying' | 'ended';

export interface ConnectionRecord {
  /** Unique over processes and restarts. */
  readonly id: string;
  readonly listener: string;
  /** The number of the thread that carries it, where there are several. */
  readonly worker?: number;
  /** Wall clock when it was accepted, ms since 1970. */
  readonly openedAt: number;
  /** The same moment on the monotonic clock, ms; what durations are counted from. */
  readonly startedAt: number;
  /** Who connected to the listener, as the socket says. */
  readonly peer: string;
  phase: Phase;
  /** Who the client is: the peer, or what its PROXY protocol header said. */
  client: string;
  /** Who the client has proven to be: its SPIFFE ID. */
  clientIdentity?: string;
  /** Who the upstream has. */
  serverIdentity?: string;
  /** Where the client meant to go, where its PROXY protocol header said so. */
  destination?: string;
  service?: string;
  /** Of the endpoint that it is connected to. */
  endpoint?: string;
  upstream?: string;
  readonly attempts: Attempt[];
  /** Durations in ms since the step before: header read, a free place in the service found, endpoint connected, first byte from the upstream. */
  identifyMs?: number;
  /** Where it had to wait for that. */
  queuedMs?: number;
  connectMs?: number;
  firstByteMs?: number;
  /** How long a bandwidth limit has held it back, ms, both directions together. While the connection lives, a getter. */
  readonly heldBackMs?: number | undefined;
  /** From the client to the upstream. While the connection lives, a getter on the sockets' own counts. */
  readonly bytesReceived: number;
  /** From the upstream to the client. */
  readonly bytesSent: number;
  /** From here on set: it has ended. */
  durationMs?: number;
  ending?: Ending;
  /** What exactly happened, where there is more to say than the ending does. */
  detail?: string;
}

/** What the data plane tells of itself; `telemetry/` implements it, tests record it. Calls must be cheap and never throw. */
export interface Observer {
  opened(record: ConnectionRecord): void;
  ended(record: ConnectionRecord): void;
  refused(listener: string, reason: Refusal): void;
  /** One attempt to reach an endpoint has ended. */
  attempted(service: string, attempt: Attempt): void;
}
