/** What is overloaded, and how: the upstream and the proxy of a run, and who comes. */
import { join } from 'node:path';
import { z } from 'zod';
import { paths } from '../paths.js';
import { type Child, type Command, pinned, run, start } from '../system/children.js';
import type { Pinning } from '../system/machine.js';
import { freePort, listening } from '../system/ports.js';

export interface Scene {
  readonly name: string;
  readonly title: string;
  /** What a client may be made to wait for its turn, ms: it may take so much longer than it would have taken alone. */
  readonly targetMs: number;
  readonly clients: 'plain' | 'tls';
  upstream(port: number): Command;
  /** Further arguments of the proxy; with and without what protects it. */
  readonly args: readonly string[];
  readonly protection: readonly string[];
  readonly unprotected: readonly string[];
}

/** Clients that come at a rate a second, or so many at a time, each after the other. */
export type Clients = { readonly rate: number } | { readonly 'at-once': number };

const result = z.object({
  answered: z.number(),
  refused: z.number(),
  gaveUp: z.number(),
  seconds: z.number(),
  latenciesMs: z.array(z.number()),
});
export type RunResult = Readonly<z.infer<typeof result>>;

/** After that clients give up. */
const PATIENCE_MS = 2_000;

/** Until the proxy knows that it is overloaded, and is warm, s: what becomes of those who come before that is not counted. */
const WARMUP_S = 2;

function program(name: string, options: Readonly<Record<string, string | number>>): Command {
  const flags = Object.entries(options).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
  return { file: process.execPath, args: [join(paths.built, 'load', 'node', `${name}.js`), ...flags] };
}

export function boundedServer(port: number, slots: number, delayMs: number): Command {
  return program('bounded-server', { port, slots, delay: delayMs });
}

/** Starts upstream and proxy afresh, sends clients at that rate, and ends both. */
export async function measure(scene: Scene, isProtected: boolean, clients: Clients, seconds: number, pinning: Pinning) {
  const [port, upstreamPort] = [await freePort(), await freePort()];
  const children: Child[] = [];
  const begin = async (command: Command, onPort: number): Promise<void> => {
    const child = await start(command);
    children.push(child);
    await listening(onPort, child.ended);
  };
  try {
    await begin(pinned(scene.upstream(upstreamPort), pinning.load), upstreamPort);
    const common = ['--admin', 'off', '--access-log', 'off', '--workers', '1', '--engine', 'native'];
    const way = ['--listen', `127.0.0.1:${port}`, '--upstream', `127.0.0.1:${upstreamPort}`];
    const more = [...scene.args, ...(isProtected ? scene.protection : scene.unprotected)];
    const proxy = { file: process.execPath, args: [paths.meshproxy, ...way, ...common, ...more] };
    await begin(pinned(proxy, pinning.proxy), port);
    const warmup = 'rate' in clients ? WARMUP_S : 0;
    const options = { mode: scene.clients, port, seconds, warmup, patience: PATIENCE_MS, ...clients };
    const output = await run(pinned(program('arrivals', options), pinning.load), (seconds + 30) * 1000);
    return result.parse(JSON.parse(output));
  } finally {
    for (const child of children.reverse()) await child.stop();
  }
}
