/**
 * `npm test`: installs, builds, type-checks, lints and tests, from a bare clone. Arguments after `--` go to vitest,
 * and then only the tests run.
 */
import { bin, build, install, run } from './prepare.mjs';

const args = process.argv.slice(2);
install();
build();
if (args.length === 0) {
  run(bin('tsc'), ['--noEmit']);
  run(bin('biome'), ['check', '--error-on-warnings']);
}
run(bin('vitest'), ['run', ...args]);
