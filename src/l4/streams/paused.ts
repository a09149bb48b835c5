/**
 * Sockets that are held back because their bytes have nowhere to go. libuv does not look at a socket that is not read,
 * so it would not notice that the peer has reset it until somebody reads again, which may be never: here it is asked.
 */
import type { Socket } from 'node:net';
import { endOfStreamError } from './socket.js';

/** How late a reset may be noticed, ms. One system call for each held-back socket, and none while there is none. */
const LOOK_MS = 1000;

/** By what is read: the socket that the system knows, which is the same but for TLS. */
const paused = new Map<Socket, Socket>();
let timer: NodeJS.Timeout | undefined;

/** @param raw the socket under it, or itself */
export function holdBack(socket: Socket, raw: Socket): void {
  socket.pause();
  paused.set(socket, raw);
  timer ??= setInterval(look, LOOK_MS).unref();
}

export function letGo(socket: Socket): void {
  paused.delete(socket);
  socket.resume();
}

function look(): void {
  if (paused.size === 0) {
    clearInterval(timer);
    timer = undefined;
  }
  for (const [socket, raw] of paused) {
    const error = socket.destroyed ? undefined : endOfStreamError(raw);
    if (error) socket.destroy(error);
    if (socket.destroyed) paused.delete(socket);
  }
}
