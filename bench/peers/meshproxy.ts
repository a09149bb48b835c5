import { existsSync } from 'node:fs';
import { paths } from '../paths.js';
import { ask } from '../system/children.js';
import type { Peer } from './peer.js';

/** One way to run meshproxy: what the peers that are meshproxy differ in. */
export interface Variant {
  /** What the tables call it. */
  readonly name: string;
  /** After the arguments that the benchmark needs: of an option given twice, the last counts. */
  readonly args: readonly string[];
  /** Whether the admin listens, at the task's admin port. */
  readonly admin?: true;
}

/** The program itself, as built, with the access log off. */
export function meshproxy({ name, args, admin }: Variant): Peer {
  return {
    name,
    async detect() {
      if (!existsSync(paths.meshproxy)) return { kind: 'missing', why: 'meshproxy is not built: npm run build' };
      const version = await ask(process.execPath, paths.meshproxy, '--version');
      if (version === undefined) {
        return { kind: 'missing', why: 'meshproxy does not start: node dist/cli/main.js --version' };
      }
      return { kind: 'available', version: [version, ...args].join(' ') };
    },
    command: async (task) => ({
      file: process.execPath,
      args: [
        paths.meshproxy,
        ...['--listen', `127.0.0.1:${task.listenPort}`],
        ...['--upstream', `127.0.0.1:${task.upstreamPort}`],
        ...['--admin', admin ? `127.0.0.1:${task.adminPort}` : 'off', '--access-log', 'off'],
        ...args,
      ],
    }),
  };
}

/** The native engine on one thread: what the others, which have one each, are compared with. */
export const NATIVE = ['--engine', 'native', '--workers', '1'];
