import { describe, expect, it } from 'vitest';
import { type Lookups, resolveName } from '../../src/discovery/resolver.js';

const never = new AbortController().signal;

function failing(code: string) {
  return () => Promise.reject(Object.assign(new Error(`query ${code}`), { code }));
}

function records(ttl: number, ...addresses: string[]) {
  return async () => addresses.map((address) => ({ address, ttl }));
}

/** Knows nothing, and is surprised by any question that a test did not provide for. */
function lookupsWith(answers: Partial<Lookups>): Lookups {
  return {
    hosts: async () => [],
    a: () => expect.unreachable('a query for IPv4 addresses'),
    aaaa: () => expect.unreachable('a query for IPv6 addresses'),
    system: () => expect.unreachable('a question to the system'),
    ...answers,
  };
}

function resolve(answers: Partial<Lookups>) {
  return resolveName('example.org', lookupsWith(answers), never);
}

describe('resolving a name', () => {
  it('takes what the hosts file says and asks no further', async () => {
    const answer = await resolve({ hosts: async (name) => (name === 'example.org' ? ['10.0.0.1'] : []) });
    expect(answer).toEqual({ hosts: ['10.0.0.1'], ttlMs: undefined });
  });

  it('takes both families from DNS, for as long as the shorter of them lives', async () => {
    const answer = await resolve({ a: records(60, '10.0.0.1', '10.0.0.2'), aaaa: records(30, '2001:db8::1') });
    expect(answer).toEqual({ hosts: ['10.0.0.1', '10.0.0.2', '2001:db8::1'], ttlMs: 30_000 });
  });

  it.each(['ENODATA', 'ENOTFOUND'])('uses one family where the other is %s', async (code) => {
    const v4 = await resolve({ a: records(60, '10.0.0.1'), aaaa: failing(code) });
    expect(v4).toEqual({ hosts: ['10.0.0.1'], ttlMs: 60_000 });
    const v6 = await resolve({ a: failing(code), aaaa: records(60, '2001:db8::1') });
    expect(v6).toEqual({ hosts: ['2001:db8::1'], ttlMs: 60_000 });
  });

  it.each(['ESERVFAIL', 'ETIMEOUT'])('tells of which family nobody could tell it where that is %s', async (code) => {
    const error = { code: 'resolve', message: expect.stringContaining(code) };
    const v4 = await resolve({ a: records(60, '10.0.0.1'), aaaa: failing(code) });
    expect(v4).toMatchObject({ hosts: ['10.0.0.1'], ttlMs: 60_000, unanswered: { family: 6, error } });
    const v6 = await resolve({ a: failing(code), aaaa: records(60, '2001:db8::1') });
    expect(v6).toMatchObject({ hosts: ['2001:db8::1'], ttlMs: 60_000, unanswered: { family: 4, error } });
  });

  it('asks for both families at once', async () => {
    const asked: string[] = [];
    const record = (family: string) => (): Promise<never> => {
      asked.push(family);
      return new Promise(() => {});
    };
    void resolve({ a: record('a'), aaaa: record('aaaa') });
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked).toEqual(['a', 'aaaa']);
  });

  it.each(['ENOTFOUND', 'ESERVFAIL', 'ETIMEOUT', 'ECONNREFUSED'])('asks the system where DNS says %s', async (code) => {
    const answer = await resolve({ a: failing(code), aaaa: failing(code), system: async () => ['10.0.0.7'] });
    expect(answer).toEqual({ hosts: ['10.0.0.7'], ttlMs: undefined });
  });

  it('does not ask the system about a name that exists without an address', async () => {
    expect(await resolve({ a: failing('ENODATA'), aaaa: records(60) })).toEqual({ hosts: [], ttlMs: undefined });
  });

  it('does not ask the system once it was given up', async () => {
    const controller = new AbortController();
    const cancelled = (_: string, signal: AbortSignal) =>
      new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(new Error('cancelled'))));
    const lookups = lookupsWith({ a: cancelled, aaaa: cancelled });
    const failure = resolveName('example.org', lookups, controller.signal);
    await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    await expect(failure).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('gives configured name servers the last word', async () => {
    const { system: _, ...lookups } = lookupsWith({ a: failing('ENOTFOUND'), aaaa: failing('ENOTFOUND') });
    await expect(resolveName('example.org', lookups, never)).rejects.toMatchObject({
      code: 'resolve',
      message: 'cannot resolve example.org: no such name (ENOTFOUND)',
      hint: expect.stringContaining('dns.servers'),
    });
  });

  it('says each reason once', async () => {
    const failure = resolve({ a: failing('ESERVFAIL'), aaaa: failing('ENODATA'), system: failing('EAI_AGAIN') });
    await expect(failure).rejects.toMatchObject({
      message:
        'cannot resolve example.org: the name server failed (ESERVFAIL); the name server did not answer (EAI_AGAIN)',
    });
    const nowhere = failing('ECONNREFUSED');
    await expect(resolve({ a: nowhere, aaaa: nowhere, system: failing('ENOTFOUND') })).rejects.toMatchObject({
      message: 'cannot resolve example.org: no name server can be reached (ECONNREFUSED); no such name (ENOTFOUND)',
    });
  });
});
