/** `meshproxy ca revoke`: no trust any more in a certificate, or in a workload. */
import type { Command } from 'commander';
import { MeshproxyError } from '../../core/errors.js';
import { parseIdentity } from '../../core/identity.js';
import type { Target } from '../../pki/revoke.js';
import { inWords } from '../announce.js';
import { standardOutput } from '../table.js';
import { type FolderOptions, openFolder, withFolder } from './folder.js';

interface RevokeOptions extends FolderOptions {
  readonly serial?: string;
  readonly identity?: string;
  readonly reason: string;
  readonly undo?: boolean;
  readonly json?: boolean;
}

const EXAMPLES = `
Proxies that get their identity from 'meshproxy ca serve' close what is open to it within a second; others follow
revoked.json with --tls-revoked.

Examples:
  meshproxy ca revoke --identity ns/default/sa/orders --reason 'key was in a public repository'
  meshproxy ca revoke --serial 4af4d77f690f1f1f39ac4625afaa0b263acb2775
  meshproxy ca revoke --identity ns/default/sa/orders --undo
`;

export function register(ca: Command): void {
  withFolder(ca.command('revoke'))
    .summary('trust a certificate or a workload no more')
    .description(
      'Revokes one certificate by its serial, or a workload by its identity: then nothing is issued for it any more either.',
    )
    .option('--serial <hex>', 'the certificate')
    .option('--identity <spiffe-id>', 'the workload, with all its certificates')
    .option('--reason <text>', 'why, for whoever asks later', 'not said')
    .option('--undo', 'trust it again')
    .option('--json', 'print what has changed as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (options: RevokeOptions) => {
      const store = await openFolder(options);
      const { trustDomain } = await store.readState();
      const target = targetOf(options, trustDomain);
      const { revoke } = await import('../../pki/revoke.js');
      const { reason, undo = false } = options;
      const { changed, hit } = await revoke(store, target, { reason, undo }, Date.now());
      const { write } = standardOutput();
      if (options.json === true) return void write(`${JSON.stringify({ changed, livingCertificates: hit })}\n`);
      const what = options.serial ?? options.identity;
      if (!changed)
        return void write(`${what} ${undo ? 'was not revoked' : 'was revoked already'}; nothing was changed\n`);
      write(
        `${what} is ${undo ? 'trusted again' : 'revoked'}; ${inWords(hit, 'certificate')} of it still ${hit === 1 ? 'lives' : 'live'}\n`,
      );
    });
}

function targetOf({ serial, identity }: RevokeOptions, trustDomain: string): Target {
  if ((serial === undefined) === (identity === undefined)) {
    throw new MeshproxyError('usage', 'one of --serial and --identity is needed');
  }
  if (identity !== undefined) return { kind: 'identity', identity: parseIdentity(identity, trustDomain) };
  const hex = (serial ?? '').replaceAll(':', '').toLowerCase();
  if (!/^[0-9a-f]{1,40}$/.test(hex)) {
    throw new MeshproxyError('usage', `--serial ${JSON.stringify(serial)}: a serial is up to 40 hexadecimal digits`);
  }
  return { kind: 'serial', serial: hex };
}
