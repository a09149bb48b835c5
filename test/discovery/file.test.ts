import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readEndpoints } from '../../src/config/endpoints-file.js';
import { systemClock } from '../../src/core/clock.js';
import { fileSource } from '../../src/discovery/file.js';
import type { DiscoverySnapshot } from '../../src/discovery/source.js';
import { turn, VirtualClock } from '../fakes/clock.js';

class Followed {
  readonly path: string;
  readonly controller = new AbortController();
  readonly #snapshots: AsyncIterator<DiscoverySnapshot>;

  constructor(text: string | undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'meshproxy-file-source-'));
    this.path = join(folder, 'endpoints.yaml');
    if (text !== undefined) writeFileSync(this.path, text);
    const source = fileSource({ kind: 'file', path: this.path }, { read: readEndpoints, clock: systemClock });
    expect(source.upstream).toBe(`file://${this.path}`);
    this.#snapshots = source.watch(this.controller.signal)[Symbol.asyncIterator]();
    onTestFinished(async () => {
      this.controller.abort();
      await this.#snapshots.next();
      rmSync(folder, { recursive: true, force: true });
    });
  }

  /** As an atomic replacement has it. */
  replace(text: string): void {
    writeFileSync(`${this.path}.new`, text);
    renameSync(`${this.path}.new`, this.path);
  }

  async next(): Promise<unknown> {
    const { value } = await this.#snapshots.next();
    const snapshot = value as DiscoverySnapshot;
    if (snapshot.kind === 'failed') return snapshot.error.message;
    if (snapshot.kind === 'unchanged') return snapshot.kind;
    return snapshot.endpoints.length === 0 ? snapshot.why : snapshot.endpoints.map(({ id }) => id);
  }
}

describe('a file of endpoints that is watched', () => {
  it('is told, and told again when it is replaced or written in place', async () => {
    const followed = new Followed('- address: 10.0.0.1:80');
    expect(await followed.next()).toEqual(['10.0.0.1:80']);
    followed.replace('- address: 10.0.0.2:80');
    expect(await followed.next()).toEqual(['10.0.0.2:80']);
    writeFileSync(followed.path, '- address: 10.0.0.3:80');
    expect(await followed.next()).toEqual(['10.0.0.3:80']);
  });

  it('that lists none is an answer', async () => {
    const followed = new Followed('[]');
    expect(await followed.next()).toBe('the file lists none');
  });

  it('that is broken or gone is a failure, until it is whole again', async () => {
    const followed = new Followed('- address: 10.0.0.1:80');
    await followed.next();
    followed.replace('- address: 10.0.0.1');
    expect(await followed.next()).toBe(
      `${followed.path}:1:12: [0].address: "10.0.0.1": the port is missing; accepted are host:port, :port, [ipv6]:port and unix:/path (write 10.0.0.1:80, for example)`,
    );
    rmSync(followed.path);
    expect(await followed.next()).toContain('ENOENT');
    followed.replace('- address: 10.0.0.1:80');
    expect(await followed.next()).toEqual(['10.0.0.1:80']);
  });

  it('that is missing at first is a failure, too', async () => {
    const followed = new Followed(undefined);
    expect(await followed.next()).toContain(`cannot read ${followed.path}`);
  });

  it('that could not be read is read again without a change to it, after longer and longer', async () => {
    const clock = new VirtualClock();
    const readAt: number[] = [];
    const start = clock.now();
    const read = (): Promise<never> => {
      readAt.push(clock.now() - start);
      return Promise.reject(Object.assign(new Error('EMFILE'), { code: 'EMFILE' }));
    };
    const controller = new AbortController();
    const source = fileSource({ kind: 'file', path: '/nowhere' }, { read, clock, random: () => 1 });
    const kinds: string[] = [];
    const over = (async () => {
      for await (const { kind } of source.watch(controller.signal)) kinds.push(kind);
    })();
    while (readAt.length === 0) await turn();
    await clock.advanceAsync(2000 + 4000 + 8000);
    await turn();
    expect(readAt).toEqual([0, 2000, 6000, 14_000]);
    expect(kinds).toEqual(Array(4).fill('failed'));
    controller.abort();
    await over;
    expect(clock.pending).toBe(0);
  });
});
