/** Connections and a proxy's state that never were, for the tests of what is told of them. */
import { createLogger, type Log } from '../../src/telemetry/logger.js';
import type { ConnectionRecord } from '../../src/telemetry/record.js';
import { Recorder } from '../../src/telemetry/recorder.js';
import type { ProxyStatus } from '../../src/telemetry/status.js';
import { Telemetry } from '../../src/telemetry/telemetry.js';
import { VirtualClock } from './clock.js';

/** A connection that was opened and closed in order; what a test is about, it says in `differences`. */
export function recordOf(differences: Partial<ConnectionRecord> = {}): ConnectionRecord {
  return {
    id: 'c-1',
    listener: 'web',
    openedAt: Date.UTC(2026, 0, 1),
    startedAt: 1_000,
    peer: '127.0.0.1:51000',
    client: '127.0.0.1:51000',
    phase: 'ended',
    service: 'web',
    endpoint: '127.0.0.1:9001',
    upstream: '127.0.0.1:9001',
    attempts: [{ endpoint: '127.0.0.1:9001', why: 'next in turn', address: '127.0.0.1:9001', durationMs: 0.2 }],
    connectMs: 0.25,
    firstByteMs: 1.5,
    bytesReceived: 1229,
    bytesSent: 14_336,
    durationMs: 3.04,
    ending: 'completed',
    ...differences,
  };
}

/** A connection that is relaying. */
export function liveRecord(differences: Partial<ConnectionRecord> = {}): ConnectionRecord {
  const { durationMs: _, ending: __, ...record } = recordOf({ phase: 'relaying' });
  return { ...record, ...differences };
}

export function statusOf(differences: Partial<ProxyStatus> = {}): ProxyStatus {
  return {
    engine: { name: 'streams', workers: 1, deaths: 0 },
    config: { version: 1, appliedAt: Date.UTC(2026, 0, 1), reloads: { applied: 0, refused: 0 } },
    identity: {
      version: 1,
      name: 'spiffe://example.org/ns/default/sa/web',
      notAfter: Date.UTC(2026, 0, 2),
      renewer: { authority: '127.0.0.1:8443', nextRenewal: Date.UTC(2026, 0, 1), renewals: { done: 3, failed: 1 } },
    },
    listeners: [{ name: 'web', address: '127.0.0.1:8080', service: 'web', paused: false }],
    services: [
      {
        name: 'web',
        endpoints: [{ id: '127.0.0.1:9001', addresses: ['127.0.0.1:9001'] }],
        upstreams: [{ upstream: '127.0.0.1:9001', endpoints: 1, resolveFailures: 0, answerAgeMs: 1000 }],
        ejections: { connect: 2, latency: 0 },
        breaker: {
          connections: 7,
          maxConnections: 10,
          waiting: 0,
          maxWaiting: 5,
          retrying: 1,
          maxRetrying: 3,
          open: false,
          retryBudget: { spent: 4, allowed: 30 },
        },
        checks: { passed: 10, failed: 1, durationMs: 20 },
      },
    ],
    ...differences,
  };
}

/** A log that keeps its lines, parsed. */
export function capturedLog(): { readonly log: Log; readonly lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger(
    { level: 'trace', format: 'json' },
    { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  return { log, lines };
}

/** A `Telemetry` over connections and a state that the test changes as it goes. */
export class FakeProxy {
  readonly clock = new VirtualClock();
  readonly connections = new Set<ConnectionRecord>();
  status: ProxyStatus = statusOf();
  readonly #captured = capturedLog();
  readonly lines = this.#captured.lines;
  readonly recorder = new Recorder({
    logger: this.#captured.log.logger,
    accessLog: 'all',
    clock: this.clock,
    worker: 0,
    live: () => this.connections,
  });
  readonly telemetry = new Telemetry({
    log: this.#captured.log,
    clock: this.clock,
    version: '1.2.3',
    open: () => this.connections.size,
    report: async (wanted) => [this.recorder.report(wanted)],
    list: async (query) => [this.recorder.list(query)],
    status: () => this.status,
  });

  open(record: ConnectionRecord): ConnectionRecord {
    this.connections.add(record);
    this.recorder.opened(record);
    return record;
  }

  /** Ends it as the data plane does: gone from the living and told of in one go. */
  end(record: ConnectionRecord, differences: Partial<ConnectionRecord> = {}): void {
    this.connections.delete(record);
    this.recorder.ended(Object.assign(record, { phase: 'ended', ending: 'completed', durationMs: 3 }, differences));
  }
}
