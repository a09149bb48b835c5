/** `npm run bench:overload`: builds the program and the benchmarks, then overloads a service and a proxy. Arguments after `--` go to it. */
import { build, buildBench, install, root, run } from './prepare.mjs';

install();
build();
buildBench();
run(process.execPath, [`${root}/bench/dist/overload.js`, ...process.argv.slice(2)]);
