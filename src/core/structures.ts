/** Of mnemonist, what is used, each from its own file: loading all of it takes every thread 80 ms when it starts. */
import { createRequire } from 'node:module';
import type * as mnemonist from 'mnemonist';

// Its ES modules can be had all together only.
const require = createRequire(import.meta.url);

export const Queue = require('mnemonist/queue') as typeof mnemonist.Queue;
export type Queue<T> = mnemonist.Queue<T>;
