/** Connections that are opened, used once and held, in TypeScript: see native/idle.c. */
import { exchange, kept, stamped } from './client.js';
import { programOptions } from './options.js';

const options = programOptions();
for (let index = 0; index < options.connections; index++) {
  await exchange(await kept(options.port), stamped(options.size, index, 0));
}
console.log('ready');
process.stdin.on('end', () => process.exit(0)).resume();
