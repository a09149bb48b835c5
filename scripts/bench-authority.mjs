/** `npm run bench:authority`: builds the program and the benchmarks, then measures what certificates cost. */
import { build, buildBench, install, root, run } from './prepare.mjs';

install();
build();
buildBench();
run(process.execPath, [`${root}/bench/dist/authority.js`]);
