/** An authority and certificates of a mesh, made by openssl: in a folder of their own, gone with the test. */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export interface LeafOptions {
  /** Its URI; by default that of a workload with the leaf's name. */
  readonly uris?: readonly string[];
  readonly dns?: string;
  /** `-not_before` and `-not_after` of openssl, in its own form (YYYYMMDDHHMMSSZ). */
  readonly from?: string;
  readonly until?: string;
  readonly usage?: string;
  readonly ca?: boolean;
}

export function idOf(name: string): string {
  return `spiffe://example.org/ns/default/sa/${name}`;
}

export class TestAuthority {
  readonly folder = mkdtempSync(join(tmpdir(), 'meshproxy-ca-'));
  readonly bundle: string;
  #serial = 1;

  constructor(name = 'root') {
    this.bundle = this.path('ca.crt');
    const extensions = ['-addext', 'keyUsage=critical,keyCertSign'];
    this.#openssl([
      'req',
      '-x509',
      ...CURVE,
      '-keyout',
      'ca.key',
      '-out',
      'ca.crt',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      ...extensions,
    ]);
    // `ca` keeps a list of what it has issued; only by it can a certificate be made that is not valid yet, or no more.
    writeFileSync(this.path('index'), '');
    writeFileSync(
      this.path('ca.conf'),
      '[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=.\ndatabase=index\ndefault_md=sha256\npolicy=p\nunique_subject=no\nrand_serial=yes\n[p]\ncommonName=supplied\n',
    );
  }

  path(file: string): string {
    return join(this.folder, file);
  }

  /** Makes `NAME.crt` and `NAME.key`. */
  leaf(name: string, { uris = [idOf(name)], dns, from, until, usage, ca = false }: LeafOptions = {}): void {
    this.#serial += 1;
    const names = [...uris.map((uri) => `URI:${uri}`), ...(dns === undefined ? [] : [`DNS:${dns}`])].join(',');
    writeFileSync(
      this.path(`${name}.ext`),
      [
        ...(names === '' ? [] : [`subjectAltName=${names}`]),
        'authorityKeyIdentifier=keyid',
        'subjectKeyIdentifier=hash',
        `keyUsage=critical,${ca ? 'keyCertSign' : 'digitalSignature'}`,
        `extendedKeyUsage=${usage ?? 'serverAuth,clientAuth'}`,
        `basicConstraints=critical,CA:${ca}`,
      ].join('\n'),
    );
    this.#openssl(['req', ...CURVE, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`]);
    const dates = [
      from === undefined ? [] : ['-startdate', from],
      until === undefined ? ['-days', '1'] : ['-enddate', until],
    ].flat();
    this.#openssl([
      'ca',
      '-batch',
      '-notext',
      '-config',
      'ca.conf',
      '-cert',
      'ca.crt',
      '-keyfile',
      'ca.key',
      '-in',
      `${name}.csr`,
      '-out',
      `${name}.crt`,
      '-extfile',
      `${name}.ext`,
      ...dates,
    ]);
  }

  /** The flags by which a proxy is `name`. */
  flags(name: string): string[] {
    return [
      '--tls-certificate',
      this.path(`${name}.crt`),
      '--tls-key',
      this.path(`${name}.key`),
      '--tls-bundle',
      this.bundle,
    ];
  }

  read(file: string): string {
    return readFileSync(this.path(file), 'utf8');
  }

  /** Puts another leaf where `name` has its own, each file at once. */
  replace(name: string, by: string): void {
    for (const kind of ['key', 'crt']) {
      copyFileSync(this.path(`${by}.${kind}`), this.path(`${name}.${kind}.new`));
      renameSync(this.path(`${name}.${kind}.new`), this.path(`${name}.${kind}`));
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #openssl(args: readonly string[]): void {
    execFileSync('openssl', args, { cwd: this.folder, stdio: 'pipe' });
  }
}
