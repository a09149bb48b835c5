/** What rounds come to. */

/** The middle value, or the mean of the two; `undefined` of none. */
export function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  return upper === undefined || lower === undefined ? undefined : (upper + lower) / 2;
}

/** Half the way from the least to the greatest value, as a share of the median: the ± of a table. `undefined` of fewer than two. */
export function spread(values: readonly number[]): number | undefined {
  const middle = median(values);
  if (values.length < 2 || middle === undefined || middle === 0) return undefined;
  return (Math.max(...values) - Math.min(...values)) / 2 / Math.abs(middle);
}

/** The values of one metric by round; a round in which it could not be measured has none. */
export type ByRound = ReadonlyMap<number, number>;

/**
 * The median of what one is to the other round by round. Both were measured within seconds of each other there, so
 * that a slow minute of the machine falls on both; the ratio of the medians would not have that.
 */
export function medianRatio(values: ByRound, to: ByRound): number | undefined {
  const ratios: number[] = [];
  for (const [round, value] of values) {
    const other = to.get(round);
    if (other !== undefined && other !== 0) ratios.push(value / other);
  }
  return median(ratios);
}
