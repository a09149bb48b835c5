/** A connection while bytes are carried. */
import type { Pick as Picked } from '../balancer/picker.js';
import type { ServiceConfig } from '../config/schema.js';
import type { Clock, Timer } from '../core/clock.js';
import type { Ending } from '../telemetry/record.js';
import type { Tries } from './connect.js';
import { watchIdle } from './idle-watch.js';
import type { LiveConnection } from './live.js';
import type { Surroundings } from './surroundings.js';
import type { Connection, RelayEnd, RelayEvents } from './transport.js';
import type { Unanswered, Waiting } from './unanswered.js';

/**
 * What goes on while bytes are carried: what the transport tells of it, and the timeouts that cut it. One object for
 * each of thousands of connections that may be quiet for hours: a closure for each of these would be twice the memory.
 */
export class RelayWatch implements RelayEvents, Waiting {
  before: Waiting | undefined;
  after: Waiting | undefined;
  readonly #live: LiveConnection;
  readonly #upstream: Connection;
  readonly #pick: Picked;
  readonly #settings: ServiceConfig;
  readonly #clock: Clock;
  readonly #tries: Pick<Tries, 'mayTry'>;
  readonly #unanswered: Unanswered;
  readonly #startedAt: number;
  /** When the client first asked something, where it did so before it was answered. */
  #askedAt: number | undefined;
  #idle: Timer | undefined;
  #halfClosed: Timer | undefined;

  constructor(
    live: LiveConnection,
    upstream: Connection,
    pick: Picked,
    settings: ServiceConfig,
    tries: Pick<Tries, 'mayTry'>,
    { clock, unanswered }: Surroundings,
  ) {
    this.#live = live;
    this.#upstream = upstream;
    this.#pick = pick;
    this.#settings = settings;
    this.#tries = tries;
    this.#clock = clock;
    this.#unanswered = unanswered;
    this.#startedAt = clock.now();
    this.#idle = this.#cutAfter(settings.idleTimeout, 'idle-timeout');
  }

  /** Where there is no other endpoint to go to, what happens to this one is what happens to the connection. */
  get spares(): boolean {
    return this.#askedAt === undefined && this.#tries.mayTry();
  }

  onFirstByte(): void {
    this.#askedAt = this.#clock.now();
    if (this.#live.firstByteMs === undefined) this.#unanswered.add(this);
  }

  stillWaits(now: number): void {
    if (this.#askedAt !== undefined) this.#pick.unanswered(now - this.#askedAt, now);
  }

  onPeerFirstByte(): void {
    const now = this.#clock.now();
    if (this.#askedAt !== undefined) this.#unanswered.delete(this);
    this.#live.firstByteMs = now - this.#startedAt;
    // How long a client thinks before it asks says nothing of the endpoint.
    this.#pick.answered(now - (this.#askedAt ?? this.#startedAt), now);
  }

  onHalfClose(): void {
    this.#halfClosed = this.#cutAfter(this.#settings.halfCloseTimeout, 'half-close-timeout');
  }

  stop(end: RelayEnd): void {
    this.#idle?.cancel();
    this.#halfClosed?.cancel();
    const now = this.#clock.now();
    if (this.#live.firstByteMs === undefined && this.#askedAt !== undefined) {
      this.#unanswered.delete(this);
      // Who gives up waiting has shown as much as who is still waiting.
      this.stillWaits(now);
    }
    const refused = end.kind === 'reset' && end.by === 'peer' && this.#live.firstByteMs === undefined;
    this.#pick.ended(refused || end.kind === 'spared' ? 'reset' : 'served', now);
  }

  #cutAfter(timeoutMs: number, ending: Ending): Timer | undefined {
    if (timeoutMs === 0) return undefined;
    return watchIdle(
      this.#clock,
      timeoutMs,
      () => this.#moved(),
      () => this.#live.cut(ending),
    );
  }

  /** What a slow reader takes out of the kernel's buffers moves too, long after it was read here. */
  #moved(): number {
    const client = this.#live.downstream;
    const upstream = this.#upstream;
    const moved = client.bytesRead + upstream.bytesRead - client.bytesUnsent - upstream.bytesUnsent;
    return moved + this.#heldAt();
  }

  /** While we hold it back ourselves it is not idle: a figure that changes. */
  #heldAt(): number {
    const { throttles } = this.#live;
    if (throttles === undefined) return 0;
    const now = this.#clock.now();
    return throttles.received.isHeld(now) || throttles.sent.isHeld(now) ? now : 0;
  }
}
