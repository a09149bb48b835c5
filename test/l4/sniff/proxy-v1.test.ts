import { describe, expect, it, test } from 'vitest';
import { parseProxyHeader } from '../../../src/l4/sniff/proxy-protocol.js';

function parse(text: string) {
  return parseProxyHeader(Buffer.from(text, 'latin1'));
}

describe('a PROXY v1 line', () => {
  test.each([
    ['PROXY TCP4 192.168.0.1 192.168.0.11 56324 443', '192.168.0.1', 56324, '192.168.0.11', 443],
    ['PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535', '255.255.255.255', 65535, '255.255.255.255', 65535],
    ['PROXY TCP4 0.0.0.0 0.0.0.0 0 0', '0.0.0.0', 0, '0.0.0.0', 0],
    ['PROXY TCP6 2001:db8::1 ::1 1 2', '2001:db8::1', 1, '::1', 2],
    ['PROXY TCP6 2001:0DB8:0:0:0:0:0:1 :: 1 2', '2001:db8::1', 1, '::', 2],
    ['PROXY TCP6 ::ffff:10.0.0.1 ::FFFF:a00:2 1 2', '::ffff:10.0.0.1', 1, '::ffff:10.0.0.2', 2],
  ])('%s', (line, source, sourcePort, destination, destinationPort) => {
    expect(parse(`${line}\r\nGET / HTTP/1.1\r\n`)).toEqual({
      kind: 'match',
      length: line.length + 2,
      value: {
        version: 1,
        command: 'proxy',
        source: { kind: 'ip', host: source, port: sourcePort },
        destination: { kind: 'ip', host: destination, port: destinationPort },
        tlvs: [],
      },
    });
  });

  test.each([
    'PROXY UNKNOWN',
    'PROXY UNKNOWN ',
    'PROXY UNKNOWN ffff::1 ffff::2 1 2',
    'PROXY UNKNOWN whatever  it\x00says',
    `PROXY UNKNOWN ${'x'.repeat(91)}`,
  ])('%j says nothing of the addresses', (line) => {
    expect(parse(`${line}\r\nhello`)).toEqual({
      kind: 'match',
      length: line.length + 2,
      value: { version: 1, command: 'proxy', source: undefined, destination: undefined, tlvs: [] },
    });
  });
});

describe('a malformed PROXY v1 line', () => {
  const words = 'does not have six words';
  const family = 'neither TCP4, TCP6 nor UNKNOWN';
  const end = 'does not end with CRLF';
  test.each([
    ['PROXY TCP5 1.1.1.1 1.1.1.1 1 2\r\n', family],
    ['PROXY tcp4 1.1.1.1 1.1.1.1 1 2\r\n', family],
    ['PROXY  TCP4 1.1.1.1 1.1.1.1 1 2\r\n', family],
    ['PROXY UDP4 1.1.1.1 1.1.1.1 1 2\r\n', family],
    ['PROXY\tTCP4 1.1.1.1 1.1.1.1 1 2\r\n', family],
    ['PROXY\r\n', words],
    ['PROXY \r\n', words],
    ['PROXY UNKNOWNS\r\n', words],
    ['PROXY TCP4\r\n', words],
    ['PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n', words],
    ['PROXY TCP4 1.1.1.1 1.1.1.1 1 \r\n', words],
    ['PROXY TCP4 1.1.1.1 1.1.1.1 1 2 \r\n', words],
    ['PROXY TCP4 1.1.1.1 1.1.1.1 1 2 3\r\n', words],
    ['PROXY TCP4 1.1.1.1  1.1.1.1 1 2\r\n', words],
    ['PROXY TCP4 1.1.1.1 1.1.1.1 1 2\n', end],
    ['PROXY TCP4 1.1.1.1 1.1.1.1 1 2\rx', end],
    ['PROXY TCP4 1.1.1.1\n1.1.1.1 1 2\r\n', end],
    ['PROXY UNKNOWN a\nb\r\n', end],
    ['PROXY UNKNOWN a\rb\r\n', end],
    ['PROXY TCP4 1.1.1 1.1.1.1 1 2\r\n', 'the source "1.1.1" is not an IPv4 address'],
    ['PROXY TCP4 1.1.1.256 1.1.1.1 1 2\r\n', 'the source "1.1.1.256" is not an IPv4 address'],
    ['PROXY TCP4 01.1.1.1 1.1.1.1 1 2\r\n', 'the source "01.1.1.1" is not an IPv4 address'],
    ['PROXY TCP4 0x1.1.1.1 1.1.1.1 1 2\r\n', 'the source "0x1.1.1.1" is not an IPv4 address'],
    ['PROXY TCP4 1.1.1.1 ::1 1 2\r\n', 'the destination "::1" is not an IPv4 address'],
    ['PROXY TCP6 1.1.1.1 ::1 1 2\r\n', 'the source "1.1.1.1" is not an IPv6 address'],
    ['PROXY TCP6 ::1 1::2::3 1 2\r\n', 'the destination "1::2::3" is not an IPv6 address'],
    ['PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n', 'the source "fe80::1%eth0" is not an IPv6 address'],
    ['PROXY TCP6 [::1] ::1 1 2\r\n', 'the source "[::1]" is not an IPv6 address'],
    ['PROXY TCP6 ::00001 ::1 1 2\r\n', 'the source "::00001" is not an IPv6 address'],
    ['PROXY TCP4 1.1.1.1 1.1.1.1 01 2\r\n', 'the source port "01" is not one'],
    ['PROXY TCP4 1.1.1.1 1.1.1.1 +1 2\r\n', 'the source port "+1" is not one'],
    ['PROXY TCP4 1.1.1.1 1.1.1.1 1 -2\r\n', 'the destination port "-2" is not one'],
    ['PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n', 'the destination port "65536" is not one'],
    ['PROXY TCP4 1.1.1.1 1.1.1.1 1 2x\r\n', 'the destination port "2x" is not one'],
    ['PROXY TCP4 1.1.1.1 1.1.1.1 1 \xb2\r\n', 'the destination port "\\xb2" is not one'],
  ])('%j is refused in words', (line, reason) => {
    const result = parse(line);
    expect(result.kind).toBe('no-match');
    expect(result).toHaveProperty('reason', expect.stringContaining(`PROXY v1 line: `));
    expect(result).toHaveProperty('reason', expect.stringContaining(reason));
  });

  test.each([
    ['PROXY H', 7],
    ['PROXY TCP5', 10],
    ['PROXY TCP44', 11],
    ['PROXY U\n', 8],
    ['PROXY TCP4 1.1.1.1\n', 19],
  ])('%j is refused at byte %d, before its end', (text, certain) => {
    expect(parse(text.slice(0, certain - 1)).kind).toBe('need-more');
    expect(parse(text).kind).toBe('no-match');
  });

  test.each([
    ['PROXY UNKNOWN ', 107],
    ['PROXY TCP6 ', 107],
    ['PROXY TCP4 ', 56],
  ])('%j without a CRLF is refused when it cannot come in time', (begin, most) => {
    const line = begin.padEnd(200, '1');
    expect(parse(line.slice(0, most - 2)).kind).toBe('need-more');
    expect(parse(`${line.slice(0, most - 2)}\r`)).toEqual({ kind: 'need-more', atLeast: most });
    const refusal = { kind: 'no-match', reason: expect.stringContaining(`no CRLF in its first ${most} bytes`) };
    expect(parse(line.slice(0, most - 1))).toEqual(refusal);
    expect(parse(line)).toEqual(refusal);
  });
});

describe('a PROXY v1 line that is not complete', () => {
  test.each([
    ['', 15],
    ['PROXY', 15],
    ['PROXY T', 22],
    ['PROXY TCP6', 22],
    ['PROXY TCP4', 32],
    ['PROXY UNKNOWN', 15],
    ['PROXY UNKNOWN\r', 15],
    ['PROXY UNKNOWN a', 17],
    ['PROXY UNKNOWN a\r', 17],
    ['PROXY TCP6 :: :: 0 12345', 26],
  ])('%j needs %d bytes', (text, atLeast) => {
    expect(parse(text)).toEqual({ kind: 'need-more', atLeast });
  });

  it('is not decoded before its CRLF: what is there could go on', () => {
    expect(parse('PROXY TCP4 10.0.0.1 10.0.0.2 1 2').kind).toBe('need-more');
    expect(parse('PROXY TCP4 10.0.0.1 10.0.0.2 1 2').kind).toBe('need-more');
  });
});
