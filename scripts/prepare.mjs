/**
 * What `npm start`, `npm test` and `npm run bench` have in common: a clone with nothing installed becomes one that can
 * run. Uses Node's own modules only, for it runs before anything is installed. Each step is left out where its result
 * is there and newer than what it is made of.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const BUNDLE = 'scripts/rolldown.config.mjs';

/** Runs a command in the project's folder with its output shown; ends this program with its exit code where it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (result.error) {
    console.error(`cannot run ${command}: ${result.error.message}`);
    process.exit(1);
  }
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** The path of a program that a dependency brought. */
export function bin(name) {
  return join(root, 'node_modules', '.bin', process.platform === 'win32' ? `${name}.cmd` : name);
}

function newest(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return readdirSync(path).reduce((latest, entry) => Math.max(latest, newest(join(path, entry))), stat.mtimeMs);
}

function isStale(result, ...sources) {
  if (!existsSync(result)) return true;
  const made = statSync(result).mtimeMs;
  return sources.some((source) => newest(source) > made);
}

/** Installs what package-lock.json names, unless that has been done. */
export function install() {
  const mark = join(root, 'node_modules', '.package-lock.json');
  if (!isStale(mark, join(root, 'package-lock.json'))) return;
  console.error('meshproxy: installing dependencies ...');
  // Standard output stays the program's own: what npm has to say goes to standard error.
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { stdio: ['ignore', 2, 2] });
  // A checkout may give package-lock.json a later time than npm's mark has: then this would install at every start.
  const now = new Date();
  if (existsSync(mark)) utimesSync(mark, now, now);
}

/** Has `fill` make the folder `out`, unless what is there is newer than its sources. */
function make(out, sources, fill) {
  const mark = join(root, out, '.built');
  if (!isStale(mark, ...sources.map((source) => join(root, source)))) return;
  console.error(`meshproxy: building ${out} ...`);
  // Beside the place and then moved there: what runs meanwhile finds the old or the new, whole.
  const fresh = join(root, `${out}.${process.pid}`);
  process.once('exit', () => rmSync(fresh, { recursive: true, force: true }));
  fill(fresh);
  writeFileSync(join(fresh, '.built'), '');
  rmSync(join(root, out), { recursive: true, force: true });
  renameSync(fresh, join(root, out));
}

function compile(project, folder) {
  run(bin('tsc'), ['-p', project, '--outDir', folder], { stdio: ['ignore', 2, 2] });
}

/**
 * `build`: a file and its types for each one of src, for tests and benchmarks of single parts. `dist`: what is published,
 * the bundle and the types.
 */
export function build() {
  const sources = ['tsconfig.json', 'tsconfig.build.json', 'src', 'package.json'];
  make('build', sources, (folder) => compile('tsconfig.build.json', folder));
  make('dist', [...sources, 'package-lock.json', BUNDLE], (folder) => {
    // To standard output it writes a list of the files; what is wrong goes to standard error.
    run(bin('rolldown'), ['--config', BUNDLE, '--dir', folder], { stdio: ['ignore', 'ignore', 2] });
    const isType = (path) => statSync(path).isDirectory() || path.endsWith('.d.ts');
    cpSync(join(root, 'build'), folder, { recursive: true, filter: isType });
  });
}

export function buildBench() {
  make('bench/dist', ['tsconfig.json', 'bench/tsconfig.json', ...benchSources()], (folder) =>
    compile('bench/tsconfig.json', folder),
  );
}

function benchSources() {
  return readdirSync(join(root, 'bench'), { recursive: true })
    .filter((file) => file.endsWith('.ts') && !file.startsWith('dist'))
    .map((file) => join('bench', file));
}
