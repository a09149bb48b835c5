/** HAProxy and nginx in front of a test server, where they are installed. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IpAddress } from '../../../src/core/address.js';
import { descriptorOf } from '../../../src/l4/streams/socket.js';

export interface Peer {
  /** Where it listens; clients may connect at once. */
  readonly address: IpAddress;
  /** Rejects, with what it had to say, if it ends by itself: what a test waits for would never come. */
  readonly died: Promise<never>;
  stop(): Promise<void>;
}

const haproxyVersion = spawnSync('haproxy', ['-v']);
export const hasHaproxy = haproxyVersion.status === 0;
const nginxVersion = String(spawnSync('nginx', ['-V']).stderr ?? '');
export const hasNginx = /--with-stream\b/.test(nginxVersion);

/** HAProxy with what `bind` and `server` say after their addresses. It passes on the unique ID that it was told. */
export function startHaproxy(bind: string, server: string, upstream: IpAddress): Promise<Peer> {
  return startPeer('haproxy.cfg', (file) => ({
    config: `
      defaults
        mode tcp
        timeout connect 30s
        timeout client 30s
        timeout server 30s
      frontend in
        bind fd@3 ${bind}
        unique-id-format %[fc_pp_unique_id]
        default_backend out
      backend out
        server one ${upstream.host}:${upstream.port} ${server}
    `,
    command: ['haproxy', '-db', '-f', file],
  }));
}

/** nginx with what the `listen` directive says after its address, and what is done with a connection then. */
export function startNginx(listen: string, action: string): Promise<Peer> {
  const modules = /--modules-path=(\S+)/.exec(nginxVersion)?.[1] ?? '';
  const stream = join(modules, 'ngx_stream_module.so');
  return startPeer('nginx.conf', (file, { host, port }) => ({
    config: `
      ${existsSync(stream) ? `load_module ${stream};` : ''}
      daemon off;
      pid ${file}.pid;
      error_log stderr crit;
      events {}
      stream {
        server {
          listen ${host}:${port} ${listen};
          ${action};
        }
      }
    `,
    command: ['nginx', '-e', 'stderr', '-c', file],
    // nginx takes the sockets that its previous self, before an upgrade, has left it under these numbers.
    env: { NGINX: '3;' },
  }));
}

interface Recipe {
  readonly config: string;
  readonly command: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Starts a program that is handed a socket which listens already, as its descriptor 3: no port can be lost to
 * somebody else, and connections wait in the kernel until the program has come up.
 */
async function startPeer(name: string, recipe: (file: string, address: IpAddress) => Recipe): Promise<Peer> {
  const listener = net.createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { address: host, port } = listener.address() as net.AddressInfo;
  const address: IpAddress = { kind: 'ip', host, port };
  const directory = mkdtempSync(join(tmpdir(), 'meshproxy-peer-'));
  const file = join(directory, name);
  const { config, command, env } = recipe(file, address);
  writeFileSync(file, `${config.replace(/^ {6}/gm, '').trim()}\n`);
  const [program, ...options] = command;
  const child = spawn(program, options, {
    stdio: ['ignore', 'ignore', 'pipe', descriptorOf(listener)],
    env: { ...process.env, ...env },
  });
  listener.close();
  return { address, died: death(child), stop: () => stop(child, directory) };
}

function death(child: ChildProcess): Promise<never> {
  let said = '';
  child.stderr?.on('data', (chunk) => {
    said += chunk;
  });
  const died = once(child, 'close').then(() => {
    throw new Error(`${child.spawnfile} ended: ${said}`);
  });
  // Not every test waits for it, and `stop` brings it about too.
  died.catch(() => {});
  return died;
}

async function stop(child: ChildProcess, directory: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
  rmSync(directory, { recursive: true });
}
