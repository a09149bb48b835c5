/** What all commands of the authority ask for: its folder, and the passphrase of its keys. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { describeError, MeshproxyError } from '../../core/errors.js';
import type { CaStore } from '../../pki/store.js';

export interface FolderOptions {
  readonly dir: string;
  readonly passphraseFile?: string;
}

export const PASSPHRASE_VARIABLE = 'MESHPROXY_CA_PASSPHRASE';

/** Longer is a file that was not meant. */
const MAX_PASSPHRASE = 4096;

export function withFolder(command: Command): Command {
  return command
    .option('--dir <folder>', 'the folder of the authority', 'certs')
    .option(
      '--passphrase-file <file>',
      `the passphrase of the authority's keys is the first line of this file; ${PASSPHRASE_VARIABLE} in the environment otherwise`,
    );
}

export async function openFolder({ dir, passphraseFile }: FolderOptions): Promise<CaStore> {
  // The authority's code costs 60 ms to load, which no other command has to pay.
  const { CaStore } = await import('../../pki/store.js');
  return new CaStore(dir, await readPassphrase(passphraseFile));
}

async function readPassphrase(file: string | undefined): Promise<string | undefined> {
  const text = file === undefined ? process.env[PASSPHRASE_VARIABLE] : await readFirstLine(file);
  const from = file ?? PASSPHRASE_VARIABLE;
  if (text === '') throw new MeshproxyError('usage', `${from}: the passphrase is empty`);
  if (text !== undefined && text.length > MAX_PASSPHRASE) {
    throw new MeshproxyError('usage', `${from}: longer than ${MAX_PASSPHRASE} characters is no passphrase`);
  }
  return text;
}

async function readFirstLine(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).split(/\r?\n/, 1)[0] ?? '';
  } catch (cause) {
    throw new MeshproxyError('file', `${file}: ${describeError(cause)}`, { cause });
  }
}
