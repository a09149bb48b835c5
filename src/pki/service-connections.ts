/** The connections of the service before HTTP sees them: how many there may be, and from where. */
import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import { unmapped } from '../core/address.js';
import { sourceOf } from './gate.js';

const SHARE_OF_ONE_SOURCE = 1 / 2;
/** Between two times at which connections without a request are closed to make room, ms. */
const MAKE_ROOM_EVERY_MS = 1000;

export class Connections {
  readonly #server: Server;
  readonly #mostOfOne: number;
  /** By the client's address and port. */
  readonly #open = new Map<string, Socket>();
  readonly #bySource = new Map<string, number>();
  #madeRoomAt = Number.NEGATIVE_INFINITY;

  /** @param refused called with the address of each that was turned away, and why */
  constructor(server: Server, most: number, refused: (address: string, why: string) => void) {
    this.#server = server;
    this.#mostOfOne = Math.ceil(most * SHARE_OF_ONE_SOURCE);
    server.maxConnections = most;
    server.on('connection', (socket: Socket) => {
      if (!this.#add(socket))
        refused(unmapped(socket.remoteAddress ?? ''), 'half of all connections are from this address');
    });
    server.on('drop', (data) => {
      refused(unmapped(data?.remoteAddress ?? ''), 'as many connections as may be are open');
      this.#makeRoom();
    });
  }

  get size(): number {
    return this.#open.size;
  }

  /** What is below a connection with TLS: while Node tells of a failed handshake, words can still be written to it. */
  below(secured: Socket): Socket | undefined {
    return this.#open.get(keyOf(secured));
  }

  /** Also those that are still in their handshake, which HTTP does not know of. */
  destroyAll(): void {
    for (const socket of this.#open.values()) socket.destroy();
  }

  #add(socket: Socket): boolean {
    const source = sourceOf(unmapped(socket.remoteAddress ?? ''));
    const own = this.#bySource.get(source) ?? 0;
    if (own >= this.#mostOfOne) {
      socket.destroy();
      return false;
    }
    this.#bySource.set(source, own + 1);
    const key = keyOf(socket);
    this.#open.set(key, socket);
    socket.once('close', () => {
      this.#open.delete(key);
      const left = (this.#bySource.get(source) ?? 1) - 1;
      if (left === 0) this.#bySource.delete(source);
      else this.#bySource.set(source, left);
    });
    return true;
  }

  /** Those kept for a next request are a convenience; their clients connect again. */
  #makeRoom(): void {
    const now = performance.now();
    if (now - this.#madeRoomAt < MAKE_ROOM_EVERY_MS) return;
    this.#madeRoomAt = now;
    this.#server.closeIdleConnections();
  }
}

let unnamed = 0;

/** Clients of a unix socket have no address; each is somebody. */
function keyOf({ remoteAddress, remotePort }: Socket): string {
  if (remoteAddress !== undefined) return `${remoteAddress} ${remotePort}`;
  unnamed += 1;
  return `unnamed ${unnamed}`;
}
