/** What the log says of the endpoints of services: how finding them fares, and how they themselves do. Once for each change. */
import type { Reason } from './balancer/ejection.js';
import { formatDuration } from './core/units.js';
import type { UpstreamNews } from './discovery/upstream-report.js';
import type { StandingNews } from './health/standings.js';
import type { Log } from './telemetry/logger.js';

export function tellUpstream(logger: Log['logger'], service: string, upstream: string, news: UpstreamNews): void {
  const about = { service, upstream };
  switch (news.kind) {
    case 'failing':
      logger.warn(
        { ...about, err: news.error },
        `service ${service}: ${news.error.message}; the last answer stays in force`,
      );
      break;
    case 'recovered':
      logger.info(about, `service ${service}: ${upstream} is answered again`);
      break;
    case 'empty':
      logger.warn(about, `service ${service}: ${upstream} has no endpoints: ${news.why}`);
      break;
    case 'filled':
      logger.info(
        { ...about, endpoints: news.endpoints },
        `service ${service}: ${upstream} has endpoints again: ${news.endpoints}`,
      );
  }
}

/** What health checks have found. */
export function tellHealth(
  logger: Log['logger'],
  service: string,
  endpoint: string,
  isHealthy: boolean,
  words: string,
  inARow: number,
): void {
  const why = inARow > 1 ? `${words} (${inARow} in a row)` : words;
  const about = { service, endpoint };
  if (isHealthy) logger.info(about, `endpoint ${endpoint} of service ${service} is healthy again: ${why}`);
  else logger.warn(about, `endpoint ${endpoint} of service ${service} is unhealthy: ${why}`);
}

/** Why an endpoint was ejected, in words. */
export const EJECTED_FOR: Readonly<Record<Reason, string>> = {
  connect: 'connections to it failed again and again',
  timeout: 'it did not answer in time, again and again',
  handshake: 'TLS with it failed again and again',
  reset: 'it reset connections before their first byte, again and again',
  latency: 'connecting to it takes far longer than to the others',
};

/** What the data threads have done, and main. */
export function tellStanding(logger: Log['logger'], service: string, news: StandingNews): void {
  switch (news.kind) {
    case 'ejected': {
      const { endpoint, reason, forMs, again } = news;
      const what = again ? 'was tried and is not back: it is ejected' : 'is ejected';
      logger.warn(
        { service, endpoint, reason },
        `endpoint ${endpoint} of service ${service} ${what} for ${formatDuration(forMs)}: ${EJECTED_FOR[reason]}`,
      );
      break;
    }
    case 'back': {
      const { endpoint } = news;
      logger.info(
        { service, endpoint },
        `endpoint ${endpoint} of service ${service} is back: a connection has shown it`,
      );
      break;
    }
    case 'panic':
      logger.warn(
        { service },
        `service ${service} panics: ${news.able} of its ${news.size} endpoints can take connections, so that all of them get some`,
      );
      break;
    case 'calm':
      logger.info(
        { service },
        `service ${service} panics no more: ${news.able} of its ${news.size} endpoints can take connections`,
      );
  }
}
