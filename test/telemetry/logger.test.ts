import { expect, test } from 'vitest';
import { MeshproxyError } from '../../src/core/errors.js';
import { createLogger, type LogOptions } from '../../src/telemetry/logger.js';

function written(options: LogOptions, say: (log: ReturnType<typeof createLogger>) => void): string {
  const lines: string[] = [];
  const log = createLogger(options, { write: (line) => void lines.push(line) });
  say(log);
  log.close();
  return lines.join('');
}

test('JSON lines carry the level as a word and the time as people write it', () => {
  const line = JSON.parse(written({ level: 'info', format: 'json' }, ({ logger }) => logger.warn({ port: 1 }, 'said')));
  expect(line).toEqual({
    level: 'warn',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    port: 1,
    msg: 'said',
  });
});

test('what is below the level is not written, and silent writes nothing', () => {
  expect(written({ level: 'warn', format: 'json' }, ({ logger }) => logger.info('said'))).toBe('');
  expect(written({ level: 'silent', format: 'json' }, ({ logger }) => logger.fatal('said'))).toBe('');
});

test('an error of ours is logged in its words, without a stack', () => {
  const error = new MeshproxyError('listen', 'port 80 is taken', { hint: 'use another' });
  const line = JSON.parse(
    written({ level: 'info', format: 'json' }, ({ logger }) => logger.error({ err: error }, 'no')),
  );
  expect(line.err).toEqual({ code: 'listen', message: 'port 80 is taken', hint: 'use another' });
});

test('any other error is a bug and brings its stack', () => {
  const line = JSON.parse(
    written({ level: 'info', format: 'json' }, ({ logger }) => logger.error({ err: new TypeError('oops') }, 'no')),
  );
  expect(line.err).toEqual({ message: 'oops', stack: expect.stringContaining('logger.test') });
});

test('pretty lines are for people: one line, and what the message says already is not repeated', () => {
  const text = written({ level: 'info', format: 'pretty' }, ({ logger }) => {
    logger.info({ connection: { id: 'c-1' } }, 'the story');
    logger.info({ service: 'web' }, 'more');
  });
  expect(text).toMatch(/^\[[\d:.]+\] INFO: the story\n\[[\d:.]+\] INFO: more \{"service":"web"\}\n$/);
});

test('control characters from outside cannot reach the terminal', () => {
  const text = written({ level: 'info', format: 'pretty' }, ({ logger }) =>
    logger.info('\u001b[2Jgone\u0007\nINFO: forged\u009b1m\u202e'),
  );
  expect(text).toContain('gone');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  expect(text.trimEnd()).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
});

test('a destination that was given is written to at once, and nothing is dropped', () => {
  const lines: string[] = [];
  const log = createLogger({ level: 'info', format: 'auto' }, { write: (line) => void lines.push(line) });
  log.logger.info('said');
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ msg: 'said' }]);
  expect(log.dropped()).toBe(0);
  log.close();
});

test('a closed log leaves nothing behind in the process', async () => {
  const before = process.listenerCount('exit');
  await createLogger({ level: 'info', format: 'json' }).close();
  expect(process.listenerCount('exit')).toBe(before);
});
