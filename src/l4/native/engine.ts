import type { Connecting, Relaying } from './kernel.js';
import type { LateKeepalive } from './late-keepalive.js';
import type { Pipes } from './pipes.js';
import type { Reactor } from './reactor.js';

/** What the sockets of one thread share. */
export interface Engine {
  readonly kernel: Relaying & Connecting;
  readonly reactor: Pick<
    Reactor,
    | 'watchEdges'
    | 'watchReadable'
    | 'handOver'
    | 'hearArrivals'
    | 'unwatch'
    | 'closing'
    | 'later'
    | 'callingOut'
    | 'reportBug'
  >;
  readonly pipes: Pipes;
  readonly keepalive: LateKeepalive;
}
