import { availableParallelism } from 'node:os';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Program } from './program.js';
import { type AccessLine, makePlans, problemsOf, Torture } from './torture.js';

/** Another one by `TORTURE_SEED`, to repeat a failure or to look for one. */
const SEED = Number(process.env['TORTURE_SEED'] ?? 20261122);
const CONNECTIONS = 1000;
const CONCURRENCY = 50;

/** `src/l4/native/pipes.ts`. */
const MAX_SPARE_PIPES = 64;

/** What Node's heap and the kernel's buffers may still grow by in a second round, once the first has warmed them up. */
const GROWTH_BYTES = 40 * 1024 ** 2;

describe('torture', () => {
  it.each(['native', 'streams'])(
    `accounts for every byte and every ending of ${CONNECTIONS} connections, and keeps nothing of them (%s)`,
    async (engine) => {
      const plans = makePlans(CONNECTIONS, SEED);
      const torture = await Torture.start(plans);
      onTestFinished(() => torture.close());
      const program = new Program([
        '--listen',
        '127.0.0.1:0',
        '--upstream',
        `127.0.0.1:${torture.port}`,
        '--admin',
        'off',
        // However busy the machine: turning some away is another test's.
        '--shed-target',
        '0',
        '--engine',
        engine,
      ]);
      const port = await program.port();
      const before = program.usage();

      const round = async (): Promise<void> => {
        const seen = program.lines.length;
        const outcomes = await torture.run(port, CONCURRENCY);
        const isAccessLine = (line: string): boolean => line.includes('"ending"');
        await program.line(() => program.lines.length >= seen + CONNECTIONS);
        const lines: AccessLine[] = program.lines
          .slice(seen)
          .filter(isAccessLine)
          .map((line) => JSON.parse(line).connection);
        const byClient = new Map(lines.map((line) => [line.client, line]));
        const problems = outcomes.flatMap((outcome) =>
          problemsOf(outcome, byClient.get(outcome.clientAddress)).map(
            (problem) => `seed ${SEED}, plan ${JSON.stringify(outcome.plan)}: ${problem}`,
          ),
        );
        expect(problems).toEqual([]);
        expect(outcomes.length).toBe(CONNECTIONS);
      };

      await round();
      const warm = program.usage();
      await round();
      const after = program.usage();
      // The native engine keeps some pipes for the next stream; two ends each, in each thread.
      expect(after.pipes - before.pipes).toBeLessThanOrEqual(2 * MAX_SPARE_PIPES * availableParallelism());
      expect(after.descriptors - after.pipes).toBeLessThanOrEqual(before.descriptors - before.pipes);
      expect(after.resident - warm.resident).toBeLessThan(GROWTH_BYTES);
    },
    180_000,
  );
});
