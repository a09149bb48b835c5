/**
 * The load programs, in one of two makes with the same options and output: `native` (C, compiled here) wherever there
 * is a compiler and Linux, and `node` elsewhere. A load generator in JavaScript costs about as much as a proxy in it,
 * so figures from `node` tell CPU per unit, but not how fast a proxy could have gone.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { paths } from '../paths.js';
import { ask, type Command } from '../system/children.js';

export const LOAD_PROGRAMS = ['server', 'rr', 'connect', 'open-loop', 'bulk', 'idle'] as const;
export type LoadProgram = (typeof LOAD_PROGRAMS)[number];

/** Options as all load programs take them; each uses those that concern it. */
export interface LoadOptions {
  readonly port: number;
  /** The server's: send everything back, or swallow it and answer with its checksum. */
  readonly mode?: 'echo' | 'sink';
  readonly connections?: number;
  /** Bytes of a message. */
  readonly size?: number;
  readonly seconds?: number;
  /** Messages per second. */
  readonly rate?: number;
}

export interface LoadEngine {
  readonly kind: 'native' | 'node';
  command(program: LoadProgram, options: LoadOptions): Command;
}

function flags(options: LoadOptions): string[] {
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
}

export const nodeEngine: LoadEngine = {
  kind: 'node',
  command: (program, options) => ({
    file: process.execPath,
    args: [join(paths.built, 'load', 'node', `${program}.js`), ...flags(options)],
  }),
};

const nativeEngine: LoadEngine = {
  kind: 'native',
  command: (program, options) => ({ file: join(paths.binaries, program), args: flags(options) }),
};

/** Compiles `sources` into the program `name`, unless that is newer than all of `watched`; returns its path. */
export async function compileC(name: string, sources: readonly string[], watched: readonly string[]): Promise<string> {
  const program = join(paths.binaries, name);
  const made = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if ([...sources, ...watched].every((source) => statSync(source).mtimeMs < made)) return program;
  mkdirSync(paths.binaries, { recursive: true });
  // Renamed into place when it is whole: another benchmark may be running the one that is there.
  const unfinished = `${program}.${process.pid}`;
  await promisify(execFile)('cc', ['-std=c11', '-O2', '-Wall', '-Wextra', '-o', unfinished, ...sources]);
  renameSync(unfinished, program);
  return program;
}

/** Version of the C compiler, or why there is none to be had. */
export async function compiler(): Promise<{ version: string } | { missing: string }> {
  if (process.platform !== 'linux') return { missing: 'the C programs use epoll, which only Linux has' };
  const version = await ask('cc', '--version');
  return version === undefined
    ? { missing: 'cc is not installed: apt-get install gcc libc6-dev' }
    : { version: version.split('\n')[0] ?? version };
}

/** The engine that `wanted` names; `auto` is `native` where it can be built, and `warn` is told where it cannot. */
export async function loadEngine(
  wanted: 'auto' | 'native' | 'node',
  warn: (line: string) => void,
): Promise<LoadEngine> {
  if (wanted === 'node') return nodeEngine;
  const cc = await compiler();
  if ('missing' in cc) {
    if (wanted === 'native') throw new Error(`--load native: ${cc.missing}`);
    warn(`load generators in C left out, those in TypeScript used instead: ${cc.missing}`);
    return nodeEngine;
  }
  const source = (file: string) => join(paths.sources, 'native', file);
  for (const program of LOAD_PROGRAMS) {
    await compileC(program, [source(`${program}.c`), source('common.c')], [source('common.h')]);
  }
  return nativeEngine;
}
