/** What a signal to stop means, given those before it. Pure; `supervise.ts` acts on it. */

export interface StopSignal {
  readonly signal: NodeJS.Signals;
  /** Monotonic, ms. */
  readonly at: number;
}

/**
 * npm passes Ctrl-C on to its child, which has had it from the terminal already: the second arrives within
 * milliseconds. A person's second Ctrl-C is slower than this.
 */
const NPM_ECHO_MS = 500;

/**
 * timeout(1), and whoever else signals a program and then its group, sends the same twice in one go. Nobody who has
 * seen the drain begin is this fast.
 */
const GROUP_ECHO_MS = 20;

/** `drain`: the first. `force`: another, from somebody who will not wait. `ignore`: the echo of the first. */
export function judgeSignal(
  first: StopSignal | undefined,
  next: StopSignal,
  underNpm: boolean,
): 'drain' | 'force' | 'ignore' {
  if (first === undefined) return 'drain';
  const echoMs = underNpm ? NPM_ECHO_MS : GROUP_ECHO_MS;
  const isEcho = next.signal === first.signal && next.at - first.at < echoMs;
  return isEcho ? 'ignore' : 'force';
}
