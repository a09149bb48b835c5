import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { formatAddress, type IpAddress } from '../../src/core/address.js';
import { connectTo, readAll, readExactly, startServer } from '../fakes/net.js';
import { idOf } from './mesh-certificates.js';
import { MAIN, NODE, Program } from './program.js';

const run = promisify(execFile);

const LIBRARY = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';
/** So much faster the time of the programs goes: five minutes, the shortest life of a certificate, are ten seconds. */
const SPEED = 30;
/** Between two exchanges of a client, ms: some fifty are made a second, and the processors have time for the programs. */
const PACE_MS = 20;
const base = Date.now();

/** The environment of a program whose clock runs fast, and shows the same as those of all others. */
function fastClock(): Record<string, string> {
  const aheadS = ((Date.now() - base) / 1000) * (SPEED - 1);
  return { LD_PRELOAD: LIBRARY, FAKETIME: `+${aheadS.toFixed(3)} x${SPEED}` };
}

function program(args: readonly string[]): Program {
  return new Program(args, { env: fastClock() });
}

/** Connections that talk all the time, and others that come and go: until `stop`, which says what went wrong. */
class Traffic {
  readonly failures: string[] = [];
  served = 0;
  readonly #address: IpAddress;
  readonly #running: Promise<void>[];
  #stopped = false;

  constructor(address: IpAddress) {
    this.#address = address;
    this.#running = [this.#stays(), this.#stays(), this.#comesAndGoes()];
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async #stays(): Promise<void> {
    await this.#guarded('a connection that stays', async () => {
      const socket = await connectTo(this.#address);
      while (!this.#stopped) await this.#exchange(socket);
      socket.end();
      await readAll(socket);
    });
  }

  async #comesAndGoes(): Promise<void> {
    while (!this.#stopped) {
      await this.#guarded('a new connection', async () => {
        const socket = await connectTo(this.#address);
        await this.#exchange(socket);
        socket.end();
        expect((await readAll(socket)).end).toBe('end');
      });
    }
  }

  async #exchange(socket: net.Socket): Promise<void> {
    socket.write('ping');
    expect(String(await readExactly(socket, 4))).toBe('ping');
    this.served += 1;
    await sleep(PACE_MS);
  }

  async #guarded(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.failures.push(`${what}: ${String(error)}`);
      this.#stopped = this.failures.length > 10;
    }
  }
}

/** An authority and two proxies whose clocks run fast. */
class FastMesh {
  readonly folder = mkdtempSync(join(tmpdir(), 'meshproxy-rotation-'));
  readonly engine: string;
  serving: Program | undefined;
  authority = '';

  constructor(engine: string) {
    this.engine = engine;
    onTestFinished(() => rmSync(this.folder, { recursive: true }));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async ca(...args: string[]): Promise<string> {
    const env = { ...process.env, ...fastClock() };
    return (await run(NODE, [MAIN, 'ca', ...args, '--dir', this.path('ca')], { env })).stdout;
  }

  async serve(listen = '127.0.0.1:0'): Promise<void> {
    this.serving = program(['ca', 'serve', '--dir', this.path('ca'), '--listen', listen, '--lifetime', '5m']);
    this.authority = String((await this.serving.said(/^serving certificates/))['listen']);
  }

  /** client -> outbound ==> inbound -> echo */
  async hop(): Promise<{ inbound: Program; outbound: Program }> {
    await this.ca('init', '--trust-domain', 'example.org');
    await this.serve();
    const server = await startServer((socket) => void socket.pipe(socket));
    onTestFinished(() => server.close());
    const inbound = await this.#proxy('server', formatAddress(server.address), '--tls-accept', 'mutual');
    const to = formatAddress(await inbound.loopback());
    const outbound = await this.#proxy('client', to, '--tls-dial', 'mutual', '--server-identity', idOf('server'));
    return { inbound, outbound };
  }

  async #proxy(name: string, upstream: string, ...flags: string[]): Promise<Program> {
    await this.ca('token', '--identity', `ns/default/sa/${name}`, '--out', this.path(`${name}.token`));
    const identity = [
      '--ca',
      this.authority,
      '--token-file',
      this.path(`${name}.token`),
      '--identity-dir',
      this.path(name),
    ];
    const where = ['--listen', '127.0.0.1:0', '--upstream', upstream, '--admin', 'off', '--log-format', 'json'];
    // Their patience is of this world: so many times as long in that of the programs.
    const patience = ['--connect-timeout', '2m', '--connect-deadline', '2m', '--tls-handshake-timeout', '5m'];
    return program([...where, '--engine', this.engine, '--access-log', 'errors', ...patience, ...identity, ...flags]);
  }
}

describe.each(['native', 'streams'])('a pair of proxies, engine %s', (engine) => {
  beforeEach((context) => context.skip(!existsSync(LIBRARY), 'libfaketime is not installed'));

  it('notices nothing while leaf, issuer and root are replaced under its traffic', { timeout: 180_000 }, async () => {
    const mesh = new FastMesh(engine);
    const { inbound, outbound } = await mesh.hop();
    const traffic = new Traffic(await outbound.loopback());
    // Once by itself, of both; then each step of each rotation, as soon as it is allowed.
    const renewed = /the certificate of .* holds for new connections/;
    await Promise.all([inbound.said(renewed), outbound.said(renewed)]);
    for (const kind of ['issuer', 'root']) {
      for (const step of ['prepare', 'activate', 'finish']) {
        const rotated = () =>
          mesh.ca('rotate', kind, '--step', step).then(
            () => 'done',
            (error) => String(error.stdout ?? error),
          );
        await expect.poll(rotated, { timeout: 60_000, interval: 250 }).toBe('done');
      }
    }
    // The new root has come, and the old one has left; an answer on its way meanwhile may tell of one of them once more.
    const trustChanges = (proxy: Program) =>
      proxy.log.filter(({ msg }) => /^whom to trust has changed/.test(String(msg)));
    for (const proxy of [inbound, outbound]) {
      await expect.poll(() => trustChanges(proxy).length).toBeGreaterThanOrEqual(2);
    }
    const before = traffic.served;
    await expect.poll(() => traffic.served).toBeGreaterThan(before + 10);
    await traffic.stop();
    expect(traffic.failures).toEqual([]);
    for (const proxy of [inbound, outbound]) expect(proxy.accessLines).toEqual([]);
    expect(await mesh.ca('status')).not.toMatch(/is being rotated/);
  });

  it('comes back by itself when the authority was gone for longer than a certificate lives', {
    timeout: 120_000,
  }, async () => {
    const mesh = new FastMesh(engine);
    const { inbound, outbound } = await mesh.hop();
    const address = await outbound.loopback();
    const stays = await connectTo(address);
    const asks = async (): Promise<string> => {
      stays.write('ping');
      return String(await readExactly(stays, 4));
    };
    expect(await asks()).toBe('ping');
    mesh.serving?.kill('SIGKILL');
    // Long before the end, and at it.
    await inbound.said(/the certificate is not renewed: the authority at .*: connection refused.*it is tried again/);
    await inbound.said(/expires in .*, and has not been renewed/);
    await Promise.all([inbound.said(/has expired: peers refuse it/), outbound.said(/has expired: peers refuse it/)]);
    expect(await asks()).toBe('ping');
    await mesh.serve(mesh.authority);
    await Promise.all([inbound.said(/is renewed at last/), outbound.said(/is renewed at last/)]);
    const serves = async (): Promise<boolean> => {
      const socket = await connectTo(address);
      socket.end('ping');
      return (await readAll(socket)).end === 'end';
    };
    await expect.poll(serves, { timeout: 10_000 }).toBe(true);
    expect(await asks()).toBe('ping');
    stays.destroy();
  });
});
