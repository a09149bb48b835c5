import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ask, type Command } from '../system/children.js';
import { mostConnections, type Peer, type Task } from './peer.js';

/** Where the stream module is: built in, in a file of its own, or not there. */
export type StreamModule =
  | { readonly kind: 'static' }
  | { readonly kind: 'dynamic'; readonly path: string }
  | { readonly kind: 'none' };

/** Reads `nginx -V`. */
export function streamModule(build: string): StreamModule {
  if (/--with-stream(\s|$)/.test(build)) return { kind: 'static' };
  const folder = /--modules-path=(\S+)/.exec(build)?.[1];
  if (!build.includes('--with-stream=dynamic') || folder === undefined) return { kind: 'none' };
  return { kind: 'dynamic', path: join(folder, 'ngx_stream_module.so') };
}

async function build(): Promise<string | undefined> {
  return ask('nginx', '-V');
}

/** What its two uses here have in common. One worker; a log only of what keeps it from working. */
function preamble(directory: string, connections: number): string {
  return `daemon off;
worker_processes 1;
worker_rlimit_nofile ${2 * connections + 100};
pid ${directory}/nginx.pid;
error_log stderr crit;
events { worker_connections ${2 * connections + 50}; }
`;
}

/** Half-close is off by default and is what the bulk workload ends its stream with; buffers are the default, 16 KiB each way. */
export function nginxStreamConfig(task: Task, module: StreamModule): string {
  const load = module.kind === 'dynamic' ? `load_module ${module.path};\n` : '';
  return `${load}${preamble(task.directory, mostConnections(task.descriptors))}stream {
  access_log off;
  server {
    listen 127.0.0.1:${task.listenPort} backlog=4096;
    proxy_pass 127.0.0.1:${task.upstreamPort};
    proxy_connect_timeout 2s;
    proxy_timeout 1h;
    proxy_half_close on;
  }
}
`;
}

/** An HTTP server whose connections are kept for as long as they are used. */
export function nginxHttpConfig(directory: string, port: number, body: string): string {
  return `${preamble(directory, 1_000)}http {
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    default_type text/plain;
    location / { return 200 "${body}"; }
  }
}
`;
}

/** Starts nginx on a configuration that is written to `directory` first. */
export async function nginxCommand(directory: string, config: string): Promise<Command> {
  const file = join(directory, 'nginx.conf');
  await writeFile(file, config);
  return { file: 'nginx', args: ['-p', directory, '-e', 'stderr', '-c', file] };
}

/** Its version, or `undefined` where it is not installed. */
export async function nginxVersion(): Promise<string | undefined> {
  return /nginx version: nginx\/(\S+)/.exec((await build()) ?? '')?.[1];
}

export const nginx: Peer = {
  name: 'nginx',
  async detect() {
    const version = await nginxVersion();
    if (version === undefined) {
      return { kind: 'missing', why: 'nginx is not installed: apt-get install nginx libnginx-mod-stream' };
    }
    const module = streamModule((await build()) ?? '');
    if (module.kind === 'none' || (module.kind === 'dynamic' && !existsSync(module.path))) {
      return { kind: 'missing', why: 'nginx is here without its stream module: apt-get install libnginx-mod-stream' };
    }
    return { kind: 'available', version };
  },
  async command(task) {
    const module = streamModule((await build()) ?? '');
    return nginxCommand(task.directory, nginxStreamConfig(task, module));
  },
};
