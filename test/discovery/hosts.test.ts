import { mkdtemp, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addressesInHosts, HostsFile } from '../../src/discovery/hosts.js';
import { ipv4, ipv6 } from '../core/arbitraries.js';

describe('hosts', () => {
  const text = [
    '# the machine itself',
    '127.0.0.1\tlocalhost',
    '::1     localhost ip6-localhost',
    '  10.0.0.1  Web.Example.org web   # the first',
    '10.0.0.2 web',
    '10.0.0.2 web web',
    'fe80::1%eth0 link',
    '#10.0.0.3 web',
    '10.0.0.300 web',
    'web 10.0.0.4',
    '10.0.0.5',
    '',
  ].join('\n');

  it.each([
    ['web', ['10.0.0.1', '10.0.0.2']],
    ['WEB', ['10.0.0.1', '10.0.0.2']],
    ['web.example.org', ['10.0.0.1']],
    ['web.example.org.', ['10.0.0.1']],
    ['localhost', ['127.0.0.1', '::1']],
    ['link', ['fe80::1%eth0']],
    ['example.org', []],
    ['first', []],
    ['10.0.0.1', []],
  ])('%s stands for %j', (name, addresses) => {
    expect(addressesInHosts(text, name)).toEqual(addresses);
    expect(addressesInHosts(text.replaceAll('\n', '\r\n'), name)).toEqual(addresses);
  });

  it('what is written into a hosts file is found in it, whatever the white space and the comments', () => {
    const name = fc.constantFrom('a', 'b', 'a.b', 'example.org', 'xa');
    const space = fc.constantFrom(' ', '\t', '  \t ');
    const line = fc.record({ address: fc.oneof(ipv4, ipv6), names: fc.array(name, { maxLength: 3 }), space });
    const comment = fc.constantFrom('', '#', ' # 10.0.0.1 a b example.org');
    fc.assert(
      fc.property(fc.array(fc.tuple(line, comment)), name, (lines, asked) => {
        const text = lines.map(([{ address, names, space }, end]) => [address, ...names].join(space) + end).join('\n');
        const expected = lines.filter(([{ names }]) => names.includes(asked)).map(([{ address }]) => address);
        expect(addressesInHosts(text, asked)).toEqual([...new Set(expected)]);
      }),
    );
  });

  it('nothing but addresses comes out of any text', () => {
    const piece = fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom('\n', ' ', '#', 'a', '10.0.0.1', '::1', '\0'));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        for (const address of addressesInHosts(pieces.join(''), 'a')) expect(isIP(address)).not.toBe(0);
      }),
    );
  });
});

describe('hosts file', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'meshproxy-hosts-'));
    path = join(folder, 'hosts');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('is read again when it has changed, appeared or gone', async () => {
    const hosts = new HostsFile(path);
    expect(await hosts.addressesOf('web')).toEqual([]);
    await writeFile(path, '10.0.0.1 web\n10.0.0.9 db');
    expect(await hosts.addressesOf('web')).toEqual(['10.0.0.1']);
    expect(await hosts.addressesOf('db')).toEqual(['10.0.0.9']);
    await writeFile(path, '10.0.0.22 web');
    expect(await hosts.addressesOf('web')).toEqual(['10.0.0.22']);
    // As editors save: another file in its place.
    await writeFile(`${path}.new`, '10.0.0.33 web');
    await rename(`${path}.new`, path);
    expect(await hosts.addressesOf('web')).toEqual(['10.0.0.33']);
    await rm(path);
    expect(await hosts.addressesOf('web')).toEqual([]);
  });

  it('has no names where it is no file', async () => {
    expect(await new HostsFile(folder).addressesOf('web')).toEqual([]);
  });

  it('is refused where it is too large to be one', async () => {
    await writeFile(path, '10.0.0.1 web\n');
    await truncate(path, 16 * 1024 ** 2 + 1);
    await expect(new HostsFile(path).addressesOf('web')).rejects.toMatchObject({
      code: 'file',
      message: expect.stringContaining(path),
    });
  });
});
