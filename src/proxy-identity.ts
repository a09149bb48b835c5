/** Who the proxy is to others: by files that an operator keeps, or by files that it keeps itself with the authority's help. */

import type { Config } from './config/schema.js';
import type { Clock } from './core/clock.js';
import { FollowedIdentity } from './followed-identity.js';
import { type Identity, NOBODY } from './pki/identity-files.js';
import type { Renewer } from './pki/renewer.js';
import type { IdentityStatus } from './telemetry/status.js';

export interface ProxyIdentityOptions {
  readonly clock: Clock;
  /** Another version is in force for new handshakes. */
  onChange(identity: Identity): void;
  say(level: 'info' | 'warn' | 'error', message: string): void;
}

export interface PreparedIdentity {
  readonly identity: Identity;
  /** Resolves when its files are followed. */
  commit(): Promise<void>;
  discard(): void;
}

/** What one configuration says of it. */
interface Source {
  /** The configuration, to be compared. */
  readonly text: string;
  readonly followed: FollowedIdentity;
  readonly renewer: Renewer | undefined;
}

export class ProxyIdentity {
  readonly #options: ProxyIdentityOptions;
  #source: Source | undefined;
  #versions = 0;

  constructor(options: ProxyIdentityOptions) {
    this.#options = options;
  }

  get status(): IdentityStatus | undefined {
    const { followed, renewer } = this.#source ?? {};
    const status = followed?.status;
    return status && { ...status, ...(renewer && { renewer: renewer.status }) };
  }

  /** The one there is where the configuration says the same, or another, or none. Rejects where it cannot be used. */
  async prepare(config: Config['identity']): Promise<PreparedIdentity> {
    const text = JSON.stringify(config);
    const before = this.#source;
    const source = before?.text === text ? before : await this.#open(text, config);
    const identity = source?.followed.identity ?? NOBODY;
    return {
      identity,
      commit: async () => {
        if (source === before) {
          // Files that have changed since it was prepared: the older one, which it brought, must not stay in force.
          const current = source?.followed.identity ?? NOBODY;
          if (current !== identity) this.#options.onChange(current);
          return;
        }
        this.stop();
        this.#source = source;
        await source?.followed.follow();
      },
      discard: () => {
        if (source !== before) stopSource(source);
      },
    };
  }

  /** Idempotent. */
  stop(): void {
    stopSource(this.#source);
  }

  async #open(text: string, { ca, ...files }: Config['identity']): Promise<Source | undefined> {
    const { certificate, bundle } = files;
    if (ca === undefined && certificate === undefined && bundle === undefined) return undefined;
    const { clock, onChange, say } = this.#options;
    const nextVersion = (): number => {
      this.#versions += 1;
      return this.#versions;
    };
    const options = { clock, onChange, say, nextVersion };
    if (ca === undefined)
      return { text, followed: await FollowedIdentity.load({ ...options, files }), renewer: undefined };
    // What speaks to an authority costs 60 ms to load: only who has one pays that.
    const { openRenewer, identityFilesIn } = await import('./pki/open-renewer.js');
    const renewer = openRenewer({ ...ca, clock, say });
    try {
      await renewer.start(ca.joinTimeout);
      const kept = identityFilesIn(ca.directory);
      return { text, followed: await FollowedIdentity.load({ ...options, files: kept }), renewer };
    } catch (error) {
      renewer.stop();
      throw error;
    }
  }
}

function stopSource(source: Source | undefined): void {
  source?.followed.stop();
  source?.renewer?.stop();
}
