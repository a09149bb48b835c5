/**
 * `npm start`: the demo. `npm start -- ARGUMENTS`: the program with these arguments. Both from a bare clone.
 *
 * The program runs in this same process, so that signals and the exit code are its own.
 */
import { build, install, root } from './prepare.mjs';

install();
build();
const args = process.argv.slice(2);
process.argv = [process.argv[0], `${root}/dist/cli/main.js`, ...(args.length > 0 ? args : ['demo'])];
await import('../dist/cli/main.js');
