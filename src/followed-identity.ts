/** The identity that files hold, followed while they change: whatever cannot be used is refused, and what was there serves on. */
import { randomBytes } from 'node:crypto';
import type { Clock, Timer } from './core/clock.js';
import { describeError } from './core/errors.js';
import { formatDuration } from './core/units.js';
import { type FileWatch, watchFile } from './core/watch-file.js';
import {
  type Identity,
  type IdentityFiles,
  type LoadedIdentity,
  loadIdentity,
  TICKET_KEY_BYTES,
} from './pki/identity-files.js';
import type { IdentityStatus } from './telemetry/status.js';

/** Certificate and key are two files, and one is written before the other: so long they may not fit together, ms. */
const RETRY_MS = 1000;
/** With so much of its life left, a certificate that is renewed as it should be has been. */
const ALARM_SHARE = 1 / 4;
/** What a timer of Node's can wait, ms. */
const LONGEST_WAIT_MS = 2 ** 31 - 1;

export interface FollowedIdentityOptions {
  readonly files: IdentityFiles;
  readonly clock: Clock;
  /** The version of the next one. */
  nextVersion(): number;
  onChange(identity: Identity): void;
  say(level: 'info' | 'warn' | 'error', message: string): void;
}

export class FollowedIdentity {
  readonly #options: FollowedIdentityOptions;
  #loaded: LoadedIdentity;
  #identity: Identity;
  #watches: FileWatch[] = [];
  #retry: Timer | undefined;
  #alarm: Timer | undefined;
  #refused: string | undefined;
  #stopped = false;
  #turn: Promise<void> = Promise.resolve();

  /** Rejects where the files cannot be used. Follows nothing yet. */
  static async load(options: FollowedIdentityOptions): Promise<FollowedIdentity> {
    return new FollowedIdentity(options, await loadIdentity(options.files));
  }

  private constructor(options: FollowedIdentityOptions, loaded: LoadedIdentity) {
    this.#options = options;
    this.#loaded = loaded;
    this.#identity = this.#make(loaded);
  }

  get identity(): Identity {
    return this.#identity;
  }

  get files(): IdentityFiles {
    return this.#options.files;
  }

  get status(): IdentityStatus | undefined {
    const { name, notAfter } = this.#loaded;
    if (name === undefined || notAfter === undefined) return undefined;
    return { version: this.#identity.version, name, notAfter, ...(this.#refused && { refused: this.#refused }) };
  }

  /** Takes notice of changes from now on. */
  async follow(): Promise<void> {
    for (const warning of this.#loaded.warnings) this.#options.say('warn', warning);
    this.#watchExpiry();
    const paths = new Set(Object.values(this.#options.files).filter((path) => path !== undefined));
    this.#watches = await Promise.all(
      [...paths].map((path) => watchFile(path, () => void this.#reloadInTurn(true), { clock: this.#options.clock })),
    );
    if (this.#stopped) return this.stop();
    // What was written between loading and watching: a renewer is at work already, and revocations must not wait.
    await this.#reloadInTurn(true);
  }

  /** Idempotent. */
  stop(): void {
    this.#stopped = true;
    for (const watch of this.#watches.splice(0)) watch.close();
    this.#retry?.cancel();
    this.#alarm?.cancel();
  }

  /** Of two at once, the one that has read the older files might be done last. */
  #reloadInTurn(mayRetry: boolean): Promise<void> {
    this.#turn = this.#turn.then(() => this.#reload(mayRetry));
    return this.#turn;
  }

  async #reload(mayRetry: boolean): Promise<void> {
    this.#retry?.cancel();
    const { files, clock, say } = this.#options;
    const { bundle, revoked } = files;
    // Each by itself: a broken list of what is revoked must not keep a renewed certificate out, nor the other way round.
    const [own, trust] = await Promise.allSettled([this.#loadOwn(files), loadIdentity({ bundle, revoked })]);
    if (this.#stopped) return;
    const { roots, revoked: list } = trust.status === 'fulfilled' ? trust.value : this.#loaded;
    this.#take({ ...(own.status === 'fulfilled' ? own.value : this.#loaded), roots, revoked: list });
    const problems = [own, trust].flatMap((part) => (part.status === 'rejected' ? [describeError(part.reason)] : []));
    this.#refused = undefined;
    if (problems.length === 0) return;
    if (mayRetry) {
      this.#retry = clock.after(RETRY_MS, () => void this.#reloadInTurn(false));
      return;
    }
    this.#refused = problems.join('; ');
    say('error', `${this.#refused}; what was there before stays in force`);
  }

  /** Puts in force what is new of it. */
  #take(loaded: LoadedIdentity): void {
    const { onChange, say } = this.#options;
    const sameTrust = loaded.roots === this.#loaded.roots && sameRevoked(loaded, this.#loaded);
    const same = sameCredential(loaded, this.#loaded);
    if (same && sameTrust) return;
    this.#loaded = loaded;
    this.#identity = this.#make(loaded);
    for (const warning of loaded.warnings) say('warn', warning);
    if (!same) say('info', `${this.#describe()} holds for new connections; what is open stays as it is`);
    if (!sameTrust) say('info', `whom to trust has changed; connections to who is trusted no more are reset`);
    this.#watchExpiry();
    onChange(this.#identity);
  }

  /** Rejects also for one that is complete, and should all the same not replace what there is. */
  async #loadOwn({ certificate, key }: IdentityFiles): Promise<LoadedIdentity> {
    const loaded = await loadIdentity({ certificate, key });
    const now = this.#options.clock.wall();
    const { notAfter } = loaded;
    const before = this.#loaded.notAfter;
    if (notAfter === undefined || notAfter > now || before === undefined || before <= now) return loaded;
    throw new Error(`${certificate}: it has expired (${new Date(notAfter).toISOString()})`);
  }

  #make({ credential, roots, revoked }: LoadedIdentity): Identity {
    const ticketKeys = randomBytes(TICKET_KEY_BYTES);
    return { version: this.#options.nextVersion(), credential, roots, revoked, ticketKeys };
  }

  #describe(): string {
    const { name, notAfter } = this.#loaded;
    const until = notAfter === undefined ? '' : `, valid until ${new Date(notAfter).toISOString()},`;
    return name === undefined ? 'the trust bundle' : `the certificate of ${name}${until}`;
  }

  /** An alarm long before the end, and another at it. */
  #watchExpiry(): void {
    this.#alarm?.cancel();
    const { notBefore, notAfter } = this.#loaded;
    if (notBefore === undefined || notAfter === undefined) return;
    const { clock, say } = this.#options;
    const alarmAt = notAfter - ALARM_SHARE * (notAfter - notBefore);
    const now = clock.wall();
    if (now >= notAfter) return void say('error', `${this.#describe()} has expired: peers refuse it; renew it`);
    const waitMs = (now < alarmAt ? alarmAt : notAfter) - now;
    if (now >= alarmAt) {
      say(
        'warn',
        `${this.#describe()} expires in ${formatDuration(Math.round(notAfter - now))}, and has not been renewed`,
      );
    }
    this.#alarm = clock.after(Math.min(waitMs, LONGEST_WAIT_MS), () => this.#watchExpiry());
  }
}

function sameRevoked({ revoked: one }: LoadedIdentity, { revoked: other }: LoadedIdentity): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function sameCredential(one: LoadedIdentity, other: LoadedIdentity): boolean {
  return one.credential?.chain === other.credential?.chain && one.credential?.key === other.credential?.key;
}
