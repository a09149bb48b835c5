import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { availableCores, cpuQuota } from '../../src/core/cores.js';

function files(content: Readonly<Record<string, string>>): (path: string) => string {
  return (path) => {
    const text = content[path];
    if (text === undefined) throw new Error(`ENOENT: ${path}`);
    return text;
  };
}

describe('the processors for this process', () => {
  it('are no more than the tightest control group around it allows', () => {
    const read = files({
      '/proc/self/cgroup': '0::/a.slice/b.service\n',
      '/sys/fs/cgroup/a.slice/b.service/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/a.slice/cpu.max': '50000 100000\n',
      '/sys/fs/cgroup/cpu.max': '400000 100000\n',
    });
    expect(cpuQuota(read)).toBe(0.5);
    expect(availableCores(read)).toBe(1);
  });

  it('are those of a container that sees its group as the root', () => {
    expect(cpuQuota(files({ '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '150000 100000\n' }))).toBe(1.5);
  });

  it('are all that the system names where no group says anything', () => {
    expect(cpuQuota(files({}))).toBe(Number.POSITIVE_INFINITY);
    expect(cpuQuota(files({ '/sys/fs/cgroup/cpu.max': 'nonsense' }))).toBe(Number.POSITIVE_INFINITY);
    expect(availableCores(files({}))).toBe(availableParallelism());
  });
});
