/**
 * What runs as compiled. One file, for they are compiled once: two would do so at the same time into the same folder.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll } from 'vitest';
import { paths } from '../../bench/paths.js';
import { loadSuite } from './load-suite.js';
import { mainSuite } from './main-suite.js';

beforeAll(() => {
  const tsc = join(paths.root, 'node_modules', '.bin', 'tsc');
  execFileSync(tsc, ['-p', 'bench/tsconfig.json'], { cwd: paths.root });
});

loadSuite();
mainSuite();
