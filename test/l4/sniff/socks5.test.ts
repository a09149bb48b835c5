import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  parseSocksGreeting,
  parseSocksPassword,
  parseSocksRequest,
  REPLY,
  requestReply,
} from '../../../src/l4/sniff/socks5.js';
import { firstBytesOf, missing, program } from './clients.js';
import { atEverySplit, feed } from './feeding.js';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const named = (name: string): Buffer =>
  Buffer.concat([hex('05 01 00 03'), Buffer.from([name.length]), Buffer.from(name, 'latin1'), hex('0050')]);

describe('SOCKS 5', () => {
  it.for([
    ['curl', ['--socks5-hostname'], [0, 1]],
    ['curl with a password', ['--proxy-user', 'u:p', '--socks5-hostname'], [0, 1, 2]],
  ] as const)('a greeting of %s is read, at every split', async ([who, options, methods], { skip }) => {
    skip(missing(who) !== undefined, missing(who));
    const curl = program('curl', (port) => ['-s', ...options, `127.0.0.1:${port}`, 'http://orders/']);
    const bytes = await firstBytesOf(curl, (all) => all.length >= 2 && all.length >= 2 + (all[1] ?? 0));
    expect(atEverySplit(parseSocksGreeting, bytes)).toEqual({ kind: 'match', value: methods, length: bytes.length });
  });

  it('what follows a greeting belongs to the next message', () => {
    expect(parseSocksGreeting(hex('05 01 00 05 01'))).toEqual({ kind: 'match', value: [0], length: 3 });
  });

  it('user and password are read, at every split', () => {
    const bytes = Buffer.concat([hex('01 05'), Buffer.from('j\u00fcrg'), hex('03'), Buffer.from('p w'), hex('ff')]);
    const whole = atEverySplit(parseSocksPassword, bytes);
    expect(whole).toEqual({ kind: 'match', value: { user: 'j\u00fcrg', password: 'p w' }, length: 11 });
    expect(parseSocksPassword(hex('01 01 61 00'))).toMatchObject({ value: { user: 'a', password: '' } });
  });

  it.each([
    ['an IPv4 address', hex('05 01 00 01 0a010203 1f90'), { host: '10.1.2.3', port: 8080 }],
    ['an IPv6 address', hex('05 01 00 04 20010db8000000000000000000000001 0050'), { host: '2001:db8::1', port: 80 }],
    ['a name', named('Orders'), { host: 'orders', port: 80 }],
    ['a name of one character', named('a'), { host: 'a', port: 80 }],
    ['a name with the dot of the root', named('a.b.'), { host: 'a.b', port: 80 }],
    ['BIND', hex('05 02 00 01 0a010203 1f90'), { reply: REPLY.commandNotSupported }],
    ['UDP', hex('05 03 00 01 00000000 0000'), { reply: REPLY.commandNotSupported }],
    ['an empty name', hex('05 01 00 03 00 0050 00'), { reply: REPLY.addressNotSupported }],
    ['a name that is none', named('a b'), { reply: REPLY.addressNotSupported }],
    ['a name with a zero byte', named('a\0b'), { reply: REPLY.addressNotSupported }],
    ['another kind of address', hex('05 01 00 09 00 00 00 00'), { reply: REPLY.addressNotSupported }],
  ])('a request for %s is read', (_, bytes, value) => {
    expect(parseSocksRequest(bytes)).toMatchObject({ kind: 'match', value });
    expect(feed(parseSocksRequest, bytes).result).toMatchObject({ kind: 'match', value });
  });

  it.each([
    ['SOCKS 4', parseSocksGreeting, hex('04 01 0050 0a000001'), /first byte is 4, not 5/],
    ['HTTP', parseSocksGreeting, Buffer.from('GET /'), /first byte is 71/],
    ['no method', parseSocksGreeting, hex('05 00'), /no method/],
    ['another version of passwords', parseSocksPassword, hex('05'), /version 5, not 1/],
    ['an empty user', parseSocksPassword, hex('01 00'), /user is empty/],
    ['another version of requests', parseSocksRequest, hex('04'), /version 4/],
    ['rubbish in a request', parseSocksRequest, hex('05 01 01'), /byte 3/],
  ])('%s is none', (_, parse, bytes, why) => {
    expect(parse(bytes)).toMatchObject({ kind: 'no-match', reason: expect.stringMatching(why) });
  });

  it('is looked for in anything without harm', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 });
    const request = fc.tuple(fc.constantFrom(1, 2, 3), fc.nat(4), fc.uint8Array({ maxLength: 30 }));
    const bytes = fc.oneof(
      fc.uint8Array(),
      request.map(([command, kind, rest]) => Buffer.from([5, command, 0, kind, ...rest])),
    );
    fc.assert(
      fc.property(bytes, sizes, (all, pieces) => {
        for (const parse of [parseSocksGreeting, parseSocksPassword]) {
          const whole = parse(all);
          expect(feed<unknown>(parse, all, pieces).result).toEqual(
            whole.kind === 'match' ? { ...whole } : expect.anything(),
          );
        }
        expect(feed(parseSocksRequest, all, pieces).result.kind).toBe(parseSocksRequest(all).kind);
      }),
      { numRuns: 2000 },
    );
  });

  it('replies have the form that curl reads', () => {
    expect(Buffer.from(requestReply(REPLY.refused)).toString('hex')).toBe('05050001000000000000');
  });
});
