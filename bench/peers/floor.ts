import { join } from 'node:path';
import { compileC, compiler } from '../load/engine.js';
import { paths } from '../paths.js';
import type { Peer } from './peer.js';

/** A bare epoll loop in C, see floor.c: about the least that a proxy in user space can cost. */
export const floor: Peer = {
  name: 'floor',
  async detect() {
    const cc = await compiler();
    return 'missing' in cc ? { kind: 'missing', why: cc.missing } : { kind: 'available', version: cc.version };
  },
  async command(task) {
    const program = await compileC('floor', [join(paths.sources, 'peers', 'floor.c')], []);
    return { file: program, args: [String(task.listenPort), String(task.upstreamPort)] };
  },
};
