import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { IpAddress } from '../../src/core/address.js';
import { readExactly, startServer } from '../fakes/net.js';
import { NODE, Program } from './program.js';

const GREETING = 'hello';
const NOISY = '127.0.0.2';
const QUIET = '127.0.0.3';

async function greeter(): Promise<IpAddress> {
  const server = await startServer((socket) => socket.end(GREETING));
  onTestFinished(() => server.close());
  return server.address;
}

function flood(port: number, source: string): ChildProcess {
  const script = fileURLToPath(new URL('flood.mjs', import.meta.url));
  const child = spawn(NODE, [script, String(port), source, '1000'], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** Whether one connection of a client is served. */
async function isServed(port: number, localAddress: string): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port, localAddress });
  const got = await readExactly(socket, GREETING.length).catch(() => undefined);
  socket.destroy();
  return got?.toString() === GREETING;
}

describe('a flood of connections', () => {
  it.each(['native', 'streams'])(
    'has those refused who cause it, at once, and another client is served (%s)',
    async (engine) => {
      // A thousand at a time wait for each other, however fast the proxy is.
      const args = ['--engine', engine, '--shed-target', '40ms', '--access-log', 'off'];
      if (engine === 'native') args.push('--workers', '1');
      const program = Program.inFrontOf([await greeter()], args);
      const port = await program.port();
      const refused = (): Promise<number> =>
        program.metric('meshproxy_connections_refused_total', { listener: 'default', reason: 'overload' });
      flood(port, NOISY);
      await program.said(/listener default refused .*: this process cannot keep up/);
      const before = await refused();
      let served = 0;
      for (let times = 0; times < 40; times += 1) if (await isServed(port, QUIET)) served += 1;
      expect(await refused()).toBeGreaterThan(before);
      // All of them, but where the machine has halted the proxy for longer than that one lets anybody wait.
      expect(served).toBeGreaterThan(20);
    },
    60_000,
  );
});
