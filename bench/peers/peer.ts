/** What stands between the client and the server in a benchmark. */
import type { Command } from '../system/children.js';

/** Whether a peer can take part, and if not, the line that says how it could. */
export type Detection =
  | { readonly kind: 'available'; readonly version: string }
  | { readonly kind: 'missing'; readonly why: string };

/** What a peer is to do. */
export interface Task {
  /** Ports of 127.0.0.1. */
  readonly listenPort: number;
  readonly upstreamPort: number;
  /** Free for a peer that serves its metrics. */
  readonly adminPort: number;
  /** A folder of its own for what it has to write: configuration, pid file. */
  readonly directory: string;
  /** One that all cells of the run have in common, for what is made once. */
  readonly scratch: string;
  /** The most descriptors that a process may have on this machine. */
  readonly descriptors: number;
}

export interface Peer {
  readonly name: string;
  detect(): Promise<Detection>;
  /** How to run it in the foreground, access log off, on one thread unless its name says otherwise; `undefined` for none: the client then goes straight to the server. */
  command(task: Task): Promise<Command | undefined>;
  /** Of a peer that is two proxies one behind the other, the far one: the other's upstream. CPU and memory are those of both. */
  far?(task: Task): Promise<Command | undefined>;
}

/** Descriptors that a proxy needs besides two for each connection: listeners, epoll, logs, and the pipes of `splice`. */
const SPARE_DESCRIPTORS = 1_000;

/** How many connections a proxy can hold with so many descriptors. */
export function mostConnections(descriptors: number): number {
  return Math.max(1, Math.floor((descriptors - SPARE_DESCRIPTORS) / 2));
}
