/** What a person most likely meant who wrote something that there is not. */
import { distance } from 'fastest-levenshtein';

/** Longer than any key or name of ours: comparing is quadratic in the length. */
const MAX_COMPARED = 64;

/** The one of `candidates` that a person who wrote `word` most likely meant. Case, `-` and `_` do not count. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > MAX_COMPARED) return undefined;
  const plain = (text: string): string => text.toLowerCase().replace(/[-_]/g, '');
  let best: string | undefined;
  const length = plain(word).length;
  // Two letters swapped are two slips; past one in three, or where nothing is left of the word, a guess is no help.
  let limit = Math.min(Math.max(2, Math.floor(length / 3)), length - 1) + 1;
  for (const candidate of candidates) {
    const steps = candidate.length > MAX_COMPARED ? limit : distance(plain(word), plain(candidate));
    if (steps < limit) {
      best = candidate;
      limit = steps;
    }
  }
  return best;
}
