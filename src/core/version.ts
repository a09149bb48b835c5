import { createRequire } from 'node:module';

/** Of this program: `0.1.0`. */
export const VERSION: string = createRequire(import.meta.url)('../../package.json').version;
