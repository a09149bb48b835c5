import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { nativeSupport } from '../../../src/l4/native/support.js';

const SUPPORT = new URL('../../../build/l4/native/support.js', import.meta.url).href;

describe('whether the native engine can run', () => {
  it('is tried, and leaves nothing open', () => {
    nativeSupport();
    const before = readdirSync('/proc/self/fd').length;
    expect(nativeSupport()).toEqual({ ok: true });
    expect(readdirSync('/proc/self/fd').length).toBe(before);
  });

  it('is said with a reason where no descriptor is left, and leaves nothing open then either', () => {
    const script = `
      import { closeSync, openSync } from 'node:fs';
      const { nativeSupport } = await import(${JSON.stringify(SUPPORT)});
      console.log(nativeSupport().ok);
      const taken = [];
      for (;;) {
        try {
          taken.push(openSync('/dev/null'));
        } catch {
          break;
        }
      }
      console.log(nativeSupport().reason);
      // One more each time, until there are enough: what the tries before had opened must have been closed.
      for (let free = 1; !nativeSupport().ok; free += 1) {
        closeSync(taken.pop());
        if (free > 5) throw new Error('it keeps descriptors');
      }
    `;
    const command = `ulimit -n 128; exec "$0" --input-type=module -e "$1"`;
    const { stdout, stderr, status } = spawnSync('bash', ['-c', command, process.execPath, script], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^true\nepoll_create1 EMFILE\n/);
  });

  it('is denied for other systems and processors', () => {
    for (const [name, value, reason] of [
      ['platform', 'darwin', 'it needs Linux, and this is darwin'],
      ['arch', 'riscv64', 'it knows the system calls of x64 and arm64, and this is riscv64'],
    ] as const) {
      const real = Object.getOwnPropertyDescriptor(process, name);
      Object.defineProperty(process, name, { ...real, value });
      try {
        expect(nativeSupport()).toEqual({ ok: false, reason });
      } finally {
        Object.defineProperty(process, name, { ...real });
      }
    }
  });
});
