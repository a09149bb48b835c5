/** `npm run bench:simulate`: builds the program and the benchmarks, then simulates the balancers. Arguments after `--` go to it. */
import { build, buildBench, install, root, run } from './prepare.mjs';

install();
build();
buildBench();
run(process.execPath, [`${root}/bench/dist/simulate.js`, ...process.argv.slice(2)]);
