/** Certificates of every kind, good and bad, made by `openssl` on the command line: not by the code that is tested with them. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TlsCredential } from '../../src/l4/tls.js';

export interface CertificateRequest {
  readonly name: string;
  /** Lines of an extension section (`x509v3_config(5)`). */
  readonly extensions: readonly string[];
  /** Days from now, may be negative. */
  readonly from?: number;
  readonly to?: number;
}

export interface Issued extends TlsCredential {
  /** PEM: the certificate alone. */
  readonly certificate: string;
}

const DAY_MS = 86_400_000;
const CA_EXTENSIONS = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'];
const IDS = ['subjectKeyIdentifier=hash', 'authorityKeyIdentifier=keyid'];

/** What a leaf of a workload has, unless it is to be a wrong one. */
export const LEAF = ['basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature'];
export const BOTH_SIDES = 'extendedKeyUsage=serverAuth,clientAuth';

export function leafOf(identity: string, ...more: readonly string[]): string[] {
  return [...LEAF, BOTH_SIDES, `subjectAltName=URI:${identity}`, ...more];
}

/** A folder in which certificates are made. To be closed. */
export class CertificateMaker {
  readonly folder = mkdtempSync(join(tmpdir(), 'meshproxy-tls-'));
  #count = 0;

  constructor() {
    writeFileSync(join(this.folder, 'index.txt'), '');
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A self-signed authority. */
  root(name: string, extensions: readonly string[] = CA_EXTENSIONS): Issued {
    return this.issue({ name, extensions: [...extensions, ...IDS.slice(0, 1)], to: 3650 }, undefined);
  }

  intermediate(name: string, issuer: Issued, more: readonly string[] = [], to = 365, from = -400): Issued {
    return this.issue({ name, extensions: [...CA_EXTENSIONS, ...IDS, ...more], from, to }, issuer);
  }

  leaf(request: CertificateRequest, issuer: Issued): Issued {
    return this.issue({ ...request, extensions: [...request.extensions, ...IDS] }, issuer);
  }

  /** A file with these contents, and its path. */
  file(contents: string): string {
    this.#count += 1;
    const path = join(this.folder, `file-${this.#count}`);
    writeFileSync(path, contents);
    return path;
  }

  /** @param issuer itself where there is none. The chain of what it issues is the certificate and, but for a root's, the issuer's chain. */
  issue({ name, extensions, from = -1, to = 1 }: CertificateRequest, issuer: Issued | undefined): Issued {
    const keyFile = this.file('');
    const requestFile = this.file('');
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', keyFile);
    openssl('req', '-new', '-key', keyFile, '-subj', `/CN=${name}`, '-out', requestFile);
    const certificateFile = this.file('');
    const signer = issuer
      ? ['-keyfile', this.file(issuer.key), '-cert', this.file(issuer.certificate)]
      : ['-keyfile', keyFile, '-selfsign'];
    const config = this.file(this.#config(extensions));
    const dates = ['-startdate', opensslDate(from), '-enddate', opensslDate(to)];
    const out = ['-in', requestFile, '-out', certificateFile];
    openssl('ca', '-batch', '-config', config, '-notext', ...dates, ...signer, ...out);
    const certificate = readFileSync(certificateFile, 'utf8');
    const above = issuer === undefined || issuer.chain === '' ? '' : issuer.chain;
    // A root is not sent: its peers have it.
    const chain =
      issuer === undefined && extensions.some((line) => line.includes('CA:TRUE')) ? '' : certificate + above;
    return { certificate, chain, key: readFileSync(keyFile, 'utf8') };
  }

  #config(extensions: readonly string[]): string {
    const { folder } = this;
    return [
      '[ca]',
      'default_ca=this',
      '[this]',
      `database=${join(folder, 'index.txt')}`,
      `new_certs_dir=${folder}`,
      'default_md=sha256',
      'policy=any',
      'unique_subject=no',
      'rand_serial=yes',
      'email_in_dn=no',
      'x509_extensions=extensions',
      '[any]',
      'commonName=optional',
      '[extensions]',
      ...extensions,
      '',
    ].join('\n');
  }
}

function openssl(...words: string[]): void {
  execFileSync('openssl', words, { stdio: ['ignore', 'ignore', 'pipe'] });
}

function opensslDate(days: number): string {
  const iso = new Date(Date.now() + days * DAY_MS).toISOString();
  return `${iso.replaceAll(/[-:T]/g, '').slice(0, 14)}Z`;
}
