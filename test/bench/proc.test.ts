import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseResident, parseStat, usageOf } from '../../bench/measure/proc.js';

/** A line as proc(5) describes it; only the fields that are read have values of their own. */
function statLine(name: string, session: number, user: number, system: number): string {
  return `4242 (${name}) S 1 4242 ${session} 0 -1 4194304 500 0 0 0 ${user} ${system} 7 8 20 0 1 0 12345 1000 200`;
}

describe('/proc/PID/stat', () => {
  it('gives the session and the CPU seconds, user and system together', () => {
    expect(parseStat(statLine('node', 17, 150, 50))).toEqual({ session: 17, cpuSeconds: 2 });
  });

  it('is read right whatever the process is called', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(), fc.nat(), fc.nat(), (name, session, user, system) => {
        const stat = parseStat(statLine(name, session, user, system));
        expect(stat).toEqual({ session, cpuSeconds: (user + system) / 100 });
      }),
    );
  });

  it('of a process that has ended, or anything else that is not one, is nothing', () => {
    expect(parseStat('')).toBeUndefined();
    expect(parseStat('4242 (node) S 1')).toBeUndefined();
    fc.assert(fc.property(fc.string(), (text) => void parseStat(text)));
  });
});

describe('/proc/PID/status', () => {
  it('gives resident bytes, 0 where the process has none', () => {
    expect(parseResident('Name:\tnode\nVmRSS:\t    2048 kB\nThreads:\t7\n')).toBe(2048 * 1024);
    expect(parseResident('Name:\tzombie\nState:\tZ (zombie)\n')).toBe(0);
  });
});

describe.runIf(process.platform === 'linux')('usage of a proxy', () => {
  it('covers the processes that it started, as nginx its workers', async () => {
    // The shell keeps a child beside it; both say when they have started.
    const script = 'sh -c "echo worker; exec sleep 60" & echo master; wait';
    const child = spawn('sh', ['-c', script], { detached: true, stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      let said = '';
      child.stdout.on('data', (data) => {
        said += data;
      });
      while (!said.includes('master') || !said.includes('worker')) await once(child.stdout, 'data');
      const both = usageOf(child.pid ?? 0);
      const own = usageOf(process.pid);
      expect(both?.residentBytes).toBeGreaterThan(0);
      // This process leads no session, or one of its own: never the child's.
      expect(own?.residentBytes).not.toBe(both?.residentBytes);
    } finally {
      process.kill(-(child.pid ?? 0), 'SIGKILL');
      await once(child, 'exit');
    }
  });

  it('is nothing for a session that does not exist', () => {
    expect(usageOf(2 ** 30)).toEqual({ cpuSeconds: 0, residentBytes: 0 });
  });
});
