import { expect, it } from 'vitest';
import { Churn, WINDOW_MS } from '../../../src/l4/native/churn.js';

it('what ended long ago is no churn', () => {
  const churn = new Churn();
  expect(churn.recent(1000, 0)).toBe(0);
  expect(churn.recent(1007, WINDOW_MS - 1)).toBe(7);
  expect(churn.recent(1010, WINDOW_MS)).toBe(10);
  expect(churn.recent(1011, 2 * WINDOW_MS)).toBe(1);
  expect(churn.recent(1500, 4 * WINDOW_MS)).toBe(0);
});

it('what ended in the window before this one still counts', () => {
  const churn = new Churn();
  churn.recent(0, 0);
  churn.recent(5, WINDOW_MS);
  expect(churn.recent(6, WINDOW_MS + 1)).toBe(6);
  expect(churn.recent(6, 2 * WINDOW_MS)).toBe(1);
});
