import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ask } from '../system/children.js';
import { mostConnections, type Peer, type Task } from './peer.js';

/** Pipes kept for splicing. By default HAProxy sets aside a quarter as many as it may have connections: too many for the descriptors there are. */
const PIPES = 200;

/** Pipes as large as an unprivileged process may have them: fewer and longer splices, which cost less per GB than the default of 64 KiB. */
const PIPE_BYTES = 1024 * 1024;

/**
 * One thread, no log, splicing forced: `splice-auto` leaves it to a heuristic that does not splice on loopback, so the
 * two forcing options are given as well. Buffers, events per poll and
 * the like are HAProxy's defaults.
 */
export function haproxyPreamble(task: Task): string {
  return `global
  nbthread 1
  maxconn ${mostConnections(task.descriptors)}
  maxpipes ${PIPES}
  tune.pipesize ${PIPE_BYTES}
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  option splice-auto
  option splice-request
  option splice-response
`;
}

export function haproxyConfig(task: Task): string {
  return `${haproxyPreamble(task)}listen bench
  bind 127.0.0.1:${task.listenPort} backlog 4096
  server upstream 127.0.0.1:${task.upstreamPort}
`;
}

export const haproxy: Peer = {
  name: 'haproxy',
  async detect() {
    const version = /version (\S+)/.exec((await ask('haproxy', '-v')) ?? '')?.[1];
    return version === undefined
      ? { kind: 'missing', why: 'haproxy is not installed: apt-get install haproxy' }
      : { kind: 'available', version };
  },
  async command(task) {
    const file = join(task.directory, 'haproxy.cfg');
    await writeFile(file, haproxyConfig(task));
    return { file: 'haproxy', args: ['-db', '-q', '-f', file] };
  },
};
