/** What the log says of how finding the endpoints of an upstream fares. */
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
