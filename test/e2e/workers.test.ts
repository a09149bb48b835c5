import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { formatAddress } from '../../src/core/address.js';
import { nativeSupport } from '../../src/l4/native/support.js';
import { connectTo, readAll, readExactly, startServer } from '../fakes/net.js';
import { Program } from './program.js';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'meshproxy-workers-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

async function greeter(): Promise<string> {
  const server = await startServer((socket) => void socket.write('!'));
  onTestFinished(() => server.close());
  return formatAddress(server.address);
}

async function served(program: Program): Promise<Socket> {
  const client = await connectTo(await program.address());
  onTestFinished(() => void client.destroy());
  await readExactly(client, 1);
  return client;
}

/** Node in which koffi, the native engine's bridge to C, cannot be loaded. */
function withoutKoffi(): NodeJS.ProcessEnv {
  const hook = join(folder(), 'no-koffi.cjs');
  const text = `
const Module = require('node:module');
const resolve = Module._resolveFilename;
Module._resolveFilename = function (name, ...rest) {
  if (name !== 'koffi') return resolve.call(this, name, ...rest);
  throw Object.assign(new Error("Cannot find module 'koffi'"), { code: 'MODULE_NOT_FOUND' });
};
`;
  writeFileSync(hook, text);
  return { NODE_OPTIONS: `--require ${hook}` };
}

describe.skipIf(!nativeSupport().ok)('workers', () => {
  it('are as many as asked for, serve together, and are told of', async () => {
    const program = Program.inFrontOf([await greeter()], ['--engine', 'native', '--workers', '3']);
    expect(await program.said(/^engine native, 3 workers$/)).toMatchObject({ engine: 'native', workers: 3 });
    for (let i = 0; i < 30; i += 1) await served(program);
    expect(await program.metric('meshproxy_connections_active')).toBe(30);
    const status = await program.json<{ readonly engine: unknown }>('/status');
    expect(status.engine).toMatchObject({ name: 'native', workers: 3, deaths: 0 });
  });

  it.each([
    [
      'one after the other',
      async (program: Program) => {
        const clients: Socket[] = [];
        while (clients.length < 32) clients.push(await served(program));
        return clients;
      },
    ],
    ['all at once', (program: Program) => Promise.all(Array.from({ length: 32 }, () => served(program)))],
  ])('share their connections evenly, opened %s, and every byte arrives', async (_, open) => {
    const server = await startServer((socket) => {
      socket.write('!');
      socket.pipe(socket);
    });
    onTestFinished(() => server.close());
    const upstream = formatAddress(server.address);
    const program = Program.inFrontOf([upstream], ['--engine', 'native', '--workers', '2']);
    const clients = await open(program);
    const shares = await Promise.all(
      ['0', '1'].map((worker) => program.metric('meshproxy_worker_connections', { worker })),
    );
    expect(shares.reduce((sum, share) => sum + share)).toBe(32);
    expect(Math.max(...shares)).toBeLessThanOrEqual(19);
    await Promise.all(
      clients.map(async (client, number) => {
        const text = `${number} `.repeat(50_000);
        client.end(text);
        const { bytes, end } = await readAll(client);
        expect([bytes.toString() === text, end]).toEqual([true, 'end']);
      }),
    );
    await expect.poll(() => program.metric('meshproxy_connections_active')).toBe(0);
    expect(await program.metric('meshproxy_worker_accepted_total')).toBe(32);
  });

  it('cannot be changed by a reload, which says so', async () => {
    const path = join(folder(), 'meshproxy.yaml');
    const services = `services: {web: {upstreams: ["${await greeter()}"]}}`;
    const write = (workers: number): void =>
      writeFileSync(path, `workers: ${workers}\nlisteners: {web: {address: "127.0.0.1:0"}}\n${services}\n`);
    write(1);
    const program = new Program(['--config', path, '--engine', 'native', '--admin', '127.0.0.1:0']);
    await program.said(/^admin on/);
    write(2);
    program.kill('SIGHUP');
    await program.said(/refused, and version 1 stays in force/);
    await program.said(/^workers \(2, was 1\) cannot be changed while it runs: restart it for that$/);
  });
});

describe('where the native engine cannot run', () => {
  it('auto says why, once, and streams carries the bytes', async () => {
    const options = { env: withoutKoffi() };
    const program = Program.inFrontOf([await greeter()], ['--engine', 'auto', '--workers', '2'], options);
    await program.said(/^engine streams, 1 thread$/);
    const warnings = program.log.filter(({ level }) => level === 'warn').map(({ msg }) => msg);
    expect(warnings).toEqual([
      'the native engine cannot run here: koffi, its bridge to C, is not installed; using streams, in one thread and not in 2',
    ]);
    await served(program);
  });

  it('native, asked for by name, is refused with the reason', async () => {
    const options = { env: withoutKoffi() };
    const program = Program.inFrontOf(['127.0.0.1:1'], ['--engine', 'native'], options);
    expect(await program.exit()).toBe(2);
    expect(program.stderr).toMatch(/the native engine cannot run here: koffi/);
  });

  it('streams with several workers is refused', async () => {
    const program = Program.inFrontOf(['127.0.0.1:1'], ['--engine', 'streams', '--workers', '2']);
    expect(await program.exit()).toBe(2);
    expect(program.stderr).toMatch(/--workers 2 needs the native engine: streams runs in one thread/);
  });
});
