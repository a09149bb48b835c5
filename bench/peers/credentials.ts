/** The certificates of a hop, made by the authority of the program that is measured. */
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { paths } from '../paths.js';
import { run } from '../system/children.js';

/** What is at either end of a hop. */
export type End = 'near' | 'far';

/** Files, in PEM. */
export interface Credentials {
  /** With its issuer behind it. */
  readonly certificate: string;
  readonly key: string;
  /** Both, in one file. */
  readonly both: string;
  /** The root. */
  readonly bundle: string;
}

const TRUST_DOMAIN = 'bench.example';
/** Node starts, and node-forge is loaded: this is for a machine under load. */
const TIMEOUT_MS = 30_000;

export function identityOf(end: End): string {
  return `spiffe://${TRUST_DOMAIN}/ns/bench/sa/${end}`;
}

/** By the folder that they are made in: an authority and two certificates of P-256 for each. */
const made = new Map<string, Promise<Record<End, Credentials>>>();

/** Those of a run: made when they are first asked for, in a folder below `scratch`. */
export function credentialsIn(scratch: string): Promise<Record<End, Credentials>> {
  const known = made.get(scratch);
  if (known !== undefined) return known;
  const making = make(scratch);
  made.set(scratch, making);
  return making;
}

async function make(scratch: string): Promise<Record<End, Credentials>> {
  const folder = await mkdtemp(join(scratch, 'authority-'));
  const ca = (...args: string[]) =>
    run({ file: process.execPath, args: [paths.meshproxy, 'ca', ...args, '--dir', join(folder, 'certs')] }, TIMEOUT_MS);
  await ca('init', '--trust-domain', TRUST_DOMAIN);
  const issue = async (end: End): Promise<Credentials> => {
    const path = (name: string) => join(folder, end, name);
    await ca('issue', '--identity', identityOf(end), '--lifetime', '24h', '--out', join(folder, end));
    const [certificate, key] = [path('certificate.pem'), path('key.pem')];
    const both = path('both.pem');
    await writeFile(both, (await readFile(certificate, 'utf8')) + (await readFile(key, 'utf8')), { mode: 0o600 });
    return { certificate, key, both, bundle: path('bundle.pem') };
  };
  return { near: await issue('near'), far: await issue('far') };
}
