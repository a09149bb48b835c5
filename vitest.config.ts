import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Generous: a limit here is for a test that hangs, not a statement about speed.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 30_000, interval: 10 } },
    // What `import` gives of a CommonJS package is what Node gives.
    deps: { interopDefault: false },
    pool: 'forks',
    maxWorkers: 2,
    reporters: ['default'],
  },
});
