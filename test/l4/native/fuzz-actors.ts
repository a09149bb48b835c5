/** Who takes part in the fuzz, and what they may do. */
import type { Connection, RelayEnd } from '../../../src/l4/transport.js';
import type { FakeSocket } from './fake-socket.js';

/** What the program above the engine does with one connection. */
export interface Plan {
  /** Bytes peeked before dialling; 0 for not at all. */
  readonly peek: number;
  /** Of these, at most so many are dropped. */
  readonly consume: number;
  /** Bytes written to the server before the relay. */
  readonly header: number;
  /** Turns between connecting and relaying. */
  readonly delay: number;
  readonly upstream: 'connects' | 'connects later' | 'refuses';
  /** What the program does when it is told something by the relay. */
  readonly whenTold: 'nothing' | 'resets' | 'throws';
  readonly spliceable: boolean;
  readonly tellsAfterShort: boolean;
  /** Reads of each direction between two rests; 0 where there are none. */
  readonly readsPerRest: number;
}

export type Peer = 'client' | 'server';

export type PeerAction =
  | { readonly do: 'write' | 'read'; readonly who: number; readonly peer: Peer; readonly count: number }
  | { readonly do: 'end' | 'reset' | 'urgent'; readonly who: number; readonly peer: Peer }
  | { readonly do: 'reset both'; readonly who: number }
  /** Both are reset, and between the two another client comes: its sockets have the numbers of these. */
  | { readonly do: 'replace'; readonly who: number; readonly plan: Plan }
  /** All at once: bytes, perhaps an urgent one and `behind` more, and perhaps an end. */
  | {
      readonly do: 'stream';
      readonly who: number;
      readonly peer: Peer;
      readonly count: number;
      readonly behind: number | undefined;
      readonly finish: 'end' | 'reset' | undefined;
    }
  | { readonly do: 'establish'; readonly who: number }
  | { readonly do: 'connect'; readonly plan: Plan }
  | { readonly do: 'interrupt' }
  | { readonly do: 'pipes'; readonly short: boolean }
  | { readonly do: 'descriptors'; readonly short: number };

export type Action =
  | PeerAction
  | { readonly do: 'turn'; readonly count: number }
  | { readonly do: 'own reset'; readonly who: number };

/** One side of a session, as its own program sees it. */
export class End {
  readonly socket: FakeSocket;
  readonly #sends: (at: number) => number;
  readonly sent: number[] = [];
  readonly got: number[] = [];
  sawEnd = false;

  constructor(socket: FakeSocket, seed: number) {
    this.socket = socket;
    // Of its own for each side of each session: a byte that has strayed is known.
    this.#sends = (at) => (seed * 37 + at * 11 + (at >> 3)) & 0xff;
  }

  write(count: number): void {
    const bytes = Array.from({ length: count }, (_, index) => this.#sends(this.sent.length + index));
    this.sent.push(...bytes.slice(0, this.socket.peerWrite(bytes)));
  }
}

/** A client, the engine's two connections, and the server. */
export class Session {
  readonly plan: Plan;
  readonly client: End;
  server: End | undefined;
  near: Connection | undefined;
  far: Connection | undefined;
  header: number[] = [];
  consumed = 0;
  /** `over`: the relay has resolved, or there was none. */
  state: 'waiting' | 'relaying' | 'over' = 'waiting';
  end: RelayEnd | undefined;
  /** Our own doing: by a call, or by a bug in the program. */
  wasReset = false;
  firstBytes = 0;
  halfCloses = 0;

  constructor(plan: Plan, client: End) {
    this.plan = plan;
    this.client = client;
  }

  /** What the server is to read, and the client. */
  get upwards(): number[] {
    return [...this.header, ...(this.state === 'waiting' ? [] : this.client.sent.slice(this.consumed))];
  }

  get downwards(): number[] {
    return this.server?.sent ?? [];
  }
}
