/** The text that Prometheus scrapes: made from a view of the counters when asked for, so that counting costs nothing more than adding. */
import { Counter, Gauge, Registry } from 'prom-client';
import { HISTOGRAMS, METRICS } from './metric-list.js';
import type { HistogramSpec, MetricSpec, MetricsView } from './metric-spec.js';

export class Metrics {
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE;
  readonly #registry = new Registry();
  readonly #metrics = METRICS.map((spec) => ({ spec, metric: register(spec, this.#registry) }));

  /** In the text exposition format. What the view does not have any more is gone from it. */
  async text(view: MetricsView): Promise<string> {
    for (const { spec, metric } of this.#metrics) {
      metric.reset();
      for (const [labels, value] of spec.read(view)) metric.inc({ ...labels }, value);
    }
    // Made before anything is awaited: two scrapes at a time must not see each other's view.
    const histograms = HISTOGRAMS.map((spec) => expose(spec, view));
    return `${await this.#registry.metrics()}\n${histograms.join('\n')}`;
  }
}

function register({ name, help, labels, type }: MetricSpec, registry: Registry): Counter | Gauge {
  const settings = { name, help, labelNames: labels, registers: [registry] };
  return type === 'counter' ? new Counter(settings) : new Gauge(settings);
}

function expose(spec: HistogramSpec, { totals: { counters } }: MetricsView): string {
  const lines = [`# HELP ${spec.name} ${spec.help}`, `# TYPE ${spec.name} histogram`];
  for (const [service, times] of counters.times) {
    lines.push(...spec.read(times).lines(spec.name, `service="${escapeLabel(service)}"`));
  }
  return `${lines.join('\n')}\n`;
}

/** As the exposition format asks for. */
function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
