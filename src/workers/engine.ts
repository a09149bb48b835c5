/** Which engine a proxy runs on, and with how many threads. */
import type { Config } from '../config/schema.js';
import { MeshproxyError } from '../core/errors.js';
import type { NativeSupport } from '../l4/native/support.js';

export interface Engine {
  readonly name: 'native' | 'streams';
  /** Data threads. With `streams` there is one, which is the main thread. */
  readonly workers: number;
  /** Why it is `streams`, where nobody asked for that. */
  readonly why?: string;
}

export interface EngineQuestions {
  nativeSupport(): NativeSupport;
  availableCores(): number;
}

/**
 * @param asked the engine and the number of workers as configured
 * @throws MeshproxyError `usage` where `native` was asked for by name and cannot run here
 */
export function chooseEngine(asked: Pick<Config, 'engine' | 'workers'>, ask: EngineQuestions): Engine {
  if (asked.engine === 'streams') return { name: 'streams', workers: 1 };
  const support = ask.nativeSupport();
  if (support.ok) return { name: 'native', workers: asked.workers ?? ask.availableCores() };
  if (asked.engine === 'auto') return { name: 'streams', workers: 1, why: support.reason };
  throw new MeshproxyError('usage', `the native engine cannot run here: ${support.reason}`, {
    hint: 'leave --engine out, or say --engine streams',
  });
}

/** Why a running proxy cannot take `next`, where it differs in what holds from the start on. */
export function fixedAtStart(before: Config, next: Config): string | undefined {
  const differing = (['engine', 'workers'] as const).filter((key) => before[key] !== next[key]);
  if (differing.length === 0) return undefined;
  const changes = differing.map((key) => `${key} (${next[key] ?? 'default'}, was ${before[key] ?? 'default'})`);
  return `${changes.join(' and ')} cannot be changed while it runs: restart it for that`;
}
