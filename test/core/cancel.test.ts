import { describe, expect, it } from 'vitest';
import { Canceller } from '../../src/core/cancel.js';

describe('canceller', () => {
  it('tells each listener once, with the reason', () => {
    const canceller = new Canceller();
    const told: unknown[] = [];
    canceller.signal.addEventListener('abort', () => told.push(canceller.reason));
    canceller.signal.addEventListener('abort', () => told.push('second'));
    canceller.abort('late');
    canceller.abort('later');
    expect(told).toEqual(['late', 'second']);
    expect(canceller.aborted).toBe(true);
  });

  it('does not tell who has left, also when one listener removes another', () => {
    const canceller = new Canceller();
    const told: string[] = [];
    const left = () => told.push('left');
    canceller.addEventListener('abort', left);
    canceller.addEventListener('abort', () => told.push('stayed'));
    canceller.removeEventListener('abort', left);
    canceller.removeEventListener('abort', left);
    canceller.abort();
    canceller.addEventListener('abort', () => told.push('too late'));
    expect(told).toEqual(['stayed']);
  });
});
