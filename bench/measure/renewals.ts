/** When the workloads of an authority renew, by the schedule that they have, with the time simulated. Pure. */
export interface Hour {
  readonly renewals: number;
  /** Whom to trust. */
  readonly questions: number;
  /** Renewals of its busiest minute, as many times the mean of an hour in which everybody renews at its own time. */
  readonly peak: number;
}

export interface Life {
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Of a renewer, as `src/pki/renewer.ts` has it. */
export interface Schedule {
  renewalAt(leaf: Life, random: number): number;
  renewalUnderNewIssuer(leaf: Life, dueAt: number, now: number, random: number): number;
  waitFor(dueAt: number, now: number): number;
}

/** When this many hours are over a new issuer signs: everybody has come to renew at a time of its own by then. */
export const ROTATED_AT = 4;
const HOUR_MS = 3_600_000;
const START_MS = 60_000;
const BACKDATED_MS = 30_000;

/** What so many renewers ask, hour by hour, after they were all started within a minute. */
export function renewalsByHour(
  { renewalAt, renewalUnderNewIssuer, waitFor }: Schedule,
  leaves: number,
  hours: number,
): Hour[] {
  const random = seeded(42);
  const renewals = new Array<number>(hours * 60).fill(0);
  const questions = new Array<number>(hours).fill(0);
  const count = (counts: number[], index: number): void => {
    counts[index] = (counts[index] ?? 0) + 1;
  };
  const rotatedAt = ROTATED_AT * HOUR_MS;
  for (let leaf = 0; leaf < leaves; leaf += 1) {
    let now = random() * START_MS;
    let kept = lifeFrom(now);
    let due = renewalAt(kept, random());
    while (now < hours * HOUR_MS) {
      if (now >= due) {
        count(renewals, Math.floor(now / 60_000));
        kept = lifeFrom(now);
        due = renewalAt(kept, random());
        continue;
      }
      count(questions, Math.floor(now / HOUR_MS));
      const next = now + Math.max(1, waitFor(due, now));
      // Who waits for news gets it at once.
      const isTold = now < rotatedAt && next >= rotatedAt;
      now = isTold ? rotatedAt : next;
      if (isTold) due = renewalUnderNewIssuer(kept, due, now, random());
    }
  }
  const settled = renewals.slice((ROTATED_AT - 1) * 60, ROTATED_AT * 60);
  const mean = sum(settled) / settled.length;
  return questions.map((asked, hour) => {
    const minutes = renewals.slice(hour * 60, (hour + 1) * 60);
    return { renewals: sum(minutes), questions: asked, peak: Math.max(...minutes) / mean };
  });
}

function lifeFrom(now: number): Life {
  return { notBefore: now - BACKDATED_MS, notAfter: now + HOUR_MS };
}

function sum(counts: readonly number[]): number {
  return counts.reduce((all, count) => all + count, 0);
}

/** Mulberry32: the same every time. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
