/** A configuration file's bytes and text, bounded whatever the path leads to. */
import { createReadStream } from 'node:fs';
import { describeError, MeshproxyError } from '../core/errors.js';
import { formatSize } from '../core/units.js';
import { configError } from './problems.js';

/** More is not a configuration; reading it would take memory from the connections of a running proxy. */
const MAX_FILE_BYTES = 4 * 1024 ** 2;

/** The text of a file, or of a pipe such as `<(generate)` makes. */
export async function readText(path: string, maxBytes?: number): Promise<string> {
  const bytes = await readBytes(path, maxBytes);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw configError([`${path}: this is not text in UTF-8`]);
  }
}

/** At most so many, of whatever it is: a file, a pipe, a device. Throws a `MeshproxyError` `file`. */
export async function readBytes(path: string, maxBytes = MAX_FILE_BYTES): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of createReadStream(path)) {
      chunks.push(chunk);
      size += chunk.length;
      // Here and not by its size beforehand: a pipe or a device has none.
      if (size > maxBytes) throw tooLarge(path, maxBytes);
    }
  } catch (error) {
    if (error instanceof MeshproxyError) throw error;
    throw new MeshproxyError('file', `cannot read ${path}: ${describeError(error)}`, { cause: error });
  }
  return Buffer.concat(chunks);
}

function tooLarge(path: string, maxBytes: number): MeshproxyError {
  return new MeshproxyError('file', `${path}: more than ${formatSize(maxBytes)} is not a configuration`);
}
