import { describe, expect, it } from 'vitest';
import { connectionKey, describeKey, type KeySource } from '../../src/balancer/hash-key.js';
import { hash32, hash64 } from '../../src/balancer/xxhash.js';
import { formatHashKey, parseHashKey } from '../../src/core/hash-key.js';

const ip = (host: string, port = 4000) => ({ kind: 'ip', host, port }) as const;

function found(name: string, source: KeySource) {
  const key = parseHashKey(name)!;
  const result = connectionKey(key, source);
  return { text: result?.text, words: describeKey(key, result) };
}

describe('the key of a connection', () => {
  const full: KeySource = {
    client: ip('10.0.0.7'),
    destination: ip('2001:db8::1', 443),
    serverName: 'Example.ORG.',
    identity: 'spiffe://example.org/ns/a/sa/b',
    tlvs: [{ type: 0xea, value: Buffer.from('vpce-1\x1b') }],
  };

  it.each([
    ['source-ip', '10.0.0.7', 'source-ip 10.0.0.7'],
    ['source-ip-port', '10.0.0.7:4000', 'source-ip-port 10.0.0.7:4000'],
    ['destination', '[2001:db8::1]:443', 'destination [2001:db8::1]:443'],
    ['sni', 'example.org', 'sni example.org'],
    ['identity', 'spiffe://example.org/ns/a/sa/b', 'identity spiffe://example.org/ns/a/sa/b'],
    ['proxy-tlv:0xEA', 'vpce-1\x1b', 'proxy-tlv:0xEA vpce-1?'],
  ])('is %s, and says so', (name, text, words) => {
    expect(found(name, full)).toEqual({ text, words });
  });

  it('is the same for an IPv4 address and its IPv4-mapped form', () => {
    expect(found('source-ip', { client: ip('::ffff:10.0.0.7') }).text).toBe('10.0.0.7');
    expect(found('source-ip-port', { client: ip('::ffff:10.0.0.7') }).text).toBe('10.0.0.7:4000');
  });

  it('takes the name that a proxy in front has read for sni', () => {
    expect(found('sni', { tlvs: [{ type: 2, value: Buffer.from('a.example') }] }).text).toBe('a.example');
  });

  it.each(['sni', 'destination', 'identity', 'proxy-tlv:0xEA'])(
    'falls back to the client where there is no %s',
    (name) => {
      expect(found(name, { client: ip('10.0.0.7') })).toEqual({
        text: '10.0.0.7',
        words: `source-ip 10.0.0.7 (it has no ${name})`,
      });
    },
  );

  it('is none for a client on a unix socket, and says so', () => {
    const client = { kind: 'unix', path: '@x' } as const;
    expect(found('source-ip', { client })).toEqual({ text: undefined, words: 'no source-ip, at random' });
    expect(found('sni', {})).toEqual({ text: undefined, words: 'no sni, at random' });
  });

  it('is read and written in one form, and nothing else is read', () => {
    expect(formatHashKey(parseHashKey('proxy-tlv:0xea')!)).toBe('proxy-tlv:0xEA');
    for (const text of ['', 'ip', 'proxy-tlv', 'proxy-tlv:ea', 'proxy-tlv:0x100', 'SNI']) {
      expect(parseHashKey(text)).toBeUndefined();
    }
  });
});

describe('xxHash', () => {
  // XXH64 and XXH32 of nothing, with seed 0: the reference implementation's values.
  it('agrees with the reference for the empty input', () => {
    const words = new Uint32Array(2);
    hash64('', 0, words, 0);
    expect([...words]).toEqual([0x51d8e999, 0xef46db37]);
    expect(hash32('')).toBe(0x02cc5d05);
  });
});
