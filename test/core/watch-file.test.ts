import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Clock, systemClock } from '../../src/core/clock.js';
import { type WatchOptions, watchFile } from '../../src/core/watch-file.js';

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'meshproxy-watch-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A poll that no test waits for: what is seen is seen by events. */
const NO_POLL = { pollMs: 1_000_000 };

class Watched {
  calls = 0;
  readonly #waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  static async start(path: string, options: WatchOptions = NO_POLL): Promise<Watched> {
    const watched = new Watched();
    const watch = await watchFile(path, () => watched.#onChange(), { debounceMs: 20, ...options });
    onTestFinished(() => watch.close());
    return watched;
  }

  #onChange(): void {
    this.calls += 1;
    for (const { count, resolve } of this.#waiting) if (this.calls >= count) resolve();
  }

  /** Resolves when there have been so many calls. */
  called(count: number): Promise<void> {
    if (this.calls >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }
}

/** Changes a file beside `path` and waits until that was seen: what happened to `path` before has been seen as well. */
async function neighbourOf(path: string): Promise<() => Promise<void>> {
  const neighbour = `${path}.neighbour`;
  writeFileSync(neighbour, 'one');
  const watched = await Watched.start(neighbour, { ...NO_POLL, debounceMs: 100 });
  return () => {
    writeFileSync(neighbour, 'two');
    return watched.called(1);
  };
}

describe('a watched file', () => {
  it('is seen to change when it is written in place', async () => {
    const path = join(newFolder(), 'a.yaml');
    writeFileSync(path, 'one');
    const watched = await Watched.start(path);
    writeFileSync(path, 'two');
    await watched.called(1);
    writeFileSync(path, 'three');
    await watched.called(2);
    expect(watched.calls).toBe(2);
  });

  it('is seen to change when another is renamed over it, again and again', async () => {
    const folder = newFolder();
    const path = join(folder, 'a.yaml');
    writeFileSync(path, 'zero');
    const watched = await Watched.start(path);
    for (const [index, content] of ['one', 'two', 'three'].entries()) {
      writeFileSync(join(folder, 'new'), content);
      renameSync(join(folder, 'new'), path);
      await watched.called(index + 1);
    }
    expect(watched.calls).toBe(3);
  });

  it("is seen to change when Kubernetes swaps a ConfigMap's ..data", async () => {
    const folder = newFolder();
    const publish = (version: string): void => {
      mkdirSync(join(folder, version));
      writeFileSync(join(folder, version, 'a.yaml'), version);
      symlinkSync(version, join(folder, '..tmp'));
      renameSync(join(folder, '..tmp'), join(folder, '..data'));
    };
    publish('..1');
    symlinkSync('..data/a.yaml', join(folder, 'a.yaml'));
    const watched = await Watched.start(join(folder, 'a.yaml'));
    publish('..2');
    rmSync(join(folder, '..1'), { recursive: true });
    await watched.called(1);
    publish('..3');
    await watched.called(2);
    // And the file that is there now is the one that is watched.
    writeFileSync(join(folder, '..3', 'a.yaml'), 'in place');
    await watched.called(3);
    expect(watched.calls).toBe(3);
  });

  it('is seen to change through a link to another folder', async () => {
    const [folder, elsewhere] = [newFolder(), newFolder()];
    writeFileSync(join(elsewhere, 'real.yaml'), 'one');
    symlinkSync(join(elsewhere, 'real.yaml'), join(folder, 'a.yaml'));
    const watched = await Watched.start(join(folder, 'a.yaml'));
    writeFileSync(join(elsewhere, 'real.yaml'), 'two');
    await watched.called(1);
    writeFileSync(join(elsewhere, 'other.yaml'), 'three');
    symlinkSync(join(elsewhere, 'other.yaml'), join(folder, 'new'));
    renameSync(join(folder, 'new'), join(folder, 'a.yaml'));
    await watched.called(2);
  });

  it('may be gone for a moment', async () => {
    const path = join(newFolder(), 'a.yaml');
    writeFileSync(path, 'one');
    const watched = await Watched.start(path);
    const gone = await neighbourOf(path);
    unlinkSync(path);
    await gone();
    expect(watched.calls).toBe(0);
    writeFileSync(path, 'two');
    await watched.called(1);
  });

  it('may not be there yet, nor its folder', async () => {
    const path = join(newFolder(), 'sub', 'a.yaml');
    const watched = await Watched.start(path, { pollMs: 20 });
    mkdirSync(join(path, '..'));
    writeFileSync(path, 'one');
    await watched.called(1);
  });

  it('with the same content again is no change', async () => {
    const path = join(newFolder(), 'a.yaml');
    writeFileSync(path, 'one');
    const watched = await Watched.start(path);
    const written = await neighbourOf(path);
    writeFileSync(path, 'one');
    await written();
    writeFileSync(path, 'two');
    await watched.called(1);
    expect(watched.calls).toBe(1);
  });

  it('is read once for a save of many writes', async () => {
    const path = join(newFolder(), 'a.yaml');
    writeFileSync(path, 'one');
    const watched = await Watched.start(path, { ...NO_POLL, debounceMs: 200 });
    for (let size = 1; size <= 10; size++) writeFileSync(path, 'x'.repeat(size));
    await watched.called(1);
    writeFileSync(path, 'end');
    await watched.called(2);
    expect(watched.calls).toBe(2);
  });

  it('is read now and then although it is never left alone', async () => {
    const folder = newFolder();
    const path = join(folder, 'a.yaml');
    writeFileSync(path, 'zero');
    let versions = 0;
    let over = false;
    const replace = (): void => {
      if (over) return;
      writeFileSync(join(folder, 'new'), `version ${++versions}`);
      renameSync(join(folder, 'new'), path);
    };
    const clock: Clock = {
      now: () => systemClock.now(),
      wall: () => systemClock.wall(),
      // Whenever the watch has waited for the file to be left alone, it has just been replaced.
      after: (ms, run) =>
        systemClock.after(ms, () => {
          replace();
          run();
        }),
    };
    const watched = await Watched.start(path, { ...NO_POLL, debounceMs: 1, clock });
    replace();
    await watched.called(2);
    over = true;
  });

  it('is seen to change by polling where no event tells of it', async () => {
    const folder = newFolder();
    mkdirSync(join(folder, 'v1'));
    mkdirSync(join(folder, 'v2'));
    writeFileSync(join(folder, 'v1', 'a.yaml'), 'one');
    writeFileSync(join(folder, 'v2', 'a.yaml'), 'two');
    symlinkSync('v1', join(folder, 'current'));
    const watched = await Watched.start(join(folder, 'current', 'a.yaml'), { pollMs: 20 });
    // A folder further up is another one: nothing happens in the one that is watched.
    symlinkSync('v2', join(folder, 'new'));
    renameSync(join(folder, 'new'), join(folder, 'current'));
    await watched.called(1);
  });

  it('that became a folder counts as changed', async () => {
    const path = join(newFolder(), 'a.yaml');
    writeFileSync(path, 'one');
    const watched = await Watched.start(path);
    rmSync(path);
    mkdirSync(path);
    await watched.called(1);
  });

  it('is not told of any more once the watch is closed, and leaves no timer', async () => {
    const path = join(newFolder(), 'a.yaml');
    writeFileSync(path, 'one');
    let calls = 0;
    const timers = new Set<object>();
    const clock = {
      ...systemClock,
      after(delayMs: number, action: () => void) {
        const timer = systemClock.after(delayMs, () => {
          timers.delete(handle);
          action();
        });
        const handle = {
          cancel() {
            timers.delete(handle);
            timer.cancel();
          },
        };
        timers.add(handle);
        return handle;
      },
    };
    const watch = await watchFile(path, () => (calls += 1), { clock, debounceMs: 20 });
    const other = await Watched.start(path);
    watch.close();
    watch.close();
    writeFileSync(path, 'two');
    await other.called(1);
    expect(calls).toBe(0);
    expect(timers.size).toBe(0);
  });
});
