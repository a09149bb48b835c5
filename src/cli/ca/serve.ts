/** `meshproxy ca serve`: the authority as a service. */
import { type Command, Option } from 'commander';
import type { RunningCa } from '../../ca-server.js';
import { formatAddress, parseAddress } from '../../core/address.js';
import { systemClock } from '../../core/clock.js';
import { descriptorLimit } from '../../core/descriptors.js';
import { createLogger, type Log, type LogOptions } from '../../telemetry/logger.js';
import { inWords } from '../announce.js';
import { exitNow } from '../exit.js';
import { EXIT } from '../report.js';
import { judgeSignal, type StopSignal } from '../signals.js';
import { type FolderOptions, openFolder, withFolder } from './folder.js';
import { countOf, durationOf, rateOf } from './values.js';

interface ServeOptions extends FolderOptions {
  readonly listen: string;
  readonly lifetime: string;
  readonly grace: string;
  readonly rate: string;
  readonly concurrency: string;
  readonly maxConnections: string;
  readonly drainTimeout: string;
  readonly logLevel: LogOptions['level'];
  readonly logFormat: LogOptions['format'];
}

const EXAMPLES = `
Examples:
  meshproxy ca serve --listen :8443
  meshproxy ca serve --listen 10.0.0.5:8443 --lifetime 30m --rate 500/s
  meshproxy ca serve --dir /etc/meshproxy/ca --passphrase-file /run/secrets/ca

Several of them may serve from one folder at once. A certificate leaves only after its line is in issued/ on the disk.
GET /metrics on the same address shows its figures to Prometheus (scheme: https, ca_file: bundle.pem,
insecure_skip_verify: true, for its certificate names no host).
`;

/** A day longer than the longest life of a certificate needs nobody. */
const MAX_GRACE_MS = 90 * 86_400_000;
/** What else has files open: the program, its log, the folder of the authority. */
const OWN_DESCRIPTORS = 100;
/** Answers take milliseconds; who has not got one by then has a reader that is gone. */
const MAX_DRAIN_MS = 600_000;

export function register(ca: Command): void {
  withFolder(ca.command('serve'))
    .summary('give certificates to workloads over the network')
    .description(
      'Serves certificates over HTTPS (TLS 1.3): the first by a join token (meshproxy ca token), later ones by the one that a workload has, also when that expired within the grace period.',
    )
    .option('--listen <address>', 'where to listen: host:port, :port or [v6]:port', ':8443')
    .option('--lifetime <duration>', 'how long certificates are valid, 5m to 7d', '1h')
    .option('--grace <duration>', 'how long after its end a certificate is still good for getting another', '7d')
    .option(
      '--rate <rate>',
      'certificates a second, of all workloads; one address gets half of it at most; or off',
      '200/s',
    )
    .option('--concurrency <count>', 'requests for certificates that may be under way', '64')
    .option('--max-connections <count>', 'connections that may be open; workloads keep one each', '10000')
    .option('--drain-timeout <duration>', 'how long what is under way may take when it is told to stop', '10s')
    .addOption(new Option('--log-level <level>', 'how much to log').choices(LEVELS).default('info'))
    .addOption(new Option('--log-format <format>', 'how').choices(['auto', 'pretty', 'json']).default('auto'))
    .addHelpText('after', EXAMPLES)
    .action(async (options: ServeOptions) => exitNow(await serve(options)));
}

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'];

async function serve(options: ServeOptions): Promise<number> {
  const { startCa } = await import('../../ca-server.js');
  const { MIN_LEAF_LIFETIME_MS, MAX_LEAF_LIFETIME_MS } = await import('../../pki/issuer.js');
  const settings = {
    address: parseAddress(options.listen),
    lifetimeMs: durationOf('--lifetime', options.lifetime, { least: MIN_LEAF_LIFETIME_MS, most: MAX_LEAF_LIFETIME_MS }),
    graceMs: durationOf('--grace', options.grace, { least: 0, most: MAX_GRACE_MS }),
    limits: {
      ratePerS: rateOf('--rate', options.rate),
      concurrency: countOf('--concurrency', options.concurrency, { least: 1, most: 10_000 }),
    },
    maxConnections: countOf('--max-connections', options.maxConnections, { least: 2, most: 1_000_000 }),
  };
  const drainMs = durationOf('--drain-timeout', options.drainTimeout, { least: 0, most: MAX_DRAIN_MS });
  const store = await openFolder(options);
  const log = createLogger({ level: options.logLevel, format: options.logFormat });
  try {
    const maxConnections = withinDescriptors(settings.maxConnections, log);
    const ca = await startCa({ ...settings, maxConnections, store, log, clock: systemClock });
    const listen = formatAddress(ca.address);
    log.logger.info({ listen, trustDomain: ca.trustDomain }, `serving certificates of ${ca.trustDomain} on ${listen}`);
    return await untilStopped(ca, drainMs, log);
  } finally {
    await log.close();
  }
}

function withinDescriptors(wanted: number, { logger }: Log): number {
  const possible = Math.max(2, (descriptorLimit() ?? Number.POSITIVE_INFINITY) - OWN_DESCRIPTORS);
  if (possible >= wanted) return wanted;
  logger.warn(`only ${possible} connections may be open, for so many files may this process have: raise its limit`);
  return possible;
}

/** Resolves with the exit code. */
async function untilStopped(ca: RunningCa, drainMs: number, { logger }: Log): Promise<number> {
  let first: StopSignal | undefined;
  return new Promise((resolve) => {
    const onSignal = (signal: NodeJS.Signals): void => {
      const next = { signal, at: systemClock.now() };
      const verdict = judgeSignal(first, next, process.env['npm_lifecycle_event'] !== undefined);
      first ??= next;
      if (verdict === 'drain') {
        logger.info(`${signal}: accepting no more; ${inWords(ca.open, 'connection')} may finish what is under way`);
        void ca.drain(drainMs).then(() => {
          logger.info('stopped: what was under way is answered');
          resolve(EXIT.ok);
        });
      }
      if (verdict === 'force') {
        logger.warn(`${signal} once more: ending at once`);
        void ca.close().then(() => resolve(EXIT.failed));
      }
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
    // Its terminal was closed, or somebody expects it to read again what it follows by itself.
    process.on('SIGHUP', () => {
      if (process.stdin.isTTY) onSignal('SIGHUP');
      else logger.info('SIGHUP: there is nothing to reload, for changes to the folder are noticed by themselves');
    });
  });
}
