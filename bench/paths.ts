/** Where things are. The benchmarks run as compiled: this file is bench/dist/paths.js then. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
/** bench/, whether this runs compiled or from its source, as in the tests. */
const sources = here.endsWith('dist') ? dirname(here) : here;

export const paths = {
  sources,
  /** The TypeScript as compiled. */
  built: join(sources, 'dist'),
  /** The C programs as compiled. */
  binaries: join(sources, 'dist', 'native'),
  results: join(sources, 'results'),
  /** The program that is measured. */
  meshproxy: join(sources, '..', 'dist', 'cli', 'main.js'),
  root: dirname(sources),
};
