import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ConnectionsView, StatusView } from '../../src/admin/views.js';
import { formatAddress, type IpAddress, parseAddress, type SocketAddress } from '../../src/core/address.js';
import { connectTo, readAll, readExactly, startServer } from '../fakes/net.js';
import { Program } from './program.js';

/** Says its name, and then sends back what it is sent. Its address. */
async function echo(name: string): Promise<string> {
  const server = await startServer((socket) => {
    socket.write(name);
    socket.pipe(socket);
  });
  onTestFinished(() => server.close());
  return formatAddress(server.address);
}

/** A configuration file that can be replaced as a whole, as editors and deployments do. */
class ConfigFile {
  readonly path: string;

  constructor(text: string) {
    const folder = mkdtempSync(join(tmpdir(), 'meshproxy-reload-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    this.path = join(folder, 'meshproxy.yaml');
    this.write(text);
  }

  write(text: string): void {
    writeFileSync(`${this.path}.new`, text);
    renameSync(`${this.path}.new`, this.path);
  }
}

/** One listener on any free port for each service, with the same name. */
function yaml(services: Readonly<Record<string, readonly string[]>>): string {
  const names = Object.keys(services);
  return [
    'admin: 127.0.0.1:0',
    'listeners:',
    ...names.map((name) => `  ${name}: {address: "127.0.0.1:0"}`),
    'services:',
    ...names.map((name) => `  ${name}: {upstreams: ${JSON.stringify(services[name])}}`),
  ].join('\n');
}

async function open(address: SocketAddress): Promise<Socket> {
  const socket = await connectTo(address);
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** The name of the server that a new connection to `address` gets to. */
async function answerFrom(address: SocketAddress): Promise<string> {
  const socket = await open(address);
  socket.end();
  return (await readAll(socket)).bytes.toString();
}

/** Where a listener listens that came with a reload. */
async function listenerNow(program: Program, name: string): Promise<IpAddress> {
  const { listeners } = await program.json<StatusView>('/status');
  const address = parseAddress(listeners.find((one) => one.name === name)?.address ?? '');
  if (address.kind !== 'ip') throw new Error(`${name} listens on ${formatAddress(address)}`);
  return address;
}

async function refusesConnections(address: SocketAddress): Promise<void> {
  await expect(connectTo(address)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
}

describe('a reload', () => {
  it('brings listeners and services and takes others away; their connections live on to their own end', async () => {
    const [old, next] = [await echo('old'), await echo('next')];
    const file = new ConfigFile(yaml({ web: [old] }));
    const program = new Program(['--config', file.path]);
    const web = await program.loopback('web');
    const live = await open(web);
    expect((await readExactly(live, 3)).toString()).toBe('old');

    file.write(yaml({ api: [next] }));
    program.kill('SIGHUP');
    const { msg } = await program.said(/version 2 is in force/);
    for (const change of ['web: removed', 'api: added']) {
      expect(msg).toContain(`listeners.${change}`);
      expect(msg).toContain(`services.${change}`);
    }
    await refusesConnections(web);
    expect(await answerFrom(await listenerNow(program, 'api'))).toBe('next');

    live.write('still served');
    expect((await readExactly(live, 12)).toString()).toBe('still served');
    const { connections } = await program.json<ConnectionsView>('/connections');
    expect(connections).toMatchObject([{ listener: 'web', service: 'web', endpoint: old, phase: 'relaying' }]);
    expect(await program.metric('meshproxy_connections_active', { listener: 'web' })).toBe(1);
    live.end(' to the end');
    expect(await readAll(live)).toEqual({ bytes: Buffer.from(' to the end'), end: 'end' });
    expect(await program.accessLine(({ listener }) => listener === 'web')).toMatchObject({
      service: 'web',
      endpoint: old,
      bytesReceived: 23,
      ending: 'completed',
    });
    await expect.poll(() => program.text('/metrics')).not.toContain('listener="web"');
  });

  it('takes an upstream away from a service: its connection lives on, and no new one goes there', async () => {
    const [a, b] = [await echo('a'), await echo('b')];
    const file = new ConfigFile(yaml({ web: [a, b] }));
    const program = new Program(['--config', file.path, '--balance', 'round-robin']);
    const web = await program.loopback('web');
    const live = await open(web);
    expect((await readExactly(live, 1)).toString()).toBe('a');
    file.write(yaml({ web: [b] }));
    await program.said(/has changed: version 2 is in force/);
    expect(await Promise.all(Array.from({ length: 5 }, () => answerFrom(web)))).toEqual(['b', 'b', 'b', 'b', 'b']);
    live.end('with a to the end');
    expect((await readAll(live)).bytes.toString()).toBe('with a to the end');
  });

  it.each(['SIGHUP', 'a change of the file'])(
    'by %s is refused where the file has errors, each told with its line, and what was in force stays so',
    async (trigger) => {
      const upstream = await echo('a');
      const good = yaml({ web: [upstream] });
      const file = new ConfigFile(good);
      const program = new Program(['--config', file.path]);
      const web = await program.loopback('web');
      file.write(`${good}\ndrainTimeout: 5\nlimits:\n  maxConections: 7\n`);
      if (trigger === 'SIGHUP') program.kill('SIGHUP');
      await program.said(/refused, and version 1 stays in force/);
      // The fifth line is the last of the good ones.
      for (const problem of ['6:15: drainTimeout: 5 is not a duration; write 5s or 5ms', '8:3: limits: unknown key']) {
        const { level } = await program.logged(({ msg }) => msg.startsWith(`${file.path}:${problem}`));
        expect(level).toBe('error');
      }
      expect(await program.json('/config')).toMatchObject({ version: 1, config: { drainTimeout: '30s' } });
      expect((await program.json<StatusView>('/status')).config.refused?.error).toContain('drainTimeout');
      expect(await program.metric('meshproxy_config_version')).toBe(1);
      expect(await program.metric('meshproxy_config_last_reload_successful')).toBe(0);
      expect(await program.metric('meshproxy_config_reloads_total', { result: 'refused' })).toBeGreaterThan(0);
      expect(await answerFrom(web)).toBe('a');

      file.write(`${good}\ndrainTimeout: 5s\n`);
      await program.said(/version 2 is in force: drainTimeout: 5s, was 30s/);
      expect(await program.json('/config')).toMatchObject({ version: 2, config: { drainTimeout: '5s' } });
      expect(await program.metric('meshproxy_config_version')).toBe(2);
      expect(await program.metric('meshproxy_config_last_reload_successful')).toBe(1);
    },
  );

  it('is refused as a whole where one port is in use', async () => {
    const [a, b] = [await echo('a'), await echo('b')];
    const file = new ConfigFile(yaml({ web: [a] }));
    const program = new Program(['--config', file.path]);
    const web = await program.loopback('web');
    const busy = await echo('somebody else');
    file.write(
      yaml({ web: [b], first: [b], last: [b] }).replace('last: {address: "127.0.0.1:0"', `last: {address: "${busy}"`),
    );
    await program.said(/refused, and version 1 stays in force/);
    await program.said(new RegExp(`cannot listen on ${busy}: the address is already in use`));
    const { config, listeners } = await program.json<StatusView>('/status');
    expect(config).toMatchObject({ version: 1, refused: { error: expect.stringContaining(busy) } });
    expect(listeners.map(({ name }) => name)).toEqual(['web']);
    expect(await answerFrom(web)).toBe('a');
  });

  it('turns nobody away, however many there are one after the other', async () => {
    const [a, b] = [await echo('a'), await echo('b')];
    const file = new ConfigFile(yaml({ web: [a] }));
    const program = new Program(['--config', file.path]);
    const web = await program.loopback('web');
    const answers: string[] = [];
    let reloading = true;
    const connectAllTheWhile = async (): Promise<void> => {
      while (reloading) answers.push(await answerFrom(web));
    };
    const clients = Promise.all([connectAllTheWhile(), connectAllTheWhile(), connectAllTheWhile()]);
    for (let version = 2; version <= 12; version += 1) {
      file.write(yaml({ web: [version % 2 === 0 ? b : a] }));
      program.kill('SIGHUP');
      await program.said(new RegExp(`version ${version} is in force`));
    }
    reloading = false;
    await clients;
    expect(new Set(answers)).toEqual(new Set(['a', 'b']));
    expect(await answerFrom(web)).toBe('b');
  });
});
