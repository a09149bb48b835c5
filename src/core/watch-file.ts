/**
 * Watches a file, however it is replaced: written in place, renamed over (editors, `mv`), or reached
 * through symbolic links that are turned elsewhere (Kubernetes' ConfigMaps swap `..data`).
 *
 * Events of the file system make it quick. A poll makes it certain: network file systems send no events, a system may
 * be out of watches, and a link further up the path can be turned where nobody watches.
 */
import { createHash } from 'node:crypto';
import { createReadStream, type FSWatcher, watch } from 'node:fs';
import { readlink, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type Clock, systemClock, type Timer } from './clock.js';
import { errnoOf } from './errors.js';

export interface FileWatch {
  /** No call comes after it. Idempotent. */
  close(): void;
}

export interface WatchOptions {
  readonly clock?: Clock;
  /** The file is read when it has stayed as it is for so long. */
  readonly debounceMs?: number;
  readonly pollMs?: number;
  /** That there is no file any more is a change, too. Else it is waited for. */
  readonly tellGone?: boolean;
}

/** Longer than an editor takes between truncating a file and writing it. */
const DEBOUNCE_MS = 100;

/** A file that is never left alone is read all the same, after so many looks: two seconds by default. Replaced by renaming, it is whole. */
const MOST_LOOKS = 20;

/** Where no event comes, a change may take as long as a person takes to look. One `stat` each time costs nothing. */
const POLL_MS = 2000;

/** As Linux follows (path_resolution(7)). */
const MAX_LINKS = 40;

/**
 * Calls `onChange` whenever the content of the file at `path` differs from what it was when this resolved, or at the
 * last call. While there is no file, it waits for one. A file that can no longer be read counts as changed, once.
 */
export async function watchFile(path: string, onChange: () => void, options: WatchOptions = {}): Promise<FileWatch> {
  const watcher = new Watcher(path, onChange, options);
  await watcher.start();
  return watcher;
}

class Watcher implements FileWatch {
  readonly #path: string;
  readonly #onChange: () => void;
  readonly #clock: Clock;
  readonly #debounceMs: number;
  readonly #pollMs: number;
  readonly #tellGone: boolean;
  #content: string | undefined;
  #version: string | undefined;
  #watches: readonly FSWatcher[] = [];
  #poll: Timer | undefined;
  #debounce: Timer | undefined;
  /** Something may have changed since the file was last looked at. */
  #stale = false;
  #looking = false;
  #closed = false;

  constructor(path: string, onChange: () => void, options: WatchOptions) {
    this.#path = resolve(path);
    this.#onChange = onChange;
    this.#clock = options.clock ?? systemClock;
    this.#debounceMs = options.debounceMs ?? DEBOUNCE_MS;
    this.#pollMs = options.pollMs ?? POLL_MS;
    this.#tellGone = options.tellGone ?? false;
  }

  async start(): Promise<void> {
    await this.#watchFolders();
    this.#version = await versionOf(this.#path);
    this.#content = await contentOf(this.#path);
    this.#schedulePoll();
  }

  close(): void {
    this.#closed = true;
    this.#poll?.cancel();
    this.#debounce?.cancel();
    for (const watch of this.#watches) watch.close();
  }

  #schedulePoll(): void {
    if (this.#closed) return;
    this.#poll = this.#clock.after(this.#pollMs, () => {
      void versionOf(this.#path).then((version) => {
        if (version !== this.#version) this.#onEvent();
        this.#schedulePoll();
      });
    });
  }

  #onEvent(): void {
    this.#stale = true;
    if (!this.#looking) void this.#look();
  }

  async #look(): Promise<void> {
    this.#looking = true;
    while (this.#stale && !this.#closed) {
      await this.#settle();
      this.#stale = false;
      // Before reading: what changes from here on is an event again.
      await this.#watchFolders();
      this.#version = await versionOf(this.#path);
      const content = await contentOf(this.#path);
      if (this.#closed || content === this.#content || (content === undefined && !this.#tellGone)) continue;
      this.#content = content;
      this.#onChange();
    }
    this.#looking = false;
  }

  /** Waits until the file has been left alone for a while; its folder may be a busy one and does not count. */
  async #settle(): Promise<void> {
    let before: string | undefined;
    for (let looks = 0; looks < MOST_LOOKS && !this.#closed; looks += 1) {
      const version = await versionOf(this.#path);
      if (version === before) return;
      before = version;
      await new Promise<void>((resolve) => {
        this.#debounce = this.#clock.after(this.#debounceMs, resolve);
      });
    }
  }

  /** Watches folders, not the file: a watch on a file stays with what has been renamed away. */
  async #watchFolders(): Promise<void> {
    const folders = await foldersOf(this.#path);
    if (this.#closed) return;
    // All anew each time: a folder of the same name may be another one by now.
    for (const watch of this.#watches) watch.close();
    this.#watches = folders.flatMap((folder) => {
      try {
        const opened = watch(folder, { persistent: false }, () => this.#onEvent());
        return [opened.on('error', () => opened.close())];
      } catch {
        // No such folder for the moment, or no watch left in the system: the poll sees to it.
        return [];
      }
    });
  }
}

/** The folder of the file, and of each link and its target on the way to it. */
async function foldersOf(path: string): Promise<string[]> {
  const folders = new Set<string>();
  let next = path;
  for (let links = 0; links < MAX_LINKS; links++) {
    folders.add(dirname(next));
    try {
      next = resolve(dirname(next), await readlink(next));
    } catch {
      break;
    }
  }
  return [...folders];
}

/** Differs when the file does, as far as the file system tells; cheap. */
async function versionOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true });
    return `${dev}:${ino}:${size}:${mtimeNs}`;
  } catch (error) {
    return `cannot be asked for: ${errnoOf(error)}`;
  }
}

/** A digest of the content, why it cannot be read, or `undefined` while there is no file. */
async function contentOf(path: string): Promise<string | undefined> {
  try {
    // Reading a pipe would take out of it what somebody else is to read.
    if (!(await stat(path)).isFile()) return 'not a file';
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(path)) hash.update(chunk);
    return hash.digest('hex');
  } catch (error) {
    const errno = errnoOf(error);
    return errno === 'ENOENT' || errno === 'ENOTDIR' ? undefined : `cannot be read: ${errno}`;
  }
}
