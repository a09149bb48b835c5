import { describe, expect, it } from 'vitest';
import { Pipes, pipesAllowed } from '../../../src/l4/native/pipes.js';
import { FakeKernel } from './fake-kernel.js';

function take(pipes: Pipes) {
  const pipe = pipes.take();
  if (pipe === undefined) throw new Error('no pipe');
  return pipe;
}

describe('pipes', () => {
  it('are used again when they are empty', () => {
    const pipes = new Pipes(new FakeKernel(), 2);
    const first = take(pipes);
    pipes.giveBack(first, 0);
    expect(take(pipes)).toBe(first);
    expect(pipes.open).toBe(1);
  });

  it('are never used again with bytes in them', () => {
    const kernel = new FakeKernel();
    const pipes = new Pipes(kernel, 2);
    const first = take(pipes);
    pipes.giveBack(first, 1);
    expect(kernel.openPipes).toEqual([]);
    expect(take(pipes)).not.toBe(first);
    expect(pipes.open).toBe(1);
  });

  it('are so many and no more, and fewer where the system has no descriptor left', () => {
    const kernel = new FakeKernel();
    const pipes = new Pipes(kernel, 2);
    const taken = [take(pipes), take(pipes)];
    expect(pipes.take()).toBeUndefined();
    for (const pipe of taken) pipes.giveBack(pipe, 0);
    kernel.shortOfPipes = true;
    expect([pipes.take(), pipes.take(), pipes.take()].filter(Boolean).length).toBe(2);
    pipes.giveBack(taken[0] as never, 5);
    expect(pipes.take()).toBeUndefined();
    expect(pipes.open).toBe(1);
  });

  it('are not asked for again at once where the system has refused one, unless one was given back', () => {
    const kernel = new FakeKernel();
    const pipes = new Pipes(kernel, 8);
    const held = take(pipes);
    let asked = 0;
    const openPipe = kernel.openPipe.bind(kernel);
    kernel.openPipe = () => {
      asked += 1;
      return openPipe();
    };
    kernel.shortOfPipes = true;
    for (let tries = 0; tries < 100; tries += 1) expect(pipes.take()).toBeUndefined();
    expect(asked).toBe(2);
    kernel.shortOfPipes = false;
    // Bytes are left in it, so it is closed: there is room for another.
    pipes.giveBack(held, 1);
    expect(pipes.take()).toBeDefined();
  });

  it('are not all kept', () => {
    const kernel = new FakeKernel();
    const pipes = new Pipes(kernel, 1000);
    const taken = Array.from({ length: 200 }, () => take(pipes));
    for (const pipe of taken) pipes.giveBack(pipe, 0);
    expect(pipes.open).toBe(64);
    expect(kernel.openPipes.length).toBe(64);
    pipes.closeSpare();
    expect(kernel.open).toBe(0);
    expect(kernel.violations).toEqual([]);
  });

  it('are shared out among threads, at least one to each', () => {
    expect(pipesAllowed(20_000, 4)).toBe(39);
    expect(pipesAllowed(256, 16)).toBe(1);
  });

  it('leave most descriptors to connections', () => {
    for (const descriptors of [20, 256, 1024, 20_000, 1_048_576, Number.POSITIVE_INFINITY, undefined]) {
      const allowed = pipesAllowed(descriptors, 1);
      expect(allowed).toBeGreaterThanOrEqual(1);
      expect(allowed).toBeLessThanOrEqual(2048);
      if (descriptors !== undefined && descriptors > 64) expect(allowed * 2).toBeLessThanOrEqual(descriptors / 64);
    }
  });
});
