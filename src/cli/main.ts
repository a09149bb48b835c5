#!/usr/bin/env node
/**
 * The program. It imports little by itself: Node opens all files of a program side by side, and where a process may have only few of
 * them open that fails before any of ours has run, with a stack that tells an operator nothing.
 */
import { descriptorLimit } from '../core/descriptors.js';
import { EXIT } from './report.js';

/** Node has some 90 open at a time while it loads the program. */
const LEAST_DESCRIPTORS = 100;

const limit = descriptorLimit() ?? LEAST_DESCRIPTORS;
if (limit < LEAST_DESCRIPTORS) {
  process.stderr.write(
    `meshproxy: this process may have only ${limit} files open, and needs ${LEAST_DESCRIPTORS} to start\n` +
      '  raise its limit of open files (ulimit -n, LimitNOFILE=): each connection needs two\n',
  );
  process.exitCode = EXIT.failed;
} else {
  await import('./command-line.js');
}
