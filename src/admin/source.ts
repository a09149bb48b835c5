/** What the admin listener is given: functions that answer for a running proxy. It reaches for nothing else. */
import type { Telemetry } from '../telemetry/telemetry.js';

/** Whether new connections are welcome; in words for people where they are not. */
export type Readiness =
  | { readonly kind: 'ready' }
  /** `reason`: what is still being waited for. */
  | { readonly kind: 'starting'; readonly reason: string }
  | { readonly kind: 'draining'; readonly reason: string };

export interface AdminSource {
  readonly telemetry: Telemetry;
  readiness(): Readiness;
  /** The configuration in force, as it was parsed; what looks like a secret is hidden before it is shown. */
  config(): unknown;
  /** Begins to drain and returns at once; called again, it does nothing. */
  drain(): void;
}
