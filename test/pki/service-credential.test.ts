import { describe, expect, it, onTestFinished } from 'vitest';
import { MeshproxyError } from '../../src/core/errors.js';
import type { Issued, Trust } from '../../src/pki/authority.js';
import { type Credential, ServiceCredential } from '../../src/pki/service-credential.js';
import { VirtualClock } from '../fakes/clock.js';

const HOUR = 3_600_000;

/** An authority that issues at once, or fails as long as it is told to. */
class FakeAuthority {
  readonly #clock: VirtualClock;
  readonly #listeners = new Set<(trust: Trust) => void>();
  readonly trustDomain = 'example.org';
  trust: Trust = {
    version: '1',
    bundle: '',
    revoked: { identities: [], serials: [], retiredRoots: [] },
    issuer: 'one',
  };
  failing = false;
  /** When it was asked, wall time. */
  readonly asked: number[] = [];

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  async issueOwn(_spki: Uint8Array, lifetimeMs: number): Promise<Issued> {
    const now = this.#clock.wall();
    this.asked.push(now);
    if (this.failing) throw new MeshproxyError('file', 'the disk is full');
    return { chain: 'chain', identity: 'ca', serial: '1', notBefore: now, notAfter: now + lifetimeMs };
  }

  onTrust(listener: (trust: Trust) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  change(trust: Partial<Trust>): void {
    this.trust = { ...this.trust, ...trust };
    for (const listener of this.#listeners) listener(this.trust);
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}

async function obtain() {
  const clock = new VirtualClock();
  const authority = new FakeAuthority(clock);
  const renewed: Credential[] = [];
  const failures: unknown[] = [];
  const credential = await ServiceCredential.obtain({
    authority,
    lifetimeMs: HOUR,
    clock,
    random: () => 0,
    renewed: (next) => renewed.push(next),
    failed: (error) => failures.push(error),
  });
  onTestFinished(() => credential.stop());
  return { clock, authority, credential, renewed, failures };
}

describe("the service's own certificate", () => {
  it('is renewed at two thirds of its life, again and again', async () => {
    const { clock, credential, renewed } = await obtain();
    const first = credential.current;
    await clock.advanceAsync((HOUR * 2) / 3 - 1);
    expect(renewed).toHaveLength(0);
    await clock.advanceAsync(1);
    expect(renewed).toEqual([credential.current]);
    expect(credential.current.notAfter).toBe(first.notAfter + (HOUR * 2) / 3);
    expect(credential.current.key).not.toBe(first.key);
    await clock.advanceAsync(10 * HOUR);
    expect(renewed.length).toBeGreaterThan(14);
  });

  it('is tried again, ever more seldom, while that fails, and the one before serves on', async () => {
    const { clock, authority, credential, renewed, failures } = await obtain();
    const first = credential.current;
    authority.failing = true;
    await clock.advanceAsync((HOUR * 2) / 3);
    expect(failures).toHaveLength(1);
    await clock.advanceAsync(10 * 60_000);
    // Half a second, one, two … and from then on half a minute.
    expect(failures.length).toBeGreaterThan(20);
    expect(failures.length).toBeLessThan(32);
    expect(credential.current).toBe(first);
    authority.failing = false;
    await clock.advanceAsync(60_000);
    expect(renewed).toEqual([credential.current]);
  });

  it('is renewed at once where another issuer signs, and not where something else has changed', async () => {
    const { clock, authority, renewed } = await obtain();
    authority.change({ version: '2' });
    await clock.advanceAsync(1);
    expect(renewed).toHaveLength(0);
    authority.change({ version: '3', issuer: 'two' });
    await clock.advanceAsync(1);
    expect(renewed).toHaveLength(1);
    authority.change({ version: '4' });
    await clock.advanceAsync(1);
    expect(renewed).toHaveLength(1);
  });

  it('is left alone once it is stopped', async () => {
    const { clock, authority, credential } = await obtain();
    credential.stop();
    await clock.advanceAsync(10 * HOUR);
    expect(authority.asked).toHaveLength(1);
    expect([clock.pending, authority.listeners]).toEqual([0, 0]);
  });
});
