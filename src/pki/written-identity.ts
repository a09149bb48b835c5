/** An identity as files in a folder, for whoever reads certificates from files. */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, MeshproxyError } from '../core/errors.js';
import type { Issued } from './authority.js';
import { fileError, SECRET_MODE, writeWhole } from './safe-files.js';

export interface WrittenIdentityOptions {
  /** PEM; absent where its owner has it. */
  readonly key: string | undefined;
  /** Files that are there may be replaced. */
  readonly replace: boolean;
}

/**
 * Issues and writes `certificate.pem`, `key.pem` and `bundle.pem`. Nothing is issued where a file is in the way; the
 * certificate is written last, so that whoever sees it finds its key.
 */
export async function writeIdentityFiles<T extends Issued & { readonly bundle: string }>(
  folder: string,
  { key, replace }: WrittenIdentityOptions,
  issue: () => Promise<T>,
): Promise<T> {
  const path = (name: string): string => join(folder, name);
  const names = ['bundle.pem', ...(key === undefined ? [] : ['key.pem']), 'certificate.pem'];
  await makeFolder(folder);
  if (!replace) for (const name of names) await refuseTaken(path(name));
  const issued = await issue();
  const how = replace ? 'replace' : 'create';
  await writeWhole(path('bundle.pem'), issued.bundle, { how });
  if (key !== undefined) await writeWhole(path('key.pem'), key, { how, mode: SECRET_MODE });
  await writeWhole(path('certificate.pem'), issued.chain, { how });
  return issued;
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o755 });
  } catch (cause) {
    throw fileError(folder, 'cannot be made', cause);
  }
}

async function refuseTaken(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return;
    throw fileError(path, 'cannot be looked at', cause);
  }
  throw new MeshproxyError('usage', `${path}: there is a file already; nothing was issued`, {
    hint: 'choose another folder, or give --force to replace it',
  });
}
