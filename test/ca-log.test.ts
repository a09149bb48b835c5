import { describe, expect, it } from 'vitest';
import { CaLog } from '../src/ca-log.js';
import type { ServiceEvent } from '../src/pki/service-events.js';
import { createLogger } from '../src/telemetry/logger.js';
import { VirtualClock } from './fakes/clock.js';

const REFUSED: ServiceEvent = {
  kind: 'refused',
  address: '10.0.0.1:5000',
  code: 'revoked',
  why: 'it is revoked',
  identity: 'spiffe://example.org/ns/default/sa/web',
};

function newLog() {
  const clock = new VirtualClock();
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const { logger } = createLogger({ level: 'info', format: 'json' }, destination);
  return { clock, lines, log: new CaLog(logger, clock) };
}

describe("the log of the authority's service", () => {
  it('has a line for each certificate and each refusal, with who and what', () => {
    const { log, lines } = newLog();
    const identity = 'spiffe://example.org/ns/default/sa/web';
    log.tell({ kind: 'issued', address: '10.0.0.1:5000', identity, serial: 'ab', notAfter: 0, by: 'token 12' });
    log.tell(REFUSED);
    log.tell({ ...REFUSED, identity: undefined });
    log.tell({ kind: 'failed', what: 'a certificate', error: new Error('the disk is full') });
    expect(lines).toMatchObject([
      { level: 'info', requester: '10.0.0.1:5000', identity, serial: 'ab', by: 'token 12' },
      { level: 'warn', msg: `refused 10.0.0.1:5000, as ${identity}: it is revoked`, code: 'revoked', identity },
      { level: 'warn', msg: 'refused 10.0.0.1:5000: it is revoked' },
      { level: 'error', msg: 'failed: a certificate', err: { message: 'the disk is full' } },
    ]);
  });

  it('has twenty lines a second of a flood, and how many more there were', () => {
    const { clock, log, lines } = newLog();
    for (let count = 0; count < 1000; count += 1) log.tell(REFUSED);
    log.tell({ kind: 'turned-away', address: '10.0.0.2:1', why: 'it does not speak TLS' });
    expect(lines).toHaveLength(21);
    clock.advance(1000);
    expect(lines.slice(21)).toMatchObject([
      { level: 'warn', count: 980, msg: 'refused revoked: 980 more within a second' },
    ]);
    log.tell(REFUSED);
    expect(lines).toHaveLength(23);
    clock.advance(1000);
    expect([lines.length, clock.pending]).toEqual([23, 0]);
  });
});
