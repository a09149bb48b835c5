/** `meshproxy ca init`: makes an authority. */
import type { Command } from 'commander';
import { parseTrustDomain } from '../../core/identity.js';
import { standardOutput } from '../table.js';
import { type FolderOptions, openFolder, withFolder } from './folder.js';

interface InitOptions extends FolderOptions {
  readonly trustDomain: string;
  readonly json?: boolean;
}

export function register(ca: Command): void {
  withFolder(ca.command('init'))
    .summary('make an authority: a root and an issuer')
    .description(
      'Makes a root certificate (10 years) and an issuing one below it (1 year), with keys of ECDSA P-256 that only their owner can read. Never touches an authority that is there.',
    )
    .requiredOption('--trust-domain <name>', 'whose workloads it is to name: example.org')
    .option('--json', 'print what was made as JSON')
    .action(async (options: InitOptions) => {
      const trustDomain = parseTrustDomain(options.trustDomain);
      const store = await openFolder(options);
      const { initAuthority } = await import('../../pki/init.js');
      const { roots, issuers } = await initAuthority(store, trustDomain, Date.now());
      const [root, issuer] = [roots[0]?.id ?? '', issuers[0]?.id ?? ''];
      const certificates = [
        await store.readCertificate(`root-${root}`),
        await store.readCertificate(`issuer-${issuer}`),
      ];
      const [rootFacts, issuerFacts] = certificates.map(({ fingerprint256, validTo }) => ({
        fingerprint: fingerprint256.replaceAll(':', '').toLowerCase(),
        notAfter: new Date(validTo).toISOString(),
      }));
      const { write } = standardOutput();
      if (options.json === true) {
        const facts = {
          trustDomain,
          directory: store.directory,
          root: { id: root, ...rootFacts },
          issuer: { id: issuer, ...issuerFacts },
        };
        return void write(`${JSON.stringify(facts, undefined, 2)}\n`);
      }
      write(
        `The authority of ${trustDomain} is in ${store.directory}/\n\n` +
          `  root    ${root}  until ${day(rootFacts?.notAfter)}  SHA-256 ${rootFacts?.fingerprint}\n` +
          `  issuer  ${issuer}  until ${day(issuerFacts?.notAfter)}\n\n` +
          `${store.path('bundle.pem')} is what everybody trusts: copy it to every host.\n` +
          `${store.path(`root-${root}.key`)} is needed to replace an issuer only: keep it offline.\n\n` +
          'Next: meshproxy ca issue --identity ns/default/sa/orders --out orders/\n',
      );
    });
}

function day(iso = ''): string {
  return iso.slice(0, 10);
}
