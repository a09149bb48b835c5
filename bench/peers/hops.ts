/**
 * Two proxies of a kind with mutual TLS 1.3 between them: client, in plain, to the near one, over TLS to the far one, in
 * plain to the server. nginx is not among them: it verifies a server by its host name, and ours have SPIFFE IDs.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { credentialsIn, type End, identityOf } from './credentials.js';
import { haproxy, haproxyPreamble } from './haproxy.js';
import { meshproxy, NATIVE, type Variant } from './meshproxy.js';
import type { Peer, Task } from './peer.js';

function meshproxyHop({ name, args }: Variant): Peer {
  const command = async (task: Task, end: End, mode: readonly string[]) => {
    const { certificate, key, bundle } = (await credentialsIn(task.scratch))[end];
    const identity = ['--tls-certificate', certificate, '--tls-key', key, '--tls-bundle', bundle];
    return meshproxy({ name, args: [...mode, ...identity, ...args] }).command(task);
  };
  return {
    ...meshproxy({ name, args }),
    command: (task) => command(task, 'near', ['--tls-dial', 'mutual', '--server-identity', identityOf('far')]),
    far: (task) => command(task, 'far', ['--tls-accept', 'mutual', '--client-identity', identityOf('near')]),
  };
}

/** HAProxy resumes sessions unless it is told not to. */
type Sessions = 'resumed' | 'never resumed';

async function haproxyEnd(task: Task, end: End, sessions: Sessions) {
  const { both, bundle } = (await credentialsIn(task.scratch))[end];
  const tls = `ssl crt ${both} ca-file ${bundle} verify required`;
  const reuse = sessions === 'resumed' ? '' : ' no-ssl-reuse';
  const [bind, server] =
    end === 'far' ? [`${tls} ssl-min-ver TLSv1.3`, ''] : ['', `${tls} ssl-min-ver TLSv1.3${reuse}`];
  const file = join(task.directory, `haproxy-${end}.cfg`);
  const config = `${haproxyPreamble(task)}listen bench
  bind 127.0.0.1:${task.listenPort} backlog 4096 ${bind}
  server upstream 127.0.0.1:${task.upstreamPort} ${server}
`;
  await writeFile(file, config);
  return { file: 'haproxy', args: ['-db', '-q', '-f', file] };
}

function haproxyHop(name: string, sessions: Sessions): Peer {
  return {
    name,
    detect: () => haproxy.detect(),
    command: (task) => haproxyEnd(task, 'near', sessions),
    far: (task) => haproxyEnd(task, 'far', sessions),
  };
}

/** `extra` are further arguments for both ends of those that are meshproxy. */
export function hops(extra: readonly string[]): readonly Peer[] {
  return [
    haproxyHop('haproxy', 'resumed'),
    meshproxyHop({ name: 'streams', args: [...extra, '--engine', 'streams'] }),
    meshproxyHop({ name: 'meshproxy', args: [...NATIVE, ...extra] }),
  ];
}

/** Where handshakes count: also one that makes all of them in full. */
export function hopsByHandshake(extra: readonly string[]): readonly Peer[] {
  return [haproxyHop('haproxy-full', 'never resumed'), ...hops(extra)];
}
