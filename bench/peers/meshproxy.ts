import { existsSync } from 'node:fs';
import { paths } from '../paths.js';
import { ask } from '../system/children.js';
import type { Peer } from './peer.js';

/** The program itself, as built, with `extra` arguments after those that the benchmark needs. */
export function meshproxy(extra: readonly string[]): Peer {
  return {
    name: 'meshproxy',
    async detect() {
      if (!existsSync(paths.meshproxy)) return { kind: 'missing', why: 'meshproxy is not built: npm run build' };
      const version = await ask(process.execPath, paths.meshproxy, '--version');
      return version === undefined
        ? { kind: 'missing', why: 'meshproxy does not start: node dist/cli/main.js --version' }
        : { kind: 'available', version: [version, ...extra].join(' ') };
    },
    command: async (task) => ({
      file: process.execPath,
      args: [
        paths.meshproxy,
        ...['--listen', `127.0.0.1:${task.listenPort}`],
        ...['--upstream', `127.0.0.1:${task.upstreamPort}`],
        ...['--admin', 'off', '--access-log', 'off'],
        ...extra,
      ],
    }),
  };
}
