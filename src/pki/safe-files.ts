/** Files that must be whole or not there at all, whenever the machine stops. */
import { randomUUID } from 'node:crypto';
import { link, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describeError, errnoOf, MeshproxyError } from '../core/errors.js';

export interface WriteOptions {
  /** Default: 0644. */
  readonly mode?: number;
  /** `create` fails where there is a file already; `replace` takes its place. */
  readonly how: 'create' | 'replace';
}

/** Private keys: their owner's alone. */
export const SECRET_MODE = 0o600;

/**
 * Writes all of `content`, in one step for whoever reads, and resolves when it is on the disk.
 * @throws MeshproxyError `file`
 */
export async function writeWhole(path: string, content: string, { mode = 0o644, how }: WriteOptions): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomUUID()}`);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    if (how === 'replace') await rename(temporary, path);
    else await link(temporary, path);
    await syncFolder(folder);
  } catch (cause) {
    throw fileError(path, 'cannot be written', cause);
  } finally {
    // Gone already where it was renamed.
    await unlink(temporary).catch(() => {});
  }
}

/** A name in a folder is on the disk only when the folder is. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export function fileError(path: string, what: string, cause: unknown): MeshproxyError {
  const hint = HINTS.get(errnoOf(cause) ?? '');
  return new MeshproxyError('file', `${path}: ${what}: ${describeError(cause)}`, {
    cause,
    ...(hint !== undefined && { hint }),
  });
}

const HINTS: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'run this as the user that the folder belongs to'],
  ['EROFS', 'choose a folder that can be written to'],
  ['ENOSPC', 'make room on the disk; nothing that was there before has changed'],
]);
