/** A port that is listened on and yet never answers, as a machine behind a firewall that drops. Linux. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import type { IpAddress } from '../../src/core/address.js';

export interface BlackHole {
  readonly address: IpAddress;
  close(): Promise<void>;
}

/** With a backlog of 1, the kernel takes this many connections by itself, and drops whatever asks for another. */
const ROOM = 2;

/**
 * The listening socket belongs to a process that is stopped, so that nobody accepts; once the kernel's queue is full,
 * it answers no more.
 */
export async function startBlackHole(host = '127.0.0.1', port = 0): Promise<BlackHole> {
  const options = JSON.stringify({ host, port, backlog: 1 });
  const script = `const s = require('net').createServer().listen(${options}, () => console.log(s.address().port))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  const [line] = await Promise.race([
    once(child.stdout, 'data'),
    ended.then(() => Promise.reject(new Error(`cannot listen on ${host}:${port}`))),
  ]);
  const address: IpAddress = { kind: 'ip', host, port: Number(line) };
  child.kill('SIGSTOP');
  const waiting = Array.from({ length: ROOM }, () => net.connect(address.port, host));
  await Promise.all(waiting.map((socket) => once(socket, 'connect')));
  return {
    address,
    async close() {
      for (const socket of waiting) socket.destroy();
      child.kill('SIGKILL');
      await ended;
    },
  };
}
