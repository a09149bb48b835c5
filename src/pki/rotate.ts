/** Carries out a step of a rotation in an authority's folder. */
import { MeshproxyError } from '../core/errors.js';
import { isAuthorityIdentity, parseSpiffeId } from '../core/identity.js';
import { type NewMember, newIssuer, newRoot } from './init.js';
import { IssuanceLog } from './issuance-log.js';
import {
  afterStep,
  decideStep,
  type LivingLeaf,
  leavingIssuers,
  type RotationKind,
  type RotationStep,
  type StepDecision,
} from './rotation.js';
import { activeOf, type CaState, type Member } from './state.js';
import type { CaStore } from './store.js';

export interface RotateOptions {
  readonly kind: RotationKind;
  /** That one or none; the next where none is named. */
  readonly step?: RotationStep | undefined;
  /** Also where it hurts somebody. */
  readonly force: boolean;
  /** Only decide. */
  readonly dryRun: boolean;
}

export interface Rotated {
  readonly decision: StepDecision;
  /** Whether it was done. */
  readonly done: boolean;
  readonly state: CaState;
}

/** @param now milliseconds since 1970 */
export function rotate(store: CaStore, { kind, step, force, dryRun }: RotateOptions, now: number): Promise<Rotated> {
  return store.alone(async () => {
    const state = await store.readState();
    const decision = decideStep(state, kind, await livingLeaves(store, now), step);
    const refused = decision.kind === 'impossible' || (decision.kind === 'blocked' && !force);
    if (refused || dryRun) return { decision, done: false, state };
    return { decision, done: true, state: await carryOut(store, state, kind, decision, now) };
  });
}

/** Of the workloads; the certificates of the authority's own service are none of theirs. */
export async function livingLeaves(store: CaStore, now: number): Promise<LivingLeaf[]> {
  const leaves: LivingLeaf[] = [];
  for await (const entry of new IssuanceLog(store.directory).living(now)) {
    if (!isOwn(entry.identity)) leaves.push(entry);
  }
  return leaves;
}

async function carryOut(
  store: CaStore,
  state: CaState,
  kind: RotationKind,
  decision: StepDecision & { readonly step: RotationStep },
  now: number,
): Promise<CaState> {
  const { step } = decision;
  const made = await make(store, state, kind, step, now);
  const next = afterStep(state, kind, step, made, now, decision.kind === 'blocked');
  await store.commit(next, 'replace');
  if (step === 'finish') await removeKeys(store, state, next, kind);
  return next;
}

/** What a step needs that is not there yet. It is not in force before it is listed in `ca.json`. */
async function make(store: CaStore, state: CaState, kind: RotationKind, step: RotationStep, now: number) {
  const { trustDomain } = state;
  if (kind === 'root' && step === 'prepare') {
    // Where keys are encrypted, this one has to be as well: without the passphrase, or with a wrong one, this throws.
    await store.readKey(`issuer-${activeOf(state.issuers).id}`);
    const root = newRoot(trustDomain, now);
    await add(store, 'root', root);
    return { root: { id: root.id, role: 'next', since: now } } as const;
  }
  if (step === 'prepare') {
    const issuer = await issuerBelow(store, activeOf(state.roots), trustDomain, now);
    return { issuer: { ...issuer, role: 'next', since: now } } as const;
  }
  const root = state.roots.find(({ role }) => role === 'next');
  if (kind === 'issuer' || step === 'finish' || root === undefined) return {};
  const issuer = await issuerBelow(store, root, trustDomain, now);
  return { issuer: { ...issuer, role: 'active', since: now } } as const;
}

async function issuerBelow(store: CaStore, { id: root }: Member, trustDomain: string, now: number) {
  const key = await store.readKey(`root-${root}`);
  if (key === undefined) {
    throw new MeshproxyError('file', `${store.path(`root-${root}.key`)}: the key of the root is not here`, {
      hint: 'bring it back from where it is kept for this step, and take it away again afterwards',
    });
  }
  const issuer = newIssuer(trustDomain, await store.readCertificate(`root-${root}`), key, now);
  await add(store, 'issuer', issuer);
  return { id: issuer.id, root };
}

function add(store: CaStore, kind: RotationKind, { id, certificate, keys }: NewMember): Promise<void> {
  return store.addMember(`${kind}-${id}`, String(certificate), keys.privateKey);
}

/** Keys that sign no more are worth something to thieves alone. */
async function removeKeys(store: CaStore, before: CaState, after: CaState, kind: RotationKind): Promise<void> {
  const issuers = leavingIssuers(before.issuers, before.roots, kind).map(({ id }) => `issuer-${id}`);
  const signing = new Set(after.roots.filter(({ role }) => role !== 'retired').map(({ id }) => id));
  const roots = before.roots.filter(({ id }) => !signing.has(id)).map(({ id }) => `root-${id}`);
  const kept = new Set([
    ...after.issuers.map(({ id }) => `issuer-${id}`),
    ...after.roots.map(({ id }) => `root-${id}`),
  ]);
  const gone = [...issuers, ...roots].flatMap((name) => [`${name}.key`, ...(kept.has(name) ? [] : [`${name}.crt`])]);
  await store.removeFiles(gone);
}

function isOwn(identity: string): boolean {
  try {
    return isAuthorityIdentity(parseSpiffeId(identity));
  } catch {
    return false;
  }
}
