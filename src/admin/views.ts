/**
 * What the admin listener answers in JSON: the server makes it, `meshproxy connections` and its like read it back.
 * A reader must ignore what it does not know: the proxy may be newer than the command.
 */
import { z } from 'zod';

/** ISO 8601, UTC. */
const time = z.string();
/** Milliseconds with a fraction. */
const ms = z.number();
const count = z.number();

const attempt = z.object({
  endpoint: z.string(),
  address: z.string(),
  why: z.string(),
  durationMs: ms,
  error: z.string().optional(),
});

export const connectionView = z.object({
  id: z.string(),
  phase: z.string(),
  /** The number of the thread that carries it, where there are several. */
  worker: count.optional(),
  listener: z.string(),
  client: z.string(),
  peer: z.string(),
  destination: z.string().optional(),
  service: z.string().optional(),
  endpoint: z.string().optional(),
  upstream: z.string().optional(),
  /** Why that endpoint, in words. */
  why: z.string().optional(),
  openedAt: time,
  ageMs: ms,
  identifyMs: ms.optional(),
  queuedMs: ms.optional(),
  connectMs: ms.optional(),
  firstByteMs: ms.optional(),
  heldBackMs: ms.optional(),
  bytesReceived: count,
  bytesSent: count,
  attempts: z.array(attempt),
});
export type ConnectionView = z.infer<typeof connectionView>;

/** `total` is how many matched; at most `limit` of them, the newest, are listed. */
export const connectionsView = z.object({ total: count, connections: z.array(connectionView) });
export type ConnectionsView = z.infer<typeof connectionsView>;

/** In microseconds, save `count`. */
const summary = z.object({
  count,
  min: z.number(),
  mean: z.number(),
  p50: z.number(),
  p90: z.number(),
  p99: z.number(),
  p999: z.number(),
  max: z.number(),
});
export type SummaryView = z.infer<typeof summary>;

const stepView = z.object({
  sinceStart: summary,
  /** Of the last one to two minutes; absent where nothing was measured in them. */
  recent: summary.optional(),
  /** Only where one service was asked for: points of the percentile curve since the start. */
  curve: z.array(z.object({ percentile: z.number(), us: z.number() })).optional(),
});

/** A step is absent where nothing was measured yet. */
export const latencyView = z.object({
  services: z.array(
    z.object({
      service: z.string(),
      steps: z.object({
        connect: stepView.optional(),
        firstByte: stepView.optional(),
        duration: stepView.optional(),
      }),
    }),
  ),
});
export type LatencyView = z.infer<typeof latencyView>;

const endpointView = z.object({
  id: z.string(),
  addresses: z.array(z.string()),
  /** Absent where it is 1; 0 for one that takes no new connection. */
  weight: count.optional(),
  zone: z.string().optional(),
  /** Absent where it is 0, which is preferred. */
  priority: count.optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  /** Connections open to it now. */
  active: count,
  connected: count,
  failed: count,
  lastFailure: z.object({ at: time, address: z.string(), error: z.string() }).optional(),
  /** Absent where it takes connections. */
  standing: z
    .object({ kind: z.enum(['ejected', 'half-open', 'unhealthy']), why: z.string(), leftMs: ms.optional() })
    .optional(),
  /** Over all threads, being connected included; absent where there are none. */
  outstanding: count.optional(),
  /** Absent where it has not been checked. */
  lastCheck: z.object({ passed: z.boolean(), words: z.string(), at: time, durationMs: ms }).optional(),
});

const upstreamView = z.object({
  upstream: z.string(),
  endpoints: count,
  resolveFailures: count,
  answerAgeMs: ms.optional(),
  /** Why it cannot be told what it has now: its last answer is in force. */
  error: z.string().optional(),
  /** Why it has no endpoints. */
  empty: z.string().optional(),
});

export const servicesView = z.object({
  services: z.array(
    z.object({
      name: z.string(),
      endpoints: z.array(endpointView),
      upstreams: z.array(upstreamView),
      /** Too few of its endpoints can take connections, so that all of them get some. */
      panic: z.boolean().optional(),
      /** Since the start, by reason. */
      ejections: z.record(z.string(), count).optional(),
      /** What it has of that which its circuit breaker bounds; a bound is absent where there is none. */
      breaker: z
        .object({
          connections: count,
          maxConnections: count.optional(),
          waiting: count,
          maxWaiting: count.optional(),
          retrying: count,
          maxRetrying: count.optional(),
          /** For the next connection one is refused at once: itself, or one that gives way to it. */
          open: z.boolean(),
          /** Of the last ten seconds; absent where there is no budget. */
          retryBudget: z.object({ spent: count, allowed: z.number() }).optional(),
        })
        .optional(),
      /** Health checks, where any are asked for. */
      checks: z.object({ passed: count, failed: count, durationMs: ms }).optional(),
    }),
  ),
});
export type ServicesView = z.infer<typeof servicesView>;

export const statusView = z.object({
  version: z.string(),
  node: z.string(),
  pid: z.number(),
  startedAt: time,
  state: z.enum(['starting', 'ready', 'draining']),
  /** Why it is not ready. */
  reason: z.string().optional(),
  config: z.object({
    version: count,
    appliedAt: time,
    /** The last reload was refused: when and why. */
    refused: z.object({ at: time, error: z.string() }).optional(),
  }),
  /** The certificate by which others know this proxy, where it has one. */
  identity: z
    .object({
      version: count,
      name: z.string(),
      notAfter: time,
      /** Why the files as they are now are not in force. */
      refused: z.string().optional(),
    })
    .optional(),
  engine: z.object({
    name: z.enum(['native', 'streams']),
    workers: count,
    /** Why it is `streams`, where nobody asked for that. */
    why: z.string().optional(),
    deaths: count,
  }),
  /** With the engine `native`: what each worker took since the start, and has open. */
  workers: z.array(
    z.object({
      worker: count,
      accepted: count,
      active: count,
      /** Accepted by it and given to another worker. */
      handedOver: count,
      cpuSeconds: z.number().optional(),
      /** False where it did not answer in time, and this is what it told before. */
      answered: z.boolean(),
    }),
  ),
  memoryBytes: count,
  cpuSeconds: z.number(),
  listeners: z.array(
    z.object({
      name: z.string(),
      address: z.string(),
      service: z.string(),
      paused: z.boolean(),
      active: count,
      opened: count,
      refused: count,
      bytesReceived: count,
      bytesSent: count,
    }),
  ),
});
export type StatusView = z.infer<typeof statusView>;
