/** All peers, in the order in which the tables show them. To add one: a file beside this, and a line here. */
import { direct } from './direct.js';
import { floor } from './floor.js';
import { haproxy } from './haproxy.js';
import { meshproxy, NATIVE } from './meshproxy.js';
import { nginx } from './nginx.js';
import type { Peer } from './peer.js';
import { pipe } from './pipe.js';

/** `extra` are further arguments for all that are meshproxy. */
export function allPeers(extra: readonly string[]): readonly Peer[] {
  return [
    direct,
    floor,
    haproxy,
    nginx,
    pipe,
    meshproxy({ name: 'streams', args: [...extra, '--engine', 'streams'] }),
    meshproxy({ name: 'meshproxy', args: [...NATIVE, ...extra] }),
  ];
}
