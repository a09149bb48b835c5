/** `npm run bench`: builds the program and the benchmarks, then runs them. Arguments after `--` go to them. */
import { build, buildBench, install, root, run } from './prepare.mjs';

install();
build();
buildBench();
run(process.execPath, [`${root}/bench/dist/main.js`, ...process.argv.slice(2)]);
