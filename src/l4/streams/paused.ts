/**
 * Sockets that are held back because their bytes have nowhere to go. libuv does not look at a socket that is not read,
 * so it would not notice that the peer has reset it until somebody reads again, which may be never: here it is asked.
 */
import type { Socket } from 'node:net';
import { endOfStreamError } from './socket.js';

/** How late a reset may be noticed, ms. One system call for each held-back socket, and none while there is none. */
const LOOK_MS = 1000;

const paused = new Set<Socket>();
let timer: NodeJS.Timeout | undefined;

export function holdBack(socket: Socket): void {
  socket.pause();
  paused.add(socket);
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
  for (const socket of paused) {
    const error = socket.destroyed ? undefined : endOfStreamError(socket);
    if (error) socket.destroy(error);
    if (socket.destroyed) paused.delete(socket);
  }
}
