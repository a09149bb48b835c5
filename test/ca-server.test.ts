import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { type RunningCa, startCa } from '../src/ca-server.js';
import { systemClock } from '../src/core/clock.js';
import { parseSpiffeId } from '../src/core/identity.js';
import { initAuthority } from '../src/pki/init.js';
import { CaStore } from '../src/pki/store.js';
import { TokenStore } from '../src/pki/token-store.js';
import { createLogger } from '../src/telemetry/logger.js';
import { ask, newFolder, WEB } from './fakes/authority.js';

const DAY = 86_400_000;

/** An authority that was made so many days ago, served. */
async function start(ageDays: number): Promise<{ ca: RunningCa; lines: Record<string, unknown>[]; store: CaStore }> {
  const store = new CaStore(newFolder(), undefined);
  await initAuthority(store, 'example.org', Date.now() - ageDays * DAY);
  const spec = { identity: parseSpiffeId(WEB), ttlMs: 60_000, roots: ['ab'.repeat(32)] };
  await new TokenStore(store.directory).create(spec, Date.now() - DAY);
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const ca = await startCa({
    store,
    address: { kind: 'ip', host: '127.0.0.1', port: 0 },
    lifetimeMs: 3_600_000,
    graceMs: DAY,
    limits: { ratePerS: 100, concurrency: 10 },
    maxConnections: 100,
    clock: systemClock,
    log: createLogger({ level: 'info', format: 'json' }, destination),
  });
  onTestFinished(() => ca.close());
  return { ca, lines, store };
}

it.each([
  [100, undefined, /./],
  [340, 'warn', /^the issuing certificate expires in 2[45]d.*: replace it: meshproxy ca rotate issuer$/],
  [362, 'error', /^the issuing certificate expires in [23]d/],
])('an issuer of %i days: alarm is %s', async (days, level, words) => {
  const { ca, lines, store } = await start(days);
  // Tokens are looked at after the issuer: what expired a day ago is gone.
  await expect.poll(() => readdirSync(join(store.directory, 'tokens'))).toEqual([]);
  await expect.poll(() => lines.some(({ swept }) => swept === 1)).toBe(true);
  const alarm = lines.find(({ msg }) => String(msg).startsWith('the issuing certificate'));
  expect(alarm?.['level']).toBe(level);
  if (alarm !== undefined) expect(alarm['msg']).toMatch(words);
  const roots = await store.bundleOf(await store.readState());
  const { text } = await ask(ca.address, roots, '/metrics');
  const seconds = Number(/^meshproxy_ca_issuer_expiry_seconds (\d+)/m.exec(text)?.[1]);
  expect(Math.round(seconds / 86_400)).toBe(365 - days);
});
