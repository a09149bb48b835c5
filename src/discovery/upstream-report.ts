/** What there is to say of how an upstream fares: each thing once, not with every attempt. */
import type { MeshproxyError } from '../core/errors.js';
import type { DiscoverySnapshot } from './source.js';

export type UpstreamNews =
  /** It cannot be told what it has now; its last answer stays in force. */
  | { readonly kind: 'failing'; readonly error: MeshproxyError }
  | { readonly kind: 'recovered' }
  /** It has no endpoints, and that is an answer. */
  | { readonly kind: 'empty'; readonly why: string }
  | { readonly kind: 'filled'; readonly endpoints: number };

export class UpstreamReport {
  /** Why it cannot be told what it has now. */
  error: MeshproxyError | undefined;
  /** Why it has no endpoints. */
  empty: string | undefined;
  #endpoints = 0;
  /** The reasons that were told since it last answered: they may alternate for hours. */
  readonly #toldErrors = new Set<string>();
  #toldEmpty = false;

  take(snapshot: DiscoverySnapshot): void {
    switch (snapshot.kind) {
      case 'failed':
        this.error = snapshot.error;
        break;
      case 'unchanged':
        this.error = undefined;
        break;
      case 'endpoints':
        this.error = snapshot.incomplete;
        this.#endpoints = snapshot.endpoints.length;
        this.empty = this.#endpoints > 0 ? undefined : (snapshot.why ?? 'its source names none');
    }
  }

  /** What is new since the last call. */
  *news(): Generator<UpstreamNews> {
    if (this.error === undefined) {
      if (this.#toldErrors.size > 0) yield { kind: 'recovered' };
      this.#toldErrors.clear();
    } else if (!this.#toldErrors.has(this.error.message)) {
      this.#toldErrors.add(this.error.message);
      yield { kind: 'failing', error: this.error };
    }
    if (this.empty !== undefined && !this.#toldEmpty) yield { kind: 'empty', why: this.empty };
    if (this.empty === undefined && this.#toldEmpty) yield { kind: 'filled', endpoints: this.#endpoints };
    this.#toldEmpty = this.empty !== undefined;
  }
}
