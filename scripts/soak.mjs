/** `npm run soak -- --seconds 300 --seed 7`: builds the program and runs its soak test for that long. */
import { parseArgs } from 'node:util';
import { bin, build, install, run } from './prepare.mjs';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' } },
});
const env = { ...process.env, SOAK_SECONDS: values.seconds };
if (values.seed !== undefined) env.SOAK_SEED = values.seed;
install();
build();
run(bin('vitest'), ['run', 'test/e2e/soak.test.ts'], { env });
