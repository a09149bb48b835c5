/** An authority of a mesh with its workloads, in files as a proxy is given them. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BOTH_SIDES, CertificateMaker, type Issued, LEAF } from '../fakes/certificates.js';

export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

export interface LeafOptions {
  /** Its subject alternative names, as openssl writes them; by default the URI of a workload with the leaf's name. */
  readonly names?: readonly string[];
  /** Days from now. */
  readonly from?: number;
  readonly to?: number;
  readonly usage?: string;
}

export function idOf(name: string): string {
  return `spiffe://example.org/ns/default/sa/${name}`;
}

export class TestAuthority {
  readonly bundle: string;
  readonly #maker = new CertificateMaker();
  readonly #root: Issued;

  constructor(name = 'root') {
    this.#root = this.#maker.root(name);
    this.bundle = this.path('bundle.pem');
    writeFileSync(this.bundle, this.#root.certificate);
  }

  path(file: string): string {
    return join(this.#maker.folder, file);
  }

  /** Makes `NAME.crt` and `NAME.key`. */
  leaf(name: string, { names = [`URI:${idOf(name)}`], usage = BOTH_SIDES, ...dates }: LeafOptions = {}): void {
    const extensions = [...LEAF, usage, `subjectAltName=${names.join(',')}`];
    const { chain, key } = this.#maker.leaf({ name, extensions, ...dates }, this.#root);
    writeFileSync(this.path(`${name}.crt`), chain);
    writeFileSync(this.path(`${name}.key`), key, { mode: 0o600 });
  }

  /** The flags by which a proxy is `name`. */
  flags(name: string): string[] {
    const [certificate, key] = [this.path(`${name}.crt`), this.path(`${name}.key`)];
    return ['--tls-certificate', certificate, '--tls-key', key, '--tls-bundle', this.bundle];
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
    this.#maker.close();
  }
}
