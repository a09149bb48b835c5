import { describe, expect, it } from 'vitest';
import { LineBatch } from '../../src/workers/line-batch.js';
import { VirtualClock } from '../fakes/clock.js';

function batch() {
  const clock = new VirtualClock();
  const sent: { readonly lines: readonly string[]; readonly dropped: number }[] = [];
  return { clock, sent, lines: new LineBatch(clock, (lines, dropped) => sent.push({ lines, dropped })) };
}

describe('lines on their way to main', () => {
  it('go together, a moment after the first of them', async () => {
    const { clock, sent, lines } = batch();
    lines.add('a\n');
    lines.add('b\n');
    expect(sent).toEqual([]);
    await clock.advance(20);
    expect(sent).toEqual([{ lines: ['a\n', 'b\n'], dropped: 0 }]);
    await clock.advance(1000);
    expect(sent).toHaveLength(1);
  });

  it('go at once where they are many', () => {
    const { sent, lines } = batch();
    for (let i = 0; i < 1000; i += 1) lines.add('x\n');
    expect(sent.map((message) => message.lines.length)).toEqual([500, 500]);
  });

  it('are dropped and counted while main takes none, and the count is told when it does', async () => {
    const { clock, sent, lines } = batch();
    for (let i = 0; i < 10_007; i += 1) lines.add('x\n');
    await clock.advance(20);
    expect(sent.flatMap((message) => message.lines)).toHaveLength(10_000);
    expect(sent.every(({ dropped }) => dropped === 0)).toBe(true);
    lines.taken(500);
    expect(sent.at(-1)).toEqual({ lines: [], dropped: 7 });
    lines.add('y\n');
    lines.flush();
    expect(sent.at(-1)).toEqual({ lines: ['y\n'], dropped: 0 });
  });
});
