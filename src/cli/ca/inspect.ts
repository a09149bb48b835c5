/** `meshproxy ca inspect`: what is in a file. */

import type { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import { describeError, MeshproxyError } from '../../core/errors.js';
import { formatDuration } from '../../core/units.js';
import type { Facts } from '../../pki/inspect.js';
import { EXIT } from '../report.js';
import { type Output, paint, standardOutput } from '../table.js';

interface InspectOptions {
  readonly bundle?: string;
  readonly json?: boolean;
}

/** Longer files hold something else. */
const MAX_BYTES = 4 * 1024 * 1024;

export function register(ca: Command): void {
  ca.command('inspect')
    .summary('what is in a file of certificates, requests or keys')
    .description(
      'Shows every certificate, request and private key in a file; nothing of a private key but whose it is.',
    )
    .argument('<file>', 'PEM or DER; - for standard input')
    .option('--bundle <file>', 'also say whether its certificates lead to a root of this bundle')
    .option('--json', 'print it as JSON')
    .action(async (file: string, { bundle, json }: InspectOptions) => {
      const { inspect } = await import('../../pki/inspect.js');
      const bytes = await readAny(file);
      const facts = inspect(bytes);
      if (facts.length === 0) {
        throw new MeshproxyError('bad-certificate', `${file}: there is no certificate, request or key in it`);
      }
      const chained = bundle === undefined ? undefined : await chainsTo(bytes, bundle);
      const output = standardOutput();
      if (json === true)
        output.write(`${JSON.stringify({ contents: facts, ...(chained && { chain: chained }) }, undefined, 2)}\n`);
      else {
        output.write(facts.map((one) => describe(one, Date.now(), output)).join('\n'));
        if (chained !== undefined)
          output.write(
            `\nchain: ${chained.ok ? paint('leads to', 'green', output.colour) : paint('does not lead to', 'red', output.colour)} ${chained.words}\n`,
          );
      }
      if (facts.some(({ kind }) => kind === 'broken') || chained?.ok === false) process.exitCode = EXIT.failed;
    });
}

async function readAny(file: string): Promise<Buffer> {
  try {
    const bytes = file === '-' ? Buffer.from(await text(process.stdin), 'latin1') : await readFile(file);
    if (bytes.length > MAX_BYTES)
      throw new MeshproxyError('file', `${file}: ${bytes.length} bytes are no certificate or key`);
    return bytes;
  } catch (cause) {
    if (cause instanceof MeshproxyError) throw cause;
    throw new MeshproxyError('file', `${file}: ${describeError(cause)}`, { cause });
  }
}

/** By the certificates of the file and of the bundle alone: signatures, whatever the time is. */
async function chainsTo(bytes: Buffer, bundle: string): Promise<{ ok: boolean; words: string }> {
  const { readAllCertificates } = await import('../../pki/identity-files.js');
  const roots = readAllCertificates((await readAny(bundle)).toString('latin1'), bundle);
  const [leaf, ...others] = readAllCertificates(bytes.toString('latin1'), 'the file');
  const isFrom = (child: X509Certificate, parent: X509Certificate): boolean =>
    child.checkIssued(parent) && child.verify(parent.publicKey);
  for (let at = leaf, steps = 0; at !== undefined && steps <= others.length; steps += 1) {
    const current = at;
    const root = roots.find((one) => one.fingerprint256 === current.fingerprint256 || isFrom(current, one));
    if (root !== undefined) return { ok: true, words: `root ${root.fingerprint256.replaceAll(':', '').toLowerCase()}` };
    at = others.find((one) => isFrom(current, one));
  }
  return { ok: false, words: `any of the ${roots.length} roots of ${bundle}` };
}

function describe(facts: Facts, now: number, { colour }: Output): string {
  switch (facts.kind) {
    case 'certificate': {
      const { name, authority, issuer, serial, notBefore, notAfter, usages, key, fingerprint, publicKey, names } =
        facts;
      const isValid = now >= notBefore && now < notAfter;
      const state = isValid
        ? `${formatDuration(Math.ceil((notAfter - now) / 60_000) * 60_000)} left`
        : paint(now < notBefore ? 'not valid yet' : 'expired', 'red', colour);
      return block(`certificate of ${name}${authority ? ' (an authority)' : ''}`, [
        ['valid', `${iso(notBefore)} to ${iso(notAfter)} (${state})`],
        ['issued by', issuer],
        ['serial', serial],
        ['names', names || 'none'],
        ['key', `${key}, public key SHA-256 ${publicKey}`],
        ...(usages.length > 0 ? [['for', usages.join(' and ')] as const] : []),
        ['SHA-256', fingerprint],
      ]);
    }
    case 'request':
      return block('certificate request, genuinely signed', [
        ['key', `${facts.key}, public key SHA-256 ${facts.publicKey}`],
      ]);
    case 'key':
      return facts.encrypted
        ? block('private key, encrypted', [])
        : block('private key', [['key', `${facts.key}, public key SHA-256 ${facts.publicKey}`]]);
    case 'broken':
      return block(paint(`${facts.label}: broken`, 'red', colour), [['why', facts.why]]);
  }
}

function block(title: string, lines: readonly (readonly [string, string])[]): string {
  return `${title}\n${lines.map(([name, value]) => `  ${name.padEnd(9)}  ${value}\n`).join('')}`;
}

function iso(moment: number): string {
  return new Date(moment).toISOString().replace('.000Z', 'Z');
}
