import { networkInterfaces } from 'node:os';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAddress, type SocketAddress } from '../../../src/core/address.js';
import { canonicalIpv6 } from '../../../src/core/ip.js';
import { decodeSockaddr, encodeSockaddr, SOCKADDR_BYTES } from '../../../src/l4/native/sockaddr.js';

const port = fc.nat(65535);

function throughTheKernel(address: SocketAddress): SocketAddress | undefined {
  const sockaddr = Buffer.alloc(SOCKADDR_BYTES, 0xff);
  return decodeSockaddr(sockaddr, encodeSockaddr(address, sockaddr));
}

describe('socket addresses as the kernel has them', () => {
  it('are the same after there and back: IPv4', () => {
    fc.assert(
      fc.property(fc.ipV4(), port, (host, port) => {
        expect(throughTheKernel({ kind: 'ip', host, port })).toEqual({ kind: 'ip', host, port });
      }),
    );
  });

  it('are the same after there and back: IPv6, in its one form', () => {
    fc.assert(
      fc.property(fc.ipV6(), port, (written, port) => {
        const host = canonicalIpv6(written);
        expect(throughTheKernel({ kind: 'ip', host, port })).toEqual({ kind: 'ip', host, port });
      }),
    );
  });

  it('are the same after there and back: unix, in the file system and abstract', () => {
    const path = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 107 }).map((text) => text.replace(/\0/g, '0'));
    const fits = path.filter((text) => Buffer.byteLength(text) <= 107);
    fc.assert(
      fc.property(fits, (path) => {
        expect(throughTheKernel({ kind: 'unix', path })).toEqual({ kind: 'unix', path });
      }),
    );
  });

  it('are laid out as the manuals say', () => {
    const sockaddr = Buffer.alloc(SOCKADDR_BYTES);
    expect(encodeSockaddr({ kind: 'ip', host: '1.2.3.4', port: 0x0506 }, sockaddr)).toBe(16);
    expect(sockaddr.toString('hex', 0, 16)).toBe('02000506010203040000000000000000');
    expect(encodeSockaddr({ kind: 'ip', host: '2001:db8::9', port: 443 }, sockaddr)).toBe(28);
    expect(sockaddr.toString('hex', 0, 28)).toBe(`0a0001bb${'00000000'}20010db8000000000000000000000009${'00000000'}`);
    // With the zero that ends a path, and without one for a name that its length ends.
    expect(encodeSockaddr({ kind: 'unix', path: '/a' }, sockaddr)).toBe(5);
    expect(sockaddr.toString('hex', 0, 5)).toBe('01002f6100');
    expect(encodeSockaddr({ kind: 'unix', path: '@a' }, sockaddr)).toBe(4);
    expect(sockaddr.toString('hex', 0, 4)).toBe('01000061');
  });

  it('have the number of the interface for a zone, by name and as a number', () => {
    const sockaddr = Buffer.alloc(SOCKADDR_BYTES);
    const scope = (host: string): number => {
      encodeSockaddr({ kind: 'ip', host, port: 1 }, sockaddr);
      return sockaddr.readUInt32LE(24);
    };
    expect(scope('fe80::1%7')).toBe(7);
    expect(scope('fe80::1')).toBe(0);
    expect(scope('fe80::1%no-such-interface')).toBe(0);
    for (const [name, addresses] of Object.entries(networkInterfaces())) {
      const ipv6 = addresses?.find(({ family }) => family === 'IPv6');
      if (ipv6 !== undefined) expect(scope(`fe80::1%${name}`)).toBe('scopeid' in ipv6 ? ipv6.scopeid : 0);
    }
  });

  it('leave nothing behind of the one that was there before', () => {
    const sockaddr = Buffer.alloc(SOCKADDR_BYTES, 0xff);
    const length = encodeSockaddr({ kind: 'unix', path: '/run/b' }, sockaddr);
    expect(sockaddr.subarray(length).every((byte) => byte === 0)).toBe(true);
  });

  it('are nothing for a unix socket without a name, and for a family that is not ours', () => {
    expect(decodeSockaddr(Buffer.from([1, 0]), 2)).toBeUndefined();
    expect(decodeSockaddr(Buffer.alloc(SOCKADDR_BYTES), 0)).toBeUndefined();
    expect(decodeSockaddr(Buffer.alloc(SOCKADDR_BYTES, 0x11), 16)).toBeUndefined();
  });

  it('never throw, whatever bytes and whatever length the kernel gives', () => {
    const bytes = fc.uint8Array({ minLength: SOCKADDR_BYTES, maxLength: SOCKADDR_BYTES });
    fc.assert(
      fc.property(bytes, fc.constantFrom(0, 1, 2, 10, 17), fc.nat(300), (bytes, family, length) => {
        const source = Buffer.from(bytes);
        source.writeUInt16LE(family, 0);
        const address = decodeSockaddr(source, length);
        if (address?.kind === 'ip')
          expect(parseAddress(`[${address.host}]:1`.replace(/\[([\d.]+)\]/, '$1'))).toBeDefined();
      }),
    );
  });
});
