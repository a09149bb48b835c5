/** `meshproxy ca status`: what an authority has, how long it lasts, and what is to be done. */
import type { Command } from 'commander';
import { formatDuration } from '../../core/units.js';
import type { LivingLeaf } from '../../pki/rotation.js';
import type { Member } from '../../pki/state.js';
import type { CaStore } from '../../pki/store.js';
import { inWords } from '../announce.js';
import { type Cell, formatTable, paint, standardOutput } from '../table.js';
import { type FolderOptions, openFolder, withFolder } from './folder.js';

const DAY_MS = 86_400_000;
/** A root is in files on every host: replacing it takes people weeks. */
const ROOT_WARNING_MS = 365 * DAY_MS;
/** Two months, for holidays. */
const ISSUER_WARNING_MS = 60 * DAY_MS;

interface MemberStatus {
  readonly kind: 'root' | 'issuer';
  readonly id: string;
  readonly role: Member['role'];
  readonly notAfter: number;
  readonly fingerprint: string;
  readonly key: 'here' | 'not here';
  readonly livingLeaves?: number;
}

export function register(ca: Command): void {
  withFolder(ca.command('status'))
    .summary('what the authority has, and what is to be done')
    .description(
      'Shows the roots and issuers of an authority, how long they last, what lives by them and what is revoked.',
    )
    .option('--json', 'print it as JSON')
    .action(async (options: FolderOptions & { readonly json?: boolean }) => {
      const store = await openFolder(options);
      const now = Date.now();
      const state = await store.readState();
      const { livingLeaves } = await import('../../pki/rotate.js');
      const { nextStep } = await import('../../pki/rotation.js');
      const leaves = await livingLeaves(store, now);
      const members = [
        ...(await Promise.all(state.roots.map((member) => statusOf(store, 'root', member)))),
        ...(await Promise.all(state.issuers.map((member) => statusOf(store, 'issuer', member, leaves)))),
      ];
      const revoked = await store.readRevoked();
      const underWay = (['root', 'issuer'] as const)
        .map((kind) => ({ kind, step: nextStep(state, kind) }))
        .filter(({ step }) => step !== 'prepare');
      const warnings = members.flatMap((member) => warningsOf(member, now));
      const output = standardOutput();
      if (options.json === true) {
        const facts = { trustDomain: state.trustDomain, members, rotation: underWay, revoked, warnings };
        return void output.write(`${JSON.stringify(facts, undefined, 2)}\n`);
      }
      const columns = ['', 'id', 'role', 'expires in', 'key', 'living', 'SHA-256'].map((name) => ({
        name,
        shrinks: name === 'SHA-256',
      }));
      output.write(
        `The authority of ${state.trustDomain} in ${store.directory}/\n\n` +
          formatTable(
            columns,
            members.map((member) => rowOf(member, now)),
            output,
          ) +
          `\n${inWords(leaves.length, 'certificate')} of workloads ${leaves.length === 1 ? 'lives' : 'live'}; revoked: ` +
          `${inWords(revoked.identities.length, 'identity', 'identities')}, ${inWords(revoked.serials.length, 'serial')}\n` +
          underWay
            .map(({ kind, step }) => `the ${kind} is being rotated; next step: ${step} (meshproxy ca rotate ${kind})\n`)
            .join('') +
          warnings.map((warning) => `${paint('warning', 'yellow', output.colour)}: ${warning}\n`).join(''),
      );
    });
}

async function statusOf(
  store: CaStore,
  kind: 'root' | 'issuer',
  { id, role }: Member,
  leaves?: readonly LivingLeaf[],
): Promise<MemberStatus> {
  const certificate = await store.readCertificate(`${kind}-${id}`);
  return {
    kind,
    id,
    role,
    notAfter: Date.parse(certificate.validTo),
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    key: (await store.has(`${kind}-${id}.key`)) ? 'here' : 'not here',
    ...(leaves && { livingLeaves: leaves.filter(({ issuer }) => issuer === id).length }),
  };
}

function warningsOf({ kind, id, role, notAfter, key }: MemberStatus, now: number): string[] {
  if (role === 'retired' || role === 'old') return [];
  const leftMs = notAfter - now;
  const warnings: string[] = [];
  if (leftMs < (kind === 'root' ? ROOT_WARNING_MS : ISSUER_WARNING_MS)) {
    warnings.push(
      `${kind} ${id} ${leftMs > 0 ? `expires in ${left(leftMs)}` : 'has expired'}: meshproxy ca rotate ${kind}`,
    );
  }
  if (kind === 'issuer' && key !== 'here') warnings.push(`the key of issuer ${id} is not here: nothing can be issued`);
  return warnings;
}

function rowOf({ kind, id, role, notAfter, key, livingLeaves, fingerprint }: MemberStatus, now: number): Cell[] {
  const leftMs = notAfter - now;
  const expires: Cell = leftMs > 0 ? left(leftMs) : { text: 'expired', style: 'red' };
  return [kind, id, role, expires, key, livingLeaves === undefined ? '' : String(livingLeaves), fingerprint];
}

function left(ms: number): string {
  return ms > 2 * DAY_MS ? `${Math.floor(ms / DAY_MS)}d` : formatDuration(Math.ceil(ms / 60_000) * 60_000);
}
