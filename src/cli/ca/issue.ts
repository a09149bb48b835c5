/** `meshproxy ca issue`: one certificate, to files. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { systemClock } from '../../core/clock.js';
import { describeError, MeshproxyError } from '../../core/errors.js';
import { parseIdentity } from '../../core/identity.js';
import { formatDuration, parseDuration } from '../../core/units.js';
import type { Issued } from '../../pki/authority.js';
import { standardOutput } from '../table.js';
import { type FolderOptions, openFolder, withFolder } from './folder.js';

interface IssueOptions extends FolderOptions {
  readonly identity: string;
  readonly out: string;
  readonly lifetime: string;
  readonly csr?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

export function register(ca: Command): void {
  withFolder(ca.command('issue'))
    .summary('issue one certificate to files')
    .description(
      'Issues a certificate for a workload: certificate.pem (with its issuer behind it), key.pem and bundle.pem in a folder, as --tls-certificate, --tls-key and --tls-bundle take them.',
    )
    .requiredOption(
      '--identity <spiffe-id>',
      'whose: spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/NAME, or ns/NAMESPACE/sa/NAME',
    )
    .requiredOption('--out <folder>', 'where the files are written; it is made where it is not there')
    .addOption(new Option('--lifetime <duration>', 'how long it is valid, 5m to 7d').default('1h'))
    .option('--csr <file>', 'certify the key of this request (PEM); no key is made then')
    .option('--force', 'replace files that are there')
    .option('--json', 'print what was issued as JSON')
    .action(issue);
}

async function issue(options: IssueOptions): Promise<void> {
  const lifetimeMs = parseDuration(options.lifetime);
  if (lifetimeMs === undefined) {
    throw new MeshproxyError(
      'usage',
      `--lifetime ${JSON.stringify(options.lifetime)} is not a duration; write 30m, 1h or 1d`,
    );
  }
  const store = await openFolder(options);
  const { Authority } = await import('../../pki/authority.js');
  const authority = await Authority.open({ store, clock: systemClock });
  try {
    const { writeIdentityFiles } = await import('../../pki/written-identity.js');
    const { spki, key } = await keyFor(options.csr);
    const identity = parseIdentity(options.identity, authority.trustDomain);
    const issued = await writeIdentityFiles(options.out, { key, replace: options.force === true }, async () => ({
      ...(await authority.issue({ spki, identity, lifetimeMs, requester: 'command ca issue' })),
      bundle: authority.trust.bundle,
    }));
    tell(options, issued);
  } finally {
    await authority.close();
  }
}

async function keyFor(csr: string | undefined): Promise<{ spki: Uint8Array; key: string | undefined }> {
  if (csr === undefined) {
    const { newKeys } = await import('../../pki/init.js');
    const { spkiOf } = await import('../../pki/x509.js');
    const { publicKey, privateKey } = newKeys();
    return { spki: spkiOf(publicKey), key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
  }
  const { readCsr } = await import('../../pki/csr.js');
  return { spki: readCsr(await readRequest(csr)).spki, key: undefined };
}

async function readRequest(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new MeshproxyError('file', `${file}: ${describeError(cause)}`, { cause });
  }
}

function tell({ json, out }: IssueOptions, { identity, serial, notAfter }: Issued): void {
  const { write } = standardOutput();
  if (json === true) {
    return void write(
      `${JSON.stringify({ identity, serial, notAfter: new Date(notAfter).toISOString(), directory: out }, undefined, 2)}\n`,
    );
  }
  const left = formatDuration(Math.round((notAfter - Date.now()) / 1000) * 1000);
  write(`${identity}\n  valid for ${left}, serial ${serial}\n  in ${join(out, 'certificate.pem')}\n`);
}
