import { mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { parseSpiffeId } from '../../src/core/identity.js';
import { Authority } from '../../src/pki/authority.js';
import { initAuthority, newKeys } from '../../src/pki/init.js';
import { revoke } from '../../src/pki/revoke.js';
import { rotate } from '../../src/pki/rotate.js';
import { afterStep, decideStep, type LivingLeaf, nextStep, type RotationKind } from '../../src/pki/rotation.js';
import { activeOf, type CaState, type IssuerMember, type Member } from '../../src/pki/state.js';
import { CaStore } from '../../src/pki/store.js';
import { spkiOf } from '../../src/pki/x509.js';
import { VirtualClock } from '../fakes/clock.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const YEAR_MS = 365 * DAY_MS;

/** A mesh whose leaves are issued, renewed and lost, and whose authority is rotated in any order that is allowed. */
class World {
  now = 1_000_000;
  state: CaState = {
    trustDomain: 'example.org',
    roots: [{ id: '00000001', role: 'active', since: 0 }],
    issuers: [{ id: '00000002', role: 'active', since: 0, root: '00000001' }],
  };
  /** With the roots that each owner got with it. */
  leaves: (LivingLeaf & { readonly known: ReadonlySet<string> })[] = [];
  #ids = 2;

  id(): string {
    this.#ids += 1;
    return this.#ids.toString(16).padStart(8, '0');
  }

  issue(lifetimeMs: number): void {
    const serial = this.id();
    this.leaves.push({
      identity: 'web',
      serial,
      at: this.now,
      notAfter: this.now + lifetimeMs,
      issuer: activeOf(this.state.issuers).id,
      known: new Set(this.state.roots.map(({ id }) => id)),
    });
  }

  living() {
    return this.leaves.filter(({ notAfter }) => notAfter > this.now);
  }

  step(kind: RotationKind): boolean {
    const decision = decideStep(this.state, kind, this.living());
    if (decision.kind !== 'clear') return false;
    const made: { root?: Member; issuer?: IssuerMember } = {};
    const { roots } = this.state;
    if (decision.step === 'prepare') {
      if (kind === 'root') made.root = { id: this.id(), role: 'next', since: this.now };
      else made.issuer = { id: this.id(), role: 'next', since: this.now, root: activeOf(roots).id };
    } else if (kind === 'root' && decision.step === 'activate') {
      const root = roots.find(({ role }) => role === 'next')?.id ?? '';
      made.issuer = { id: this.id(), role: 'active', since: this.now, root };
    }
    this.state = afterStep(this.state, kind, decision.step, made, this.now);
    return true;
  }

  /** The root that a leaf chains to, if the authority still lists its issuer. */
  rootOf({ issuer }: LivingLeaf): string | undefined {
    return this.state.issuers.find(({ id }) => id === issuer)?.root;
  }
}

describe('the rotation of an authority', () => {
  it('never leaves a living certificate whose root somebody does not know, in whatever order steps are done', () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constant('issue'), lifetimeMs: fc.integer({ min: 5 * MINUTE_MS, max: 3 * HOUR_MS }) }),
      fc.record({ kind: fc.constant('wait'), ms: fc.integer({ min: 1, max: HOUR_MS }) }),
      fc.record({ kind: fc.constantFrom('rotate root', 'rotate issuer') }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const world = new World();
        for (const one of actions) {
          if (one.kind === 'issue' && 'lifetimeMs' in one) world.issue(one.lifetimeMs);
          if (one.kind === 'wait' && 'ms' in one) world.now += one.ms;
          if (one.kind === 'rotate root') world.step('root');
          if (one.kind === 'rotate issuer') world.step('issuer');
          const { roots, issuers } = world.state;
          expect(roots.filter(({ role }) => role === 'active')).toHaveLength(1);
          expect(issuers.filter(({ role }) => role === 'active')).toHaveLength(1);
          const listed = new Set(roots.filter(({ role }) => role !== 'retired').map(({ id }) => id));
          for (const { root } of issuers) expect(listed.has(root)).toBe(true);
          const living = world.living();
          for (const leaf of living) {
            const root = world.rootOf(leaf) ?? 'gone';
            // Whoever lives is in the bundle of today, and in that which every other one has got.
            expect(listed.has(root)).toBe(true);
            for (const other of living) expect(other.known.has(root)).toBe(true);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it.each(['root', 'issuer'] as const)('of its %s comes to an end once what lived before has expired', (kind) => {
    const world = new World();
    world.issue(HOUR_MS);
    const before = activeOf(kind === 'root' ? world.state.roots : world.state.issuers).id;
    expect(world.step(kind)).toBe(true);
    for (let minutes = 0; minutes < 150 && nextStep(world.state, kind) !== 'prepare'; minutes += 1) {
      world.now += MINUTE_MS;
      if (minutes % 40 === 39) world.issue(HOUR_MS);
      world.step(kind);
    }
    const members: readonly Member[] = kind === 'root' ? world.state.roots : world.state.issuers;
    expect(activeOf(members).id).not.toBe(before);
    expect(members.filter(({ role }) => role !== 'retired')).toHaveLength(1);
  });

  it('names who stands against a step, and until when', () => {
    const world = new World();
    world.issue(HOUR_MS);
    world.now += 1;
    world.step('root');
    const [leaf] = world.leaves;
    expect(decideStep(world.state, 'root', world.living())).toEqual({
      kind: 'blocked',
      step: 'activate',
      why: expect.stringContaining('issued before the new root was in the bundle'),
      count: 1,
      leaves: [leaf],
      until: leaf?.notAfter,
    });
    expect(decideStep(world.state, 'issuer', [])).toMatchObject({ kind: 'impossible' });
    expect(decideStep(world.state, 'root', [], 'finish')).toMatchObject({
      why: expect.stringContaining('activate, not finish'),
    });
  });
});

describe('an authority that is rotated', () => {
  const parent = mkdtempSync(join(tmpdir(), 'meshproxy-rotation-'));
  afterAll(() => rmSync(parent, { recursive: true }));
  const WEB = parseSpiffeId('spiffe://example.org/ns/default/sa/web');

  async function world() {
    const clock = new VirtualClock();
    const directory = mkdtempSync(join(parent, 'ca-'));
    const store = new CaStore(directory, undefined);
    await initAuthority(store, 'example.org', clock.wall());
    const authority = await Authority.open({ store, clock });
    const issue = () =>
      authority.issue({ spki: spkiOf(newKeys().publicKey), identity: WEB, lifetimeMs: HOUR_MS, requester: 'a test' });
    const step = (kind: RotationKind, force = false) =>
      rotate(store, { kind, force, dryRun: false }, clock.wall()).finally(() => authority.look());
    return { clock, directory, store, authority, issue, step };
  }

  it('signs with a new issuer below a new root, after all have been able to learn of it, and forgets the old one', async () => {
    const { clock, directory, authority, issue, step } = await world();
    const { bundle, issuer } = authority.trust;
    await issue();
    clock.advance(1000);
    expect(await step('root')).toMatchObject({ done: true });
    expect(authority.trust).toMatchObject({ issuer, bundle: expect.stringMatching(/(BEGIN CERTIFICATE[\s\S]*){2}/) });
    expect(await step('root')).toMatchObject({ done: false, decision: { kind: 'blocked', count: 1 } });
    clock.advance(HOUR_MS);
    await issue();
    expect(await step('root')).toMatchObject({ done: true });
    expect(authority.trust.issuer).not.toBe(issuer);
    expect(await step('root')).toMatchObject({
      done: false,
      decision: { kind: 'blocked', why: 'chaining to the old root' },
    });
    clock.advance(HOUR_MS);
    expect(await step('root')).toMatchObject({ done: true });
    expect(authority.trust.bundle).not.toContain(bundle);
    expect(readdirSync(directory).filter((name) => /\.(crt|key)$/.test(name))).toHaveLength(5);
    expect(readdirSync(directory).filter((name) => name.endsWith('.key'))).toHaveLength(2);
    expect(authority.trust.revoked.retiredRoots).toHaveLength(1);
    await authority.close();
  });

  it('renews what a retired issuer has signed, though the key of that one is gone', async () => {
    const { clock, directory, authority, issue, step } = await world();
    const { X509Certificate } = await import('node:crypto');
    const leaf = new X509Certificate((await issue()).chain);
    const { issuer } = authority.trust;
    expect([await step('issuer'), await step('issuer')]).toMatchObject([{ done: true }, { done: true }]);
    clock.advance(HOUR_MS);
    expect(await step('issuer')).toMatchObject({ done: true });
    expect(readdirSync(directory)).not.toContain(`issuer-${issuer}.key`);
    expect(authority.recognize(leaf)).toMatchObject({ kind: 'ours' });
    await authority.close();
  });

  it('needs the key of the root to be brought back, and says where to', async () => {
    const { directory, authority, step } = await world();
    const [key = ''] = readdirSync(directory).filter((name) => /^root.*key$/.test(name));
    renameSync(join(directory, key), join(parent, key));
    await expect(step('issuer')).rejects.toThrow(`${join(directory, key)}: the key of the root is not here`);
    renameSync(join(parent, key), join(directory, key));
    await expect(step('issuer')).resolves.toMatchObject({ done: true });
    await authority.close();
  });

  it('is changed by one process after the other', async () => {
    const { store, clock, authority } = await world();
    const names = Array.from({ length: 12 }, (_, index) =>
      parseSpiffeId(`spiffe://example.org/ns/default/sa/w${index}`),
    );
    const options = { reason: 'a test', undo: false };
    await Promise.all(names.map((identity) => revoke(store, { kind: 'identity', identity }, options, clock.wall())));
    expect((await store.readRevoked()).identities).toHaveLength(names.length);
    await authority.close();
  });

  it('revokes a serial that it has given out, once, and takes it back', async () => {
    const { store, clock, authority, issue } = await world();
    const { serial } = await issue();
    const change = (undo: boolean, of = serial) =>
      revoke(store, { kind: 'serial', serial: of }, { reason: 'a test', undo }, clock.wall());
    expect(await change(false)).toEqual({ changed: true, hit: 1 });
    expect(await change(false)).toEqual({ changed: false, hit: 1 });
    expect(await change(true)).toEqual({ changed: true, hit: 1 });
    expect((await store.readRevoked()).serials).toEqual([]);
    await expect(change(false, 'abc')).rejects.toThrow('no certificate that lives has the serial abc');
    await authority.close();
  });

  it('makes no issuer that outlives its root, and none below a root that is about to end', async () => {
    const { clock, authority, store, step } = await world();
    clock.advance(10 * YEAR_MS - 90 * DAY_MS);
    expect(await step('issuer')).toMatchObject({ done: true });
    const { roots, issuers } = await store.readState();
    const root = await store.readCertificate(`root-${activeOf(roots).id}`);
    const issuer = await store.readCertificate(`issuer-${issuers.at(-1)?.id}`);
    expect(issuer.validTo).toBe(root.validTo);
    expect(await step('issuer')).toMatchObject({ done: true });
    expect(await step('issuer')).toMatchObject({ done: true });
    clock.advance(90 * DAY_MS);
    await expect(step('issuer')).rejects.toThrow(/the root ends at .*: too soon/);
    expect(await step('root')).toMatchObject({ done: true });
    await authority.close();
  });

  it('issues nothing by a clock that is behind its issuer', async () => {
    const { clock, authority, issue } = await world();
    const now = clock.wall();
    vi.spyOn(clock, 'wall').mockReturnValue(now - HOUR_MS);
    await expect(issue()).rejects.toThrow(/the issuing certificate is not valid before/);
    await authority.close();
  });
});
