/**
 * What was issued to whom: one JSON object in a line, a file for each day (UTC), only ever appended to, by several
 * processes at once. A certificate leaves the authority only after its line is on the disk.
 */
import { type FileHandle, mkdir, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { errnoOf } from '../core/errors.js';
import { fileError, syncFolder } from './safe-files.js';

export interface IssuanceEntry {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** 40 hexadecimal digits, lower case. */
  readonly serial: string;
  readonly identity: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
  /** Id of the issuer, as `ca.json` has it. */
  readonly issuer: string;
  /** Who asked, and by what right, in words. */
  readonly requester: string;
}

const DAY_MS = 86_400_000;
/** The longest that a leaf lives is seven days: whatever lives now was issued in these, or on the day before. */
const DAYS_OF_THE_LIVING = 8;
const FILE_NAME = /^\d{4}-\d{2}-\d{2}\.jsonl$/;
/** Longer lines are none of ours. */
const MAX_LINE = 8192;

interface Waiting {
  readonly line: string;
  resolve(): void;
  reject(error: unknown): void;
}

export class IssuanceLog {
  readonly #folder: string;
  #file: { readonly inode: string; readonly handle: FileHandle } | undefined;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;

  /** @param directory the authority's; the files are in `issued/` below */
  constructor(directory: string) {
    this.#folder = join(directory, 'issued');
  }

  /** Resolves when the entry is on the disk. Entries that come while others are being written share one write. */
  append(entry: IssuanceEntry): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line: `${JSON.stringify(entry)}\n`, resolve, reject });
      this.#writing ??= this.#writeAll(entry.at);
    });
  }

  /** Those whose certificates are valid at `now`, oldest first; the lines that a crash has torn are left out. */
  async *living(now: number): AsyncGenerator<IssuanceEntry> {
    const first = fileNameOf(now - DAYS_OF_THE_LIVING * DAY_MS);
    for (const name of await this.#files()) {
      if (name < first) continue;
      for await (const entry of this.#read(name)) if (entry.notAfter > now) yield entry;
    }
  }

  /** Resolves when what was to be written is. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#file?.handle.close();
    this.#file = undefined;
  }

  async #writeAll(now: number): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0);
      try {
        const handle = await this.#open(fileNameOf(now));
        // Before the lines as well: whoever was killed in the middle of a line must not spoil ours.
        const bytes = Buffer.from(`\n${group.map(({ line }) => line).join('')}`);
        const { bytesWritten } = await handle.write(bytes);
        if (bytesWritten < bytes.length) throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
        await handle.datasync();
        for (const { resolve } of group) resolve();
      } catch (cause) {
        const error = fileError(this.#folder, 'the issuance log cannot be written, so nothing is issued', cause);
        for (const { reject } of group) reject(error);
      }
    }
    this.#writing = undefined;
  }

  async #open(name: string): Promise<FileHandle> {
    const path = join(this.#folder, name);
    // Where somebody has moved or removed the file, what is written to it would be nowhere.
    if (this.#file !== undefined && this.#file.inode === (await inodeOf(path))) return this.#file.handle;
    await this.#file?.handle.close();
    this.#file = undefined;
    // Not the folders above: where the authority's own is gone, a new one would hide that.
    await mkdir(this.#folder, { mode: 0o700 }).catch((cause: unknown) => {
      if (errnoOf(cause) !== 'EEXIST') throw cause;
    });
    const handle = await open(path, 'a', 0o600);
    const { dev, ino } = await handle.stat({ bigint: true });
    this.#file = { inode: `${dev}:${ino}`, handle };
    await syncFolder(this.#folder);
    return handle;
  }

  async #files(): Promise<string[]> {
    try {
      return (await readdir(this.#folder)).filter((name) => FILE_NAME.test(name)).sort();
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return [];
      throw fileError(this.#folder, 'cannot be read', cause);
    }
  }

  async *#read(name: string): AsyncGenerator<IssuanceEntry> {
    const path = join(this.#folder, name);
    try {
      const handle = await open(path, 'r');
      const lines = createInterface({ input: handle.createReadStream({ encoding: 'utf8' }), crlfDelay: 0 });
      for await (const line of lines) {
        const entry = parseEntry(line);
        if (entry !== undefined) yield entry;
      }
    } catch (cause) {
      throw fileError(path, 'cannot be read', cause);
    }
  }
}

async function inodeOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

function fileNameOf(now: number): string {
  return `${new Date(now).toISOString().slice(0, 10)}.jsonl`;
}

function parseEntry(line: string): IssuanceEntry | undefined {
  if (line === '' || line.length > MAX_LINE) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return isEntry(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isEntry(value: unknown): value is IssuanceEntry {
  if (typeof value !== 'object' || value === null) return false;
  const texts = ['serial', 'identity', 'issuer', 'requester'];
  const numbers = ['at', 'notAfter'];
  return (
    texts.every((key) => typeof Reflect.get(value, key) === 'string') &&
    numbers.every((key) => Number.isSafeInteger(Reflect.get(value, key)))
  );
}
