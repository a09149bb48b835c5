/**
 * Clients and servers on both sides of the engine, on a kernel in memory, and what has to hold of everything that they
 * see. The engine is the real one: reactor, listener, dial, connections, relay and pipes.
 */
import { vi } from 'vitest';
import { NativeConnection } from '../../../src/l4/native/connection.js';
import { dial } from '../../../src/l4/native/dial.js';
import { NativeListener } from '../../../src/l4/native/listener.js';
import type { Connection, Pace, SocketOptions } from '../../../src/l4/transport.js';
import { engineOn } from './engine.js';
import { FakeKernel } from './fake-kernel.js';
import { FakeSocket } from './fake-socket.js';
import { type Action, End, type Peer, type PeerAction, type Plan, Session } from './fuzz-actors.js';

const OPTIONS: SocketOptions = { keepaliveMs: 0, bufferSize: 0 };
const UPSTREAM = { kind: 'ip', host: '10.0.0.3', port: 3 } as const;
const ECONNREFUSED = 111;
/** The fake kernel's pipe, and its buffer. */
const PIPE_BYTES = 24;
const COPY_BYTES = 16;
const MAX_PIPES = 2;
/** Each turn is so long. */
const REST_MS = 1;
/** What one session can take without a byte being moved: accepting, connecting, its delay, an interruption at each. */
const MOST_IDLE_TURNS = 10;
/** More than are in vain after a refusal. */
const MOST_ASKS = 100;

export class World {
  readonly #kernel: FakeKernel;
  readonly #engine: ReturnType<typeof engineOn>;
  readonly #listener: NativeListener;
  readonly #sessions: Session[] = [];
  readonly #bySocket = new Map<FakeSocket, Session>();
  readonly #pending: (() => void)[] = [];
  #wrong: { readonly error: unknown } | undefined;
  /** Nothing more happens outside, but that everybody reads and ends. */
  #calm = false;
  #thrown = 0;
  #bugs: unknown[] = [];
  #moved = 0;

  /** @param meanwhile what happens outside, one for each system call, for as long as there are any */
  constructor(meanwhile: readonly (PeerAction | null)[]) {
    let calls = 0;
    this.#kernel = new FakeKernel({
      meanwhile: () => {
        const action = meanwhile[calls];
        calls += 1;
        // Thrown into the engine, which is in the middle of something, it would be lost.
        if (action && !this.#calm) this.#note(() => void this.act(action));
      },
    });
    this.#engine = engineOn(this.#kernel, (error) => this.#bugs.push(error), MAX_PIPES);
    this.#listener = new NativeListener(this.#engine, {
      address: UPSTREAM,
      fd: this.#kernel.listenerFd,
      accept: (near) => void this.#serve(near),
      release: () => {},
    });
  }

  async run(actions: readonly Action[]): Promise<void> {
    try {
      for (const action of actions) {
        if (action.do === 'turn') for (let count = 0; count < action.count; count += 1) await this.#turn();
        else this.act(action);
      }
      await this.#checkResetsArePassedOn();
      await this.#settle();
      this.#checkNothingIsStuck();
      // Twice: a client that is peeked at until its end has a server only after it.
      for (let time = 0; time < 2; time += 1) {
        for (const { client, server } of this.#sessions) {
          client.socket.peerEnd();
          server?.socket.peerEnd();
        }
        await this.#settle();
      }
      this.#checkEnds();
      await this.#listener.close();
      this.#checkNothingIsLeft();
    } finally {
      for (let fd = 0; fd < 256; fd += 1) this.#engine.reactor.unwatch(fd);
    }
  }

  act(action: PeerAction | Exclude<Action, { do: 'turn' }>): void {
    const kernel = this.#kernel;
    switch (action.do) {
      case 'connect':
        return void this.#connect(action.plan);
      case 'interrupt':
        kernel.interrupted = true;
        return;
      case 'pipes':
        kernel.shortOfPipes = action.short;
        return;
      case 'descriptors':
        kernel.shortOfDescriptors = action.short;
        return;
      case 'establish':
        return void this.#pending.shift()?.();
    }
    const session = this.#sessions[action.who % this.#sessions.length];
    if (session === undefined) return;
    if (action.do === 'own reset') return void this.#reset(session);
    if (action.do === 'reset both' || action.do === 'replace') {
      session.client.socket.peerResets();
      if (action.do === 'replace') this.#connect(action.plan);
      session.server?.socket.peerResets();
      return;
    }
    const peer = session[action.peer];
    if (peer === undefined) return;
    switch (action.do) {
      case 'write':
        return void peer.write(action.count);
      case 'stream':
        peer.write(action.count);
        if (action.behind !== undefined) peer.socket.peerUrgent();
        peer.write(action.behind ?? 0);
        if (action.finish === 'end') peer.socket.peerEnd();
        if (action.finish === 'reset') peer.socket.peerResets();
        return;
      case 'read':
        return void this.#read(session, action.peer, action.count);
      case 'end':
        return void peer.socket.peerEnd();
      case 'reset':
        return void peer.socket.peerResets();
      case 'urgent':
        return void peer.socket.peerUrgent();
    }
  }

  #connect(plan: Plan): void {
    const session = new Session(plan, new End(new FakeSocket(plan), this.#sessions.length * 2));
    session.client.socket.spliceable = plan.spliceable;
    this.#sessions.push(session);
    this.#bySocket.set(session.client.socket, session);
    this.#kernel.arrive(session.client.socket);
  }

  /** The program above: what connection.ts does, in short. */
  async #serve(near: Connection): Promise<void> {
    if (!(near instanceof NativeConnection)) throw new Error('not a connection of this engine');
    const socket = this.#kernel.socketAt(near.fd);
    const session = socket && this.#bySocket.get(socket);
    if (session === undefined) throw new Error('nobody has connected');
    session.near = near;
    try {
      if (session.plan.peek > 0) await this.#peek(session, near);
      const far = await this.#dial(session);
      if (session.plan.header > 0) {
        session.header = Array.from({ length: session.plan.header }, (_, index) => 200 - index);
        far.write(Uint8Array.from(session.header));
      }
      for (let turns = 0; turns < session.plan.delay; turns += 1) await this.#turn();
      near.pace = paceOf(session.plan);
      far.pace = paceOf(session.plan);
      session.state = 'relaying';
      session.end = await near.relay(far, this.#events(session));
    } catch {
      // The client has gone, or the server cannot be reached.
      near.reset();
    }
    session.state = 'over';
  }

  async #peek(session: Session, near: Connection): Promise<void> {
    const bytes = await near.peek(session.plan.peek, new AbortController().signal);
    this.#note(() => same('what was peeked', [...bytes], session.client.sent));
    session.consumed = Math.min(session.plan.consume, bytes.length);
    near.consume(session.consumed);
  }

  #note(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#wrong ??= { error };
    }
  }

  async #dial(session: Session): Promise<Connection> {
    const { plan } = session;
    this.#kernel.answer = (socket) => {
      socket.spliceable = plan.spliceable;
      const answer = () => {
        if (plan.upstream === 'refuses') return void socket.refuse(ECONNREFUSED);
        session.server = new End(socket, this.#sessions.indexOf(session) * 2 + 1);
        socket.establish();
      };
      if (plan.upstream === 'connects') answer();
      else this.#pending.push(answer);
      return 0;
    };
    session.far = await dial(this.#engine, UPSTREAM, OPTIONS, new AbortController().signal);
    return session.far;
  }

  #events(session: Session) {
    const told = (): void => {
      if (session.plan.whenTold === 'resets') this.#reset(session);
      if (session.plan.whenTold !== 'throws') return;
      session.wasReset = true;
      this.#thrown += 1;
      throw new Error('a bug of the program');
    };
    return {
      onFirstByte: () => {},
      onPeerFirstByte: () => {
        session.firstBytes += 1;
        told();
      },
      onHalfClose: () => {
        session.halfCloses += 1;
        told();
      },
    };
  }

  #reset(session: Session): void {
    if (session.near === undefined || session.state === 'over') return;
    session.wasReset = true;
    session.near.reset();
    if (session.state === 'waiting') session.far?.reset();
  }

  #read(session: Session, peer: Peer, count: number): void {
    const reader = session[peer];
    if (reader === undefined) return;
    const bytes = reader.socket.peerRead(count);
    reader.got.push(...bytes);
    this.#moved += bytes.length;
    const wanted = peer === 'client' ? session.downwards : session.upwards;
    same(`what the ${peer} read`, reader.got, wanted);
    if (reader.sawEnd || reader.socket.peerSees !== 'end') return;
    reader.sawEnd = true;
    const sender = peer === 'client' ? session.server : session.client;
    must(sender?.socket.peerEnded === true, `the ${peer} saw an end which nobody sent`);
    must(
      reader.got.length === wanted.length,
      `the ${peer} saw an end after ${reader.got.length} of ${wanted.length} bytes`,
    );
  }

  async #turn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    vi.advanceTimersByTime(REST_MS);
    if (this.#wrong !== undefined) throw this.#wrong.error;
    for (const session of this.#sessions) this.#checkCounts(session);
  }

  /** Everybody reads what there is, until nothing moves any more. */
  async #settle(): Promise<void> {
    this.#kernel.shortOfPipes = false;
    this.#kernel.shortOfDescriptors = 0;
    // Instead of waiting for a listener to have rested from having no descriptor.
    this.#listener.pause();
    this.#listener.resume();
    for (let still = 0; still < MOST_IDLE_TURNS; ) {
      for (const establish of this.#pending.splice(0)) establish();
      const before = this.#moved;
      for (const session of this.#sessions) {
        this.#read(session, 'client', Number.POSITIVE_INFINITY);
        this.#read(session, 'server', Number.POSITIVE_INFINITY);
      }
      await this.#turn();
      still = this.#moved === before ? still + 1 : 0;
    }
  }

  #checkCounts({ plan, near, far, client, server, state, header, consumed }: Session): void {
    if (near === undefined || far === undefined || server === undefined || state === 'waiting') return;
    const [up, down] = [client.socket, server.socket];
    must(near.bytesRead === up.taken && far.bytesRead === down.taken, 'bytesRead is not what was read');
    const taken = [up.accepted - up.unacknowledged, down.accepted - down.unacknowledged];
    const open = up.closed === 'no' && down.closed === 'no' && !up.peerReset && !down.peerReset;
    if (open) {
      same('what was taken', [near.bytesWritten - near.bytesUnsent, far.bytesWritten - far.bytesUnsent], taken);
      must(near.bytesWritten === far.bytesRead, 'bytesWritten of the client is not what was read of the server');
      must(far.bytesWritten === header.length + near.bytesRead - consumed, 'bytesWritten of the server is wrong');
    } else if (state === 'over') {
      same('bytesWritten', [near.bytesWritten, far.bytesWritten], [up.accepted, down.accepted]);
      same('bytesUnsent', [near.bytesUnsent, far.bytesUnsent], [0, 0]);
    }
    const inside = up.taken - consumed + header.length - down.accepted;
    must(inside <= PIPE_BYTES + plan.header + plan.peek + COPY_BYTES, `${inside} bytes are held on the way up`);
    must(down.taken - up.accepted <= PIPE_BYTES, `${down.taken - up.accepted} bytes are held on the way down`);
  }

  /** At once, whether anybody reads or not. */
  async #checkResetsArePassedOn(): Promise<void> {
    this.#calm = true;
    for (let turns = 0; turns < MOST_IDLE_TURNS; turns += 1) await this.#turn();
    for (const { client, server, state } of this.#sessions) {
      const reset = client.socket.peerReset || server?.socket.peerReset;
      must(state !== 'relaying' || !reset, 'a reset waits to be passed on');
    }
  }

  #checkNothingIsStuck(): void {
    // After a refusal the system is not asked again at once.
    for (let asks = 0; asks < MOST_ASKS; asks += 1) {
      const pipe = this.#engine.pipes.take();
      if (pipe !== undefined) this.#engine.pipes.giveBack(pipe, 0);
    }
    const idle = Array.from({ length: MAX_PIPES }, () => this.#engine.pipes.take());
    must(!idle.includes(undefined), 'a relay that has nothing to carry holds a pipe');
    for (const pipe of idle) if (pipe !== undefined) this.#engine.pipes.giveBack(pipe, 0);
    must(this.#bugs.length === this.#thrown, `thrown in the engine: ${String(this.#bugs)}`);
    for (const session of this.#sessions) {
      const { client, server, state, wasReset } = session;
      if (server === undefined || wasReset || client.socket.peerReset || server.socket.peerReset) continue;
      if (state === 'waiting') continue;
      same('what the client got', session.downwards, client.got);
      same('what the server got', session.upwards, server.got);
      must(client.sawEnd === server.socket.peerEnded, `the client ${client.sawEnd ? 'saw an' : 'did not see the'} end`);
      must(server.sawEnd === client.socket.peerEnded, `the server ${server.sawEnd ? 'saw an' : 'did not see the'} end`);
    }
  }

  #checkEnds(): void {
    for (const session of this.#sessions) {
      const { client, server, state, wasReset, end, plan } = session;
      must(state === 'over', `a session is not over, but ${state}`);
      must(session.firstBytes <= 1 && session.halfCloses <= 1, 'told more than once');
      if (end === undefined) {
        const broken = wasReset || client.socket.peerReset || server?.socket.peerReset;
        must(broken === true || plan.upstream === 'refuses', 'a session ended before its relay, without a reason');
        continue;
      }
      if (server === undefined) throw new Error('a relay without a server');
      const ends = [client, server] as const;
      const anyReset = wasReset || ends.some(({ socket }) => socket.peerReset);
      if (!anyReset) must(end.kind === 'completed', `everybody ended in order, and the relay was ${end.kind}`);
      switch (end.kind) {
        case 'completed':
          must(
            ends.every(({ socket }) => socket.peerEnded),
            'completed, and not everybody had ended',
          );
          break;
        case 'reset':
          must((end.by === 'this' ? client : server).socket.peerReset, `reset by ${end.by}, who did not`);
          break;
        case 'local':
          must(wasReset, 'our own reset, which nobody asked for');
          break;
        case 'lost':
          throw new Error(`lost: ${end.cause.message}`);
      }
      for (const { sawEnd, socket } of ends) {
        if (end.kind === 'completed') must(sawEnd || socket.peerReset, 'completed, and no end was seen');
        else if (!socket.bothEnded) must(socket.peerSees === 'reset', `${end.kind}, and the other side was not reset`);
      }
      if (end.kind === 'completed' && server.got.length > 0)
        must(server.got.length <= session.upwards.length, 'too much');
      if (client.got.length > 0) must(session.firstBytes === 1, 'the first byte was not told');
    }
  }

  #checkNothingIsLeft(): void {
    const kernel = this.#kernel;
    must(vi.getTimerCount() === 0, 'somebody rests still');
    must(kernel.watched === 0, `${kernel.watched} descriptors are watched at the end`);
    must(kernel.openPipes.length === this.#engine.pipes.open, 'pipes are counted wrong');
    must(
      kernel.openPipes.every(({ bytes }) => bytes.length === 0),
      'a spare pipe has bytes in it',
    );
    this.#engine.pipes.closeSpare();
    must(kernel.open === 0, `${kernel.open} descriptors are left`);
    must(kernel.violations.length === 0, kernel.violations.join('; '));
  }
}

function paceOf({ readsPerRest }: Plan): Pace | undefined {
  if (readsPerRest === 0) return undefined;
  let reads = 0;
  const took = (): number => {
    reads += 1;
    return reads % readsPerRest === 0 ? REST_MS : 0;
  };
  return { took, mostAtOnce: COPY_BYTES };
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** `got` is the beginning of `wanted`. */
function same(what: string, got: readonly number[], wanted: readonly number[]): void {
  const at = got.findIndex((byte, index) => byte !== wanted[index]);
  if (at !== -1) throw new Error(`${what} differs at ${at}: ${got[at]} for ${wanted[at]}`);
}
