/**
 * Loaded into every thread of the program: collects garbage again and again, so that memory which C still uses and
 * JavaScript no longer refers to is gone for certain. Each thread says once that it does, in a file of its own.
 */
import { writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { threadId } from 'node:worker_threads';

/** Long enough that the program mostly does its work. */
const EVERY_MS = 100;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
let rounds = 0;
setInterval(() => {
  rounds += 1;
  // Young objects mostly, and everything, compacted, in between.
  if (rounds % 5 === 0) collect();
  else collect({ type: 'minor' });
  if (rounds === 1) writeFileSync(`${process.env['SOAK_FOLDER']}/${threadId}`, '');
}, EVERY_MS).unref();
