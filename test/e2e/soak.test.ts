/**
 * The built program on its native engine, for as long as `SOAK_SECONDS` says (`npm run soak -- --seconds 300`): connections
 * of all kinds come and go, its descriptors run out now and then, and its garbage is collected all the time. At the end
 * every byte and every ending is accounted for, and nothing is left: no descriptor, no pipe, no memory.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { pipesAllowed } from '../../src/l4/native/pipes.js';
import { crowd, descriptorsOf, growthOf, limitDescriptors, type Sample } from '../soak/soak.js';
import { Program } from './program.js';
import { type AccessLine, makePlans, type Plan, problemsOf, Torture } from './torture.js';

const SECONDS = Number(process.env['SOAK_SECONDS'] ?? 10);
/** Printed; another one by `SOAK_SEED`. */
const SEED = Number(process.env['SOAK_SEED'] ?? Date.now() % 1_000_000);

const WORKERS = 2;
const PLANS = 20_000;
const PER_ROUND = 250;
const CONCURRENCY = 40;
const DESCRIPTORS = 1000;
/** A crowd comes while so many more can be opened: each connection takes two. */
const FEW_DESCRIPTORS = 61;
const CROWD = 150;
/** One plan in so many carries this much one way. */
const BIG_EVERY = 120;
const BIG_BYTES = 24_000_000;
/** Of pipes that may be kept for the next stream: `pipesAllowed`. */
const SPARE_PIPE_DESCRIPTORS = 2 * pipesAllowed(DESCRIPTORS, 1);
/** What heaps and allocators of three threads may move by; a leak of a kilobyte a connection is five times that in five minutes. */
const GROWTH_BYTES = 16 * 1024 ** 2;

const COLLECT = new URL('../soak/collect.mjs', import.meta.url).href;

function plansOf(seed: number): Plan[] {
  return makePlans(PLANS, seed).map((plan) =>
    plan.id % BIG_EVERY === 7 ? { ...plan, server: { ...plan.server, bytes: BIG_BYTES } } : plan,
  );
}

describe.runIf(process.platform === 'linux')('soak', () => {
  it(
    `keeps every byte and nothing else, for ${SECONDS} s (seed ${SEED})`,
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'meshproxy-'));
      onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
      const plans = plansOf(SEED);
      const torture = await Torture.start(plans);
      onTestFinished(() => torture.close());
      const program = new Program(
        [
          ...['--listen', '127.0.0.1:0', '--upstream', `127.0.0.1:${torture.port}`, '--admin', 'off'],
          ...['--engine', 'native', '--workers', String(WORKERS)],
        ],
        {
          prefix: ['prlimit', `--nofile=${DESCRIPTORS}:${DESCRIPTORS}`],
          env: { NODE_OPTIONS: `--import ${COLLECT}`, SOAK_FOLDER: folder },
        },
      );
      const port = await program.port();
      await expect.poll(() => readdirSync(folder).length).toBe(WORKERS + 1);

      const before = descriptorsOf(program.pid);

      const round = async (number: number): Promise<void> => {
        const from = (number * PER_ROUND) % PLANS;
        const wanted = plans.slice(from, from + PER_ROUND);
        const seen = program.lines.length;
        const outcomes = await torture.run(port, CONCURRENCY, wanted);
        // Those of crowds come from elsewhere, and whenever.
        const isOurs = (line: string): boolean => line.includes('"ending"') && line.includes('"client":"127.1.');
        await program.line(() => program.lines.slice(seen).filter(isOurs).length === wanted.length);
        const lines: AccessLine[] = program.lines
          .slice(seen)
          .filter(isOurs)
          .map((line) => JSON.parse(line).connection);
        const byClient = new Map(lines.map((line) => [line.client, line]));
        const problems = outcomes.flatMap((outcome) =>
          problemsOf(outcome, byClient.get(outcome.clientAddress)).map(
            (problem) => `seed ${SEED}, plan ${JSON.stringify(outcome.plan)}: ${problem}`,
          ),
        );
        expect(problems).toEqual([]);
      };
      const quiet = (): Promise<void> => expect.poll(() => descriptorsOf(program.pid).sockets).toBe(before.sockets);
      /** Descriptors, once all that the last connections had is closed. */
      const atRest = async (): Promise<{ sockets: number; pipes: number; others: number }> => {
        let last = descriptorsOf(program.pid);
        await expect
          .poll(() => {
            const before = last;
            last = descriptorsOf(program.pid);
            return last.sockets === before.sockets && last.pipes === before.pipes;
          })
          .toBe(true);
        return last;
      };

      const samples: Sample[] = [];
      const began = performance.now();
      const elapsed = (): number => (performance.now() - began) / 1000;
      let rounds = 0;
      while (rounds < 4 || elapsed() < SECONDS) {
        if (rounds % 4 === 3) {
          // Less than it was told at its start, so that it does not know: what is asked of the system fails.
          const { sockets, pipes, others } = descriptorsOf(program.pid);
          limitDescriptors(program.pid, sockets + pipes + others + FEW_DESCRIPTORS);
          await crowd(port, CROWD);
          limitDescriptors(program.pid, DESCRIPTORS);
          await quiet();
        }
        await round(rounds);
        rounds += 1;
        samples.push({ at: elapsed(), bytes: program.usage().resident });
      }
      console.log(
        `${rounds * PER_ROUND} connections, seed ${SEED}; resident, MB: ${samples.map(({ bytes }) => Math.round(bytes / 1e6)).join(' ')}`,
      );

      await quiet();
      const after = await atRest();
      expect(after.others).toBeLessThanOrEqual(before.others);
      expect(after.pipes - before.pipes).toBeLessThanOrEqual(SPARE_PIPE_DESCRIPTORS);
      expect(growthOf(samples)).toBeLessThan(GROWTH_BYTES);
      // Else the crowds have tried nothing.
      expect(program.log.some(({ msg }) => msg.startsWith('accepting is paused'))).toBe(true);
      const bad = program.log.filter(({ level }) => level === 'error' || level === 'fatal');
      expect(bad).toEqual([]);
      program.kill('SIGTERM');
      expect(await program.exit()).toBe(0);
    },
    (SECONDS + 120) * 1000,
  );
});
