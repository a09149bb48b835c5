import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { paths } from '../../bench/paths.js';

let folder = '';

function bench(...args: string[]): ChildProcess {
  const main = join(paths.built, 'main.js');
  return spawn(process.execPath, [main, '--out', folder, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function finished(child: ChildProcess) {
  const said = { stdout: '', stderr: '' };
  child.stdout?.on('data', (data) => {
    said.stdout += data;
  });
  child.stderr?.on('data', (data) => {
    said.stderr += data;
  });
  const [code] = await once(child, 'close');
  return { code, ...said };
}

/** Processes that `pid` started and that are alive. */
function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => fieldsOf(name)[1] === String(pid))
    .map(Number);
}

/** State and parent, of /proc/PID/stat; none for a process that is gone. */
function fieldsOf(pid: number | string): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

function isAlive(pid: number): boolean {
  const state = fieldsOf(pid)[0];
  return state !== undefined && state !== 'Z';
}

const SHORT = ['--rounds', '2', '--seconds', '0.1', '--warmup', '0.1', '--idle', '20'];

/** The benchmark as a whole, as compiled. */
export function mainSuite(): void {
  describe('npm run bench', () => {
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'meshproxy-bench-test-'));
    });
    afterAll(() => rm(folder, { recursive: true, force: true }));

    it('measures, prints tables, and leaves record and plot', async () => {
      const { code, stdout, stderr } = await finished(bench('--peers', 'direct,pipe', '--only', 'rr1,bulk', ...SHORT));
      expect(code, stderr).toBe(0);
      expect(stdout).toContain('### rr1:');
      expect(stdout).toMatch(/\| pipe +\| +[\d .]+ ±\d+ %/);
      expect(stderr).toContain('[8/8]');
      const files = await readdir(folder);
      const record = JSON.parse(
        await readFile(join(folder, files.find((file) => file.endsWith('.json')) ?? ''), 'utf8'),
      );
      expect(record.rounds).toHaveLength(8);
      expect(record.machine.node).toBe(process.version);
      expect(files.some((file) => file.endsWith('.svg'))).toBe(true);
      expect(files.some((file) => file.endsWith('.png'))).toBe(true);
    });

    it('prints the record alone with --json', async () => {
      const { stdout } = await finished(bench('--peers', 'pipe', '--only', 'idle', '--json', ...SHORT));
      const record = JSON.parse(stdout);
      expect(record.summary[0].rows[0].figures.connections.median).toBe(20);
    });

    it('goes on after a cell that failed, says why and which target that leaves open, and ends with exit code 1', async () => {
      const args = ['--peers', 'pipe,streams', '--only', 'rr1', '--meshproxy-args', '--no-such-option', ...SHORT];
      const { code, stdout, stderr } = await finished(bench(...args));
      // Without a built program it is left out, which is no failure; the test of the whole builds it first.
      expect(stderr + stdout).toMatch(/streams left out|streams: not measured/);
      expect(stdout.includes('**not measured** (rr1: ')).toBe(!stderr.includes('streams left out'));
      expect(code).toBe(stdout.includes('not measured: ') ? 1 : 0);
      expect(stdout).toMatch(/\| pipe +\| +[\d .]+/);
    });

    it('refuses names that are none, with those there are', async () => {
      const { code, stderr } = await finished(bench('--peers', 'envoy'));
      expect(code).toBe(1);
      expect(stderr).toContain('no peer is called "envoy"; there are: direct, floor, haproxy');
    });

    it.runIf(process.platform === 'linux')('interrupted, leaves no process behind', async () => {
      const child = bench('--peers', 'pipe', '--only', 'rr1', '--load', 'node', '--seconds', '60', '--warmup', '60');
      const done = finished(child);
      // Upstream, proxy and client.
      const started = await vi.waitUntil(
        () => {
          const children = childrenOf(child.pid ?? 0);
          return children.length >= 3 && children;
        },
        { timeout: 30_000, interval: 20 },
      );
      child.kill('SIGINT');
      expect((await done).code).toBe(130);
      await vi.waitUntil(() => !started.some(isAlive), { timeout: 10_000, interval: 20 });
    });
  });
}
