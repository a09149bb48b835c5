import { describe, expect, it, onTestFinished } from 'vitest';
import { Program } from './program.js';
import { expectedEnding, makePlans, type Outcome, Torture } from './torture.js';

/** Another one by `TORTURE_SEED`, to repeat a failure or to look for one. */
const SEED = Number(process.env['TORTURE_SEED'] ?? 20261122);
const CONNECTIONS = 1000;
const CONCURRENCY = 50;

/** What Node's heap and the kernel's buffers may still grow by in a second round, once the first has warmed them up. */
const GROWTH_BYTES = 40 * 1024 ** 2;

interface AccessLine {
  readonly client: string;
  readonly ending: string;
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/** What one side sends beside its plan: the client a header of 4 bytes, the server a greeting of 1. */
const HEADER = 4;
const GREETING = 1;

function problemsOf({ plan, client, server, clientAddress }: Outcome, line: AccessLine | undefined): string[] {
  const problems: string[] = [];
  const orderly = expectedEnding(plan) === 'completed';
  if (!client.intact) problems.push('the client received other bytes than were sent to it');
  if (!server.intact) problems.push('the server received other bytes than were sent to it');
  if (!line) return [...problems, `there is no access line for ${clientAddress}`];
  if (line.ending !== expectedEnding(plan)) problems.push(`accounted as ${line.ending}`);
  if (orderly) {
    if (client.received !== plan.server.bytes) problems.push(`the client received ${client.received} bytes`);
    if (server.received !== plan.client.bytes) problems.push(`the server received ${server.received} bytes`);
    if (line.bytesReceived !== plan.client.bytes + HEADER) problems.push(`${line.bytesReceived} bytes up accounted`);
    if (line.bytesSent !== plan.server.bytes + GREETING) problems.push(`${line.bytesSent} bytes down accounted`);
    if (client.ended !== 'end' || server.ended !== 'end') problems.push('an orderly end arrived as a reset');
  } else {
    if (server.received > line.bytesReceived) problems.push('more bytes went up than were accounted');
    if (client.received > line.bytesSent) problems.push('more bytes went down than were accounted');
    const survivor = plan.client.finish === 'reset' ? server : client;
    const complete = survivor.received === (survivor === server ? plan.client.bytes : plan.server.bytes);
    if (survivor.ended === 'end' && !complete) problems.push('a truncated stream was made to look complete');
    if (survivor.ended === 'end') problems.push('a reset arrived as an end');
  }
  return problems;
}

describe('torture', () => {
  it(`accounts for every byte and every ending of ${CONNECTIONS} connections, and keeps nothing of them`, async () => {
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
    expect(after.descriptors).toBeLessThanOrEqual(before.descriptors);
    expect(after.resident - warm.resident).toBeLessThan(GROWTH_BYTES);
  }, 180_000);
});
