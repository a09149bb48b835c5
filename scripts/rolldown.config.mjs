/**
 * From src to dist, as it is published: few files, each with what it needs of our dependencies, for most of the time that
 * a program takes to start goes into finding and reading files. What is imported late stays in files of its own.
 *
 * Outside remains what is loaded through `createRequire`: koffi, which is native code, and a part of mnemonist. These
 * two are dependencies of the package, and so are zod and pino, for the library's types are made of theirs.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'rolldown';

export default defineConfig({
  input: { index: 'src/index.ts', 'cli/main': 'src/cli/main.ts', 'workers/worker': 'src/workers/worker.ts' },
  platform: 'node',
  output: {
    entryFileNames: '[name].js',
    // A folder deep, as the modules of src are: what names a file beside it or above finds it in both.
    chunkFileNames: 'shared/[name].js',
  },
  plugins: [{ name: 'notices', generateBundle: writeNotices }],
});

/** The licences of the packages that are in the bundle, which ask to go where their code goes. */
function writeNotices(_options, bundle) {
  const modules = Object.values(bundle).flatMap(({ moduleIds = [] }) => moduleIds);
  const packages = new Set(modules.flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? []));
  const source = [...packages]
    .sort()
    .map(noticeOf)
    .join(`\n${'-'.repeat(80)}\n\n`);
  this.emitFile({ type: 'asset', fileName: 'THIRD-PARTY-NOTICES.txt', source });
}

function noticeOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file));
  if (files.length === 0)
    throw new Error(`${name} has no licence beside its code; its text has to come from elsewhere`);
  return [`${name} ${version} (${license})\n`, ...files.map((file) => readFileSync(join(folder, file), 'utf8'))].join(
    '\n',
  );
}
