/** What the proxy is doing at a moment, as whoever runs it tells it: for metrics and the admin pages. Plain data, made when asked for. */

export interface ListenerStatus {
  readonly name: string;
  /** As bound: with the real port where 0 was asked for. */
  readonly address: string;
  readonly service: string;
  /** It accepts nothing for now: this process has no descriptor left. */
  readonly paused: boolean;
}

export interface EndpointStatus {
  readonly id: string;
  readonly addresses: readonly string[];
  /** Absent where they have their defaults: 1, none, 0, none. */
  readonly weight?: number;
  readonly zone?: string;
  readonly priority?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Absent where it takes connections. */
  readonly standing?: EndpointStanding;
  /** Connections that were picked for it and have not ended, over all threads; absent where there are none. */
  readonly outstanding?: number;
  /** Its last health check; absent where there was none. */
  readonly lastCheck?: CheckStatus;
}

/** Why an endpoint takes no connections, as long as others do. */
export interface EndpointStanding {
  /** `ejected`: it was found to misbehave, and is out for a time; `half-open`: that is over, and one connection may try it; `unhealthy`: a health check says so. */
  readonly kind: 'ejected' | 'half-open' | 'unhealthy';
  /** In words. */
  readonly why: string;
  /** Of an ejection, ms. */
  readonly leftMs?: number;
}

export interface CheckStatus {
  readonly passed: boolean;
  /** What it came to: `GET /health answered 200`. */
  readonly words: string;
  /** ms since 1970. */
  readonly at: number;
  readonly durationMs: number;
}

/** What a service has of that which its circuit breaker bounds, over all threads; a bound is absent where there is none. */
export interface BreakerStatus {
  /** Open or being opened. */
  readonly connections: number;
  readonly maxConnections?: number;
  readonly waiting: number;
  /** 0 where nobody may wait; absent where nobody has to. */
  readonly maxWaiting?: number;
  /** Connections that are being tried at another endpoint. */
  readonly retrying: number;
  readonly maxRetrying?: number;
  /** For the next connection one is refused at once: itself, or one that gives way to it. */
  readonly open: boolean;
  /** Retries of the last ten seconds, and how many there may be; absent where there is no budget. */
  readonly retryBudget?: { readonly spent: number; readonly allowed: number };
}

/** Health checks of a service. */
export interface ChecksStatus {
  readonly passed: number;
  readonly failed: number;
  /** Of all of them together. */
  readonly durationMs: number;
}

/** One upstream as it was configured, and how asking for its endpoints went. */
export interface UpstreamStatus {
  readonly upstream: string;
  readonly endpoints: number;
  readonly resolveFailures: number;
  /** ms since its source last answered; absent where it needs no asking. */
  readonly answerAgeMs?: number;
  /** Why the last look-up failed, in words; absent where it succeeded. */
  readonly error?: string;
  /** Why it has no endpoints, in words; absent where it has some. */
  readonly empty?: string;
}

export interface ServiceStatus {
  readonly name: string;
  readonly endpoints: readonly EndpointStatus[];
  readonly upstreams: readonly UpstreamStatus[];
  /** Too few of its endpoints can take connections, so that all of them get some. Absent where that is not so. */
  readonly panic?: true;
  /** Since the start, by reason. */
  readonly ejections?: Readonly<Record<string, number>>;
  /** Absent while the data plane has not been told of the service. */
  readonly breaker?: BreakerStatus;
  /** Absent where none are asked for. */
  readonly checks?: ChecksStatus;
}

export interface ConfigStatus {
  /** Counts up from 1 with every configuration that was put in force. */
  readonly version: number;
  /** When that was; ms since 1970. */
  readonly appliedAt: number;
  /** Reloads since the start, by what became of them. */
  readonly reloads: { readonly applied: number; readonly refused: number };
  /** The last reload was refused: when (ms since 1970) and why. Absent where it was applied. */
  readonly refused?: { readonly at: number; readonly error: string };
}

/** What moves the bytes. */
export interface EngineStatus {
  readonly name: 'native' | 'streams';
  /** Data threads; with `streams` that one is the main thread. */
  readonly workers: number;
  /** Why it is `streams`, where nobody asked for that. */
  readonly why?: string;
  /** Workers that have died since the start, and were replaced. */
  readonly deaths: number;
}

/** The certificate by which others know this proxy. */
/** How the authority's certificates are renewed. */
export interface RenewalStatus {
  /** The authority that is asked next. */
  readonly authority: string;
  /** ms since 1970. */
  readonly nextRenewal: number;
  readonly renewals: { readonly done: number; readonly failed: number };
  /** Why the last one failed, and since when they do, ms since 1970; absent where it did not. */
  readonly failing?: { readonly since: number; readonly error: string };
}

export interface IdentityStatus {
  /** Absent where files are followed that somebody else keeps. */
  readonly renewer?: RenewalStatus;
  /** Counts up with every other one that was put in force. */
  readonly version: number;
  /** Its SPIFFE ID, or else its subject. */
  readonly name: string;
  /** Ms since 1970. */
  readonly notAfter: number;
  /** Why the files as they are now are not in force; absent where they are. */
  readonly refused?: string;
}

export interface ProxyStatus {
  readonly engine: EngineStatus;
  readonly config: ConfigStatus;
  /** Absent where it has no certificate. */
  readonly identity?: IdentityStatus;
  readonly listeners: readonly ListenerStatus[];
  readonly services: readonly ServiceStatus[];
}
