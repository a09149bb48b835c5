import { expect, it } from 'vitest';
import { ROTATED_AT, renewalsByHour } from '../../bench/measure/renewals.js';
import { renewalAt, renewalUnderNewIssuer, waitFor } from '../../src/pki/renewer.js';

const LEAVES = 1000;

it('finds that workloads which were started together spread out, and again after a new issuer', () => {
  const hours = renewalsByHour({ renewalAt, renewalUnderNewIssuer, waitFor }, LEAVES, 8);
  // Each at two thirds of an hour: three in two hours.
  for (const { renewals } of hours.slice(1, ROTATED_AT)) {
    expect(renewals).toBeGreaterThan(LEAVES);
    expect(renewals).toBeLessThan(2 * LEAVES);
  }
  const [first, settled] = [hours[0]?.peak ?? 0, hours[ROTATED_AT - 1]?.peak ?? 0];
  const rotated = hours[ROTATED_AT]?.peak ?? 0;
  expect(settled).toBeLessThan(first);
  // Within five minutes, of 40.
  expect(rotated).toBeGreaterThan(5);
  expect(rotated).toBeLessThan(12);
});
