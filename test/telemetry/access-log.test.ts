import { expect, test } from 'vitest';
import { type AccessLog, accessLine, isLogged } from '../../src/telemetry/access-log.js';
import { type Attempt, ENDINGS, type Ending } from '../../src/telemetry/record.js';
import { recordOf } from '../fakes/telemetry.js';

const failed = (endpoint: string, error: string): Attempt => ({
  endpoint,
  why: 'next in turn',
  address: endpoint,
  durationMs: 2,
  error: `${endpoint}: ${error}`,
});

const connected: Attempt = {
  endpoint: '127.0.0.1:9001',
  why: 'the only one left',
  address: '127.0.0.1:9001',
  durationMs: 1,
};

test('the message tells the whole story of an orderly connection', () => {
  const { level, message } = accessLine(recordOf());
  expect(level).toBe('info');
  expect(message).toBe(
    '127.0.0.1:51000 → web → 127.0.0.1:9001, 1.2 KiB up, 14 KiB down, 3 ms: both sides closed in order',
  );
});

test('a client that a PROXY header named is shown with the peer that spoke for it', () => {
  const { message, fields } = accessLine(recordOf({ client: '203.0.113.7:4000', destination: '203.0.113.1:443' }));
  expect(message).toMatch(/^203\.0\.113\.7:4000 \(through 127\.0\.0\.1:51000\) → web/);
  expect(fields).toMatchObject({
    client: '203.0.113.7:4000',
    peer: '127.0.0.1:51000',
    destination: '203.0.113.1:443',
  });
});

test('the service is named where it is not called as the listener is, and the address where the endpoint is not one', () => {
  const record = recordOf({ service: 'billing', endpoint: 'example.org:80', upstream: '93.184.216.34:80' });
  expect(accessLine(record).message).toContain('→ web → billing → example.org:80 (93.184.216.34:80), ');
});

test('failed attempts are told, the first three of them in words', () => {
  const failures = [1, 2, 3, 4, 5].map((port) => failed(`10.0.0.1:${port}`, 'no answer'));
  const { message, fields } = accessLine(recordOf({ attempts: [...failures, connected] }));
  expect(message).toMatch(
    /closed in order \(failed attempts: 10\.0\.0\.1:1: no answer; 10\.0\.0\.1:2: no answer; 10\.0\.0\.1:3: no answer; 2 more\)$/,
  );
  expect(fields.attempts).toEqual([...failures, connected]);
  expect(fields.why).toBe('the only one left');
});

test('one attempt that went well is not worth a list', () => {
  const { fields } = accessLine(recordOf());
  expect(fields.attempts).toBeUndefined();
  expect(fields.why).toBe('next in turn');
});

test('a connection that reached nobody says so, with a warning', () => {
  const { service: _, endpoint: __, upstream: ___, ...rest } = recordOf();
  const { level, message } = accessLine({
    ...rest,
    service: 'web',
    ending: 'connect-failed',
    detail: 'gave up after 10 s',
    attempts: [failed('10.0.0.1:80', 'connection refused: nothing listens there (ECONNREFUSED)')],
    bytesReceived: 0,
    bytesSent: 0,
    durationMs: 1250,
  });
  expect(level).toBe('warn');
  expect(message).toBe(
    '127.0.0.1:51000 → web, 0 B up, 0 B down, 1.25 s: no endpoint could be connected to; gave up after 10 s ' +
      '(failed attempts: 10.0.0.1:80: connection refused: nothing listens there (ECONNREFUSED))',
  );
});

test('fields hold milliseconds to the microsecond, and leave out what is not known', () => {
  const { identifyMs: _, ...record } = recordOf({ connectMs: 0.123456, durationMs: 12.3456789 });
  expect(JSON.parse(JSON.stringify(accessLine(record).fields))).toEqual({
    id: 'c-1',
    listener: 'web',
    client: '127.0.0.1:51000',
    service: 'web',
    endpoint: '127.0.0.1:9001',
    upstream: '127.0.0.1:9001',
    why: 'next in turn',
    bytesReceived: 1229,
    bytesSent: 14_336,
    connectMs: 0.123,
    firstByteMs: 1.5,
    durationMs: 12.346,
    ending: 'completed',
  });
});

test.each(Object.keys(ENDINGS) as Ending[])('ending %s is told in words, and logged as its mode asks', (ending) => {
  const record = recordOf({ ending });
  const { level, message } = accessLine(record);
  expect(message).toContain(ENDINGS[ending]);
  expect(level).toBe(ending === 'completed' ? 'info' : 'warn');
  const modes = (['off', 'errors', 'all'] as AccessLog[]).filter((mode) => isLogged(mode, record));
  expect(modes).toEqual(ending === 'completed' ? ['all'] : ['errors', 'all']);
});
