/** `meshproxy ca join`: gets an identity from an authority, for programs that are not behind meshproxy. */
import type { Command } from 'commander';
import { parseAddress } from '../../core/address.js';
import { systemClock } from '../../core/clock.js';
import { createLogger } from '../../telemetry/logger.js';
import { exitNow } from '../exit.js';
import { EXIT } from '../report.js';
import { standardOutput } from '../table.js';
import { durationOf } from './values.js';

interface JoinOptions {
  readonly ca: readonly string[];
  readonly tokenFile?: string;
  readonly out: string;
  readonly timeout: string;
  readonly follow?: boolean;
}

const EXAMPLES = `
Examples:
  meshproxy ca join --ca ca.internal:8443 --token-file orders.token --out identity
  meshproxy ca join --ca ca.internal:8443 --out identity --follow

In the folder: identity.pem (key and certificates, one file so that both change together), bundle.pem (whom to trust)
and revoked.json. meshproxy itself needs none of this: it takes --ca, --token-file and --identity-dir.
`;

const MAX_TIMEOUT_MS = 3_600_000;

export function register(ca: Command): void {
  ca.command('join')
    .summary('get an identity from an authority, and keep it fresh')
    .description(
      'Joins an authority with a token, and writes the identity to a folder. With --follow it goes on renewing it and following whom to trust, until it is stopped.',
    )
    .requiredOption(
      '--ca <address>',
      'where the authority is served; several where several processes serve it',
      collect,
    )
    .option('--token-file <file>', 'the join token; not needed where the folder has an identity already')
    .requiredOption('--out <folder>', 'where the identity is kept')
    .option('--timeout <duration>', 'how long to try', '30s')
    .option('--follow', 'go on keeping it fresh')
    .addHelpText('after', EXAMPLES)
    .action(async (options: JoinOptions) => exitNow(await join(options)));
}

function collect(next: string, before: readonly string[] = []): readonly string[] {
  return [...before, next];
}

async function join({ ca, tokenFile, out, timeout, follow }: JoinOptions): Promise<number> {
  const { openRenewer } = await import('../../pki/open-renewer.js');
  const withinMs = durationOf('--timeout', timeout, { least: 0, most: MAX_TIMEOUT_MS });
  const log = createLogger({ level: 'info', format: 'auto' });
  const addresses = ca.map((text) => parseAddress(text));
  const renewer = openRenewer({
    addresses,
    tokenFile,
    directory: out,
    clock: systemClock,
    say: (level, message) => log.logger[level](message),
  });
  try {
    await renewer.start(withinMs);
    if (follow === true) await stopped();
    else standardOutput().write(`the identity is in ${out}/\n`);
    return EXIT.ok;
  } finally {
    renewer.stop();
    await log.close();
  }
}

function stopped(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGTERM', resolve).once('SIGINT', resolve);
  });
}
