import type { LoadResult } from '../load/result.js';
import { ask } from '../system/children.js';
import { HTTP_CONNECTIONS, httpUpstream } from './http.js';
import { measure, type Percentiles, requestMetrics, requestSample, type Workload } from './workload.js';

const US_PER: Readonly<Record<string, number>> = { us: 1, ms: 1e3, s: 1e6, m: 60e6 };

type WrkResult = LoadResult & Percentiles;

function durationUs(text: string | undefined): number {
  const [, value, unit] = /^([\d.]+)(us|ms|s|m)$/.exec(text ?? '') ?? [];
  return Number(value) * (US_PER[unit ?? ''] ?? Number.NaN);
}

/** Reads what `wrk --latency` prints; throws where it is no result. */
export function parseWrk(output: string): WrkResult {
  const [, units, duration] = /^\s*(\d+) requests in (\S+),/m.exec(output) ?? [];
  const [seconds, p50, p99] = [
    durationUs(duration) / 1e6,
    durationUs(/^\s*50%\s+(\S+)\s*$/m.exec(output)?.[1]),
    durationUs(/^\s*99%\s+(\S+)\s*$/m.exec(output)?.[1]),
  ];
  if (units === undefined || ![seconds, p50, p99].every(Number.isFinite)) {
    throw new Error(`wrk printed no result: ${output.slice(0, 200)}`);
  }
  const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output) ?? [];
  const otherStatus = /Non-2xx or 3xx responses: (\d+)/.exec(output) ?? [];
  const errors = [...socketErrors.slice(1), ...otherStatus.slice(1)].reduce((sum, count) => sum + Number(count), 0);
  return { units: Number(units), seconds, errors, latencies: [], p50, p99 };
}

/** The HTTP workload as wrk sees it: a client in C, so that the proxy and not the client is the limit. */
export const wrk: Workload = {
  name: 'wrk',
  title: `HTTP GET over ${HTTP_CONNECTIONS} kept connections, by wrk (cross-check of http)`,
  metrics: requestMetrics('request'),
  fullRunOnly: true,
  missing: async () =>
    (await ask('sh', '-c', 'command -v wrk')) === undefined ? 'wrk is not installed: apt-get install wrk' : undefined,
  upstream: httpUpstream,
  async run(cell) {
    const measured = await measure(cell, async (seconds) => {
      // It takes whole seconds only.
      const whole = Math.max(1, Math.ceil(seconds));
      const url = `http://127.0.0.1:${cell.port}/`;
      const args = ['-t1', `-c${HTTP_CONNECTIONS}`, `-d${whole}s`, '--latency', url];
      return parseWrk(await cell.client({ file: 'wrk', args }, whole));
    });
    const { p50, p99 } = measured.result;
    return requestSample(measured, { p50, p99 });
  },
};
