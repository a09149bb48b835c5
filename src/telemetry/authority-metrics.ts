/** What the authority's service tells Prometheus of itself. */
import { Counter, Gauge, Registry } from 'prom-client';

/** At one moment. Times are milliseconds since 1970. */
export interface AuthorityView {
  readonly connections: number;
  readonly waiters: number;
  readonly busy: number;
  /** The certificate that the service shows. */
  readonly identity: string;
  readonly notAfter: number;
  readonly issuerNotAfter: number;
  readonly at: number;
}

export class AuthorityMetrics {
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE;
  readonly #registry = new Registry();
  readonly #registers = [this.#registry];
  readonly #issued = new Counter({
    name: 'meshproxy_ca_issued_total',
    help: 'Certificates issued to workloads, by what they showed: a join token, or a certificate.',
    labelNames: ['by'],
    registers: this.#registers,
  });
  readonly #refused = new Counter({
    name: 'meshproxy_ca_refused_total',
    help: 'Requests refused, by the code of the answer.',
    labelNames: ['code'],
    registers: this.#registers,
  });
  readonly #turnedAway = new Counter({
    name: 'meshproxy_ca_turned_away_total',
    help: 'Connections that never came to a request: too many of them, or no TLS.',
    registers: this.#registers,
  });
  readonly #failed = new Counter({
    name: 'meshproxy_ca_failed_total',
    help: 'What the authority could not do though it should; its log says why.',
    registers: this.#registers,
  });
  readonly #connections = this.#gauge('meshproxy_ca_connections', 'Connections that are open.');
  readonly #waiters = this.#gauge('meshproxy_ca_waiters', 'Requests that wait for the trust to change.');
  readonly #busy = this.#gauge('meshproxy_ca_busy', 'Requests for certificates under way.');
  readonly #issuerExpiry = this.#gauge(
    'meshproxy_ca_issuer_expiry_seconds',
    'How long the issuing certificate is still valid; no leaf lives longer.',
  );
  readonly #expiry = new Gauge({
    name: 'meshproxy_certificate_expiry_seconds',
    help: 'How long the certificate that the service shows is still valid; below 0 once it has expired.',
    labelNames: ['identity'],
    registers: this.#registers,
  });

  issued(by: 'token' | 'certificate'): void {
    this.#issued.inc({ by });
  }

  /** @param code one of a fixed few */
  refused(code: string): void {
    this.#refused.inc({ code });
  }

  turnedAway(): void {
    this.#turnedAway.inc();
  }

  failed(): void {
    this.#failed.inc();
  }

  /** In the text exposition format. */
  text(view: AuthorityView): Promise<string> {
    this.#connections.set(view.connections);
    this.#waiters.set(view.waiters);
    this.#busy.set(view.busy);
    this.#issuerExpiry.set((view.issuerNotAfter - view.at) / 1000);
    this.#expiry.set({ identity: view.identity }, (view.notAfter - view.at) / 1000);
    return this.#registry.metrics();
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name, help, registers: this.#registers });
  }
}
