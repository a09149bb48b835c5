import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What is there when it has been cloned, and nothing else: no dependency, nothing built. */
function clone(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'meshproxy-start-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'meshproxy');
  const { status } = spawnSync('git', ['clone', '--quiet', '--depth', '1', `file://${ROOT}`, path]);
  return status === 0 ? path : undefined;
}

/** To npm and to all that it has started, as a terminal does at Ctrl-C. */
function signalAll({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // All of them have ended.
  }
}

describe('npm start in a fresh clone', () => {
  it('installs, builds and runs the demo, says what to try, and ends at Ctrl-C', async ({ skip }) => {
    const path = clone();
    if (path === undefined) return skip('this is no git repository, or there is no git');
    const args = ['start', '--', 'demo', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
    const npm = spawn('npm', args, {
      cwd: path,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, npm_config_prefer_offline: 'true' },
    });
    const ended = once(npm, 'close');
    onTestFinished(() => signalAll(npm, 'SIGKILL'));
    let said = '';
    npm.stderr.on('data', (chunk) => {
      said += chunk;
    });
    await Promise.race([ended, expect.poll(() => said, { timeout: 150_000 }).toMatch(/admin on http:/)]);
    skip(/npm error network|ENOTFOUND|EAI_AGAIN/.test(said), 'npm cannot reach its registry');
    expect(said).toMatch(/installing dependencies(.|\n)*building dist(.|\n)*Try, in another terminal:/);
    const url = /curl (http:\S+\/)/.exec(said)?.[1] ?? '';
    expect(await (await fetch(url, { headers: { connection: 'close' } })).text()).toMatch(/^(red|green|blue) answers/);
    signalAll(npm, 'SIGINT');
    await ended;
    expect(said).toContain('stopped: all connections had finished');
  }, 180_000);
});
