import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { connectTo, readAll, startUnixServer } from '../fakes/net.js';
import { Program } from './program.js';

/** A network of its own, in which nothing is up: `::1` cannot be dialled from there, as where IPv6 is off; unix sockets can. */
const NO_NETWORK = ['unshare', '--user', '--map-root-user', '--net'];
const isAllowed = spawnSync('unshare', [...NO_NETWORK.slice(1), 'true']).status === 0;

it.skipIf(!isAllowed)('an address that this machine cannot dial costs one attempt, and pauses nobody', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'meshproxy-no-ipv6-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const server = await startUnixServer(join(folder, 'out.sock'), (socket) => socket.end('live'));
  onTestFinished(() => server.close());
  const program = Program.inFrontOf(['[::1]:1', server.address], ['--admin', 'off', '--balance', 'round-robin'], {
    listen: `unix:${join(folder, 'in.sock')}`,
    prefix: NO_NETWORK,
  });
  const socket = await connectTo(await program.address());
  socket.end();
  expect((await readAll(socket)).bytes.toString()).toBe('live');
  expect((await program.accessLine()).attempts).toMatchObject([
    { endpoint: '[::1]:1', error: expect.stringContaining('EADDRNOTAVAIL') },
    { address: `unix:${join(folder, 'out.sock')}` },
  ]);
  expect(program.stderr).not.toContain('accepting is paused');
});
