/** What the log says of the endpoints of services: how finding them fares, and how they themselves do. Once for each change. */
import type { UpstreamNews } from './discovery/upstream-report.js';
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
