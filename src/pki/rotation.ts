/**
 * How an authority replaces its issuer or its root, decided purely. Always in three steps, so that at no moment somebody
 * is shown a certificate whose root is not known to him: the new one is made known (`prepare`), it takes over
 * (`activate`), and the old one goes when nothing lives that needs it (`finish`).
 */
import type { CaState, IssuerMember, Member } from './state.js';

export type RotationKind = 'issuer' | 'root';
export type RotationStep = 'prepare' | 'activate' | 'finish';

/** A certificate that lives, as the issuance log has it. The authority's own are left out: it reads the folder itself. */
export interface LivingLeaf {
  readonly identity: string;
  readonly serial: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly notAfter: number;
  /** Id of the issuer. */
  readonly issuer: string;
}

export type StepDecision =
  /** Nothing stands against it. */
  | { readonly kind: 'clear'; readonly step: RotationStep }
  /** `leaves` would be hurt, or may be: the first of them, at most some hundred, of `count`. */
  | {
      readonly kind: 'blocked';
      readonly step: RotationStep;
      readonly why: string;
      readonly count: number;
      readonly leaves: readonly LivingLeaf[];
      /** When the last of them has expired, ms since 1970. */
      readonly until: number;
    }
  /** It makes no sense now. */
  | { readonly kind: 'impossible'; readonly why: string };

/** How many are named. */
const MOST_NAMED = 100;

/** Which step comes next. */
export function nextStep({ roots, issuers }: CaState, kind: RotationKind): RotationStep {
  // An issuer that goes with its root is part of the root's rotation.
  const leaving = new Set(roots.filter(({ role }) => role === 'old').map(({ id }) => id));
  const members: readonly Member[] = kind === 'root' ? roots : issuers.filter(({ root }) => !leaving.has(root));
  if (members.some(({ role }) => role === 'next')) return 'activate';
  return members.some(({ role }) => role === 'old') ? 'finish' : 'prepare';
}

/** Whether `step` may be done, or the next one where none is named. */
export function decideStep(
  state: CaState,
  kind: RotationKind,
  leaves: Iterable<LivingLeaf>,
  wanted?: RotationStep,
): StepDecision {
  const step = nextStep(state, kind);
  if (wanted !== undefined && wanted !== step) {
    return { kind: 'impossible', why: `the next step of this ${kind}'s rotation is ${step}, not ${wanted}` };
  }
  const other = kind === 'root' ? 'issuer' : 'root';
  if (step === 'prepare' && nextStep(state, other) !== 'prepare') {
    return { kind: 'impossible', why: `the ${other} is being rotated: finish that first` };
  }
  const needed = needOf(state, kind, step);
  if (needed === undefined) return { kind: 'clear', step };
  return gather(step, needed.why, [...leaves].filter(needed.hurts));
}

/** Those who would be hurt by a step, and how. */
function needOf(
  { roots, issuers }: CaState,
  kind: RotationKind,
  step: RotationStep,
): { why: string; hurts(leaf: LivingLeaf): boolean } | undefined {
  if (step === 'prepare') return undefined;
  if (step === 'activate') {
    // An issuer travels with the certificates that it signs; a root must have come before.
    if (kind === 'issuer') return undefined;
    const publishedAt = roots.find(({ role }) => role === 'next')?.since ?? 0;
    return {
      why: 'issued before the new root was in the bundle: their owners may not know it yet',
      // In the same millisecond, it cannot be told which was first.
      hurts: ({ at }) => at <= publishedAt,
    };
  }
  const leaving = new Set(leavingIssuers(issuers, roots, kind).map(({ id }) => id));
  return { why: `chaining to the old ${kind}`, hurts: ({ issuer }) => leaving.has(issuer) };
}

/** The issuers that `finish` puts out of force. */
export function leavingIssuers(
  issuers: readonly IssuerMember[],
  roots: readonly Member[],
  kind: RotationKind,
): IssuerMember[] {
  const old = new Set(roots.filter(({ role }) => role === 'old').map(({ id }) => id));
  if (kind === 'issuer') return issuers.filter(({ role, root }) => role === 'old' && !old.has(root));
  return issuers.filter(({ root }) => old.has(root));
}

function gather(step: RotationStep, why: string, leaves: readonly LivingLeaf[]): StepDecision {
  if (leaves.length === 0) return { kind: 'clear', step };
  const until = leaves.reduce((latest, { notAfter }) => Math.max(latest, notAfter), 0);
  return { kind: 'blocked', step, why, count: leaves.length, leaves: leaves.slice(0, MOST_NAMED), until };
}

/** An expired certificate of a retired issuer can be renewed for so long; the service's grace period is shorter. */
const RETIRED_MS = 30 * 86_400_000;

/** What is in force after a step. @param made the new one, of `prepare`; the new issuer below the new root, of `activate` for a root; `isForced`: though something stood against it */
export function afterStep(
  state: CaState,
  kind: RotationKind,
  step: RotationStep,
  made: { readonly root?: Member; readonly issuer?: IssuerMember },
  now: number,
  isForced = false,
): CaState {
  const { trustDomain } = state;
  switch (step) {
    case 'prepare':
      return {
        trustDomain,
        roots: made.root === undefined ? state.roots : [...state.roots, made.root],
        issuers: made.issuer === undefined ? state.issuers : [...state.issuers, made.issuer],
      };
    case 'activate': {
      const roots = kind === 'root' ? state.roots.map((member) => promoted(member, now)) : state.roots;
      const issuers = state.issuers.map((member) => promoted(member, now));
      return { trustDomain, roots, issuers: made.issuer === undefined ? issuers : [...issuers, made.issuer] };
    }
    case 'finish': {
      const leaving = new Set(leavingIssuers(state.issuers, state.roots, kind).map(({ id }) => id));
      if (kind === 'root') {
        return {
          trustDomain,
          // Where something lives that leads to it, it leaves because it is trusted no more, and is not retired in honour.
          roots: isForced
            ? state.roots.filter(({ role }) => role !== 'old')
            : state.roots.map(
                (member): Member => (member.role === 'old' ? { ...member, role: 'retired', since: now } : member),
              ),
          issuers: state.issuers.filter(({ id }) => !leaving.has(id)),
        };
      }
      const issuers = state.issuers
        .filter(({ role, since }) => role !== 'retired' || now - since < RETIRED_MS)
        .map((member): IssuerMember => (leaving.has(member.id) ? { ...member, role: 'retired', since: now } : member));
      return { trustDomain, roots: state.roots, issuers };
    }
  }
}

function promoted<M extends Member>(member: M, now: number): M {
  if (member.role === 'next') return { ...member, role: 'active', since: now };
  return member.role === 'active' ? { ...member, role: 'old', since: now } : member;
}
