/** Which TLS does not come about, and with which words: on the side that refuses and, where its engine sends an alert, on the other. */
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { TlsCredential } from '../../src/l4/tls.js';
import type { Connection, RelayEnd, Transport } from '../../src/l4/transport.js';
import { type Issued, LEAF, leafOf } from '../fakes/certificates.js';
import { readAll } from '../fakes/net.js';
import { never, outcome, quiet, TlsWorld } from './tls-world.js';

const MALLORY = 'spiffe://example.org/ns/shop/sa/mallory';
const FINGERPRINT = '([0-9A-F]{2}:){7}[0-9A-F]{2}';

interface Case {
  readonly what: string;
  readonly credential: (world: TlsWorld) => TlsCredential;
  /** Behind "the client's certificate" or "the server's". */
  readonly words: RegExp;
  /** What the other side says of the alert. */
  readonly alert: RegExp;
  readonly judge?: () => string | undefined;
  readonly strict?: boolean;
}

function encrypted(key: string): string {
  return createPrivateKey(key)
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' })
    .toString();
}

function other(world: TlsWorld): Issued {
  return world.maker.intermediate('foreign issuer', world.maker.root('foreign root'));
}

const CASES: readonly Case[] = [
  {
    what: 'has expired',
    credential: ({ maker, issuer }) =>
      maker.leaf({ name: 'x', extensions: leafOf(MALLORY), from: -4, to: -2.5 }, issuer),
    words: /of spiffe:\S+mallory expired 2 days ago \(\d{4}-\d\d-\d\dT[\d:.]+Z\)$/,
    alert: /refuses our certificate: it has expired/,
  },
  {
    what: 'is not valid yet',
    credential: ({ maker, issuer }) => maker.leaf({ name: 'x', extensions: leafOf(MALLORY), from: 3.5, to: 9 }, issuer),
    words: /of spiffe:\S+mallory is not valid before \d{4}\S+Z, in 3 days: compare the clocks of both machines$/,
    alert: /refuses our certificate/,
  },
  {
    what: 'is self-signed',
    credential: ({ maker }) => {
      const self = maker.issue({ name: 'x', extensions: [...leafOf(MALLORY), 'subjectKeyIdentifier=hash'] }, undefined);
      return { chain: self.certificate, key: self.key };
    },
    words: new RegExp(
      `of spiffe:\\S+mallory is self-signed \\(fingerprint seen: ${FINGERPRINT}; trusted: ${FINGERPRINT}\\)$`,
    ),
    alert: /does not know the authority that issued our certificate/,
  },
  {
    what: 'is of an issuer that is not known',
    credential: (world) => world.maker.leaf({ name: 'x', extensions: leafOf(MALLORY) }, other(world)),
    words: new RegExp(
      `was issued by CN=foreign root, which is not known here \\(fingerprint seen: ${FINGERPRINT}; trusted: ${FINGERPRINT}\\)$`,
    ),
    alert: /does not know the authority that issued our certificate/,
  },
  {
    what: 'comes without its issuer',
    credential: (world) => ({ chain: world.alice.certificate, key: world.alice.key }),
    words: /of spiffe:\S+alice was issued by CN=example\.org issuer, which is not known here/,
    alert: /does not know the authority that issued our certificate/,
  },
  {
    what: 'is of an issuer that has expired',
    credential: ({ maker, root }) => {
      const issuer = maker.intermediate('old issuer', root, [], -3.5);
      return maker.leaf({ name: 'x', extensions: leafOf(MALLORY) }, issuer);
    },
    words: /^certificate 1 above the \w+'s \(CN=old issuer\) expired 3 days ago/,
    alert: /refuses our certificate: it has expired/,
  },
  {
    what: 'is of a CA',
    credential: ({ root, maker }) => {
      const ca = maker.intermediate('some issuer', root);
      return { chain: ca.chain, key: ca.key };
    },
    words: /of CN=some issuer is that of an authority \(CA\), and nobody else may show it$/,
    alert: /refuses our certificate/,
  },
  {
    what: 'is of a CA that may sign too (strict)',
    credential: ({ root, maker }) => {
      const usage = 'keyUsage=critical,keyCertSign,cRLSign,digitalSignature';
      const extensions = ['basicConstraints=critical,CA:TRUE', usage, `subjectAltName=URI:${MALLORY}`];
      return maker.leaf({ name: 'x', extensions }, root);
    },
    strict: true,
    words: /^the \w+'s certificate is in order, but it is that of an authority \(CA\), and nobody else may show it$/,
    alert: /refuses our certificate/,
  },
  {
    what: 'is for another use (extended key usage)',
    credential: ({ maker, issuer }) =>
      maker.leaf(
        { name: 'x', extensions: [...LEAF, 'extendedKeyUsage=codeSigning', `subjectAltName=URI:${MALLORY}`] },
        issuer,
      ),
    words: /is not meant for a TLS (client|server) \(key usage, extended key usage\)$/,
    alert: /refuses our certificate/,
  },
  {
    what: 'breaks the name constraints of its issuer',
    credential: ({ maker, root }) => {
      const issuer = maker.intermediate('narrow', root, ['nameConstraints=critical,permitted;URI:example.net']);
      return maker.leaf({ name: 'x', extensions: leafOf(MALLORY) }, issuer);
    },
    words: /breaks the name constraints of the authority that issued it \(permitted subtree violation\)$/,
    alert: /refuses our certificate/,
  },
  {
    what: 'is in order, and not the one that is wanted',
    credential: ({ alice }) => alice,
    judge: () => 'it is of alice, and only bob may come in here',
    words: /^the \w+'s certificate is in order, but it is of alice, and only bob may come in here$/,
    alert: /refuses our certificate/,
  },
  {
    what: 'is in order, and judging it fails',
    credential: ({ alice }) => alice,
    judge: () => {
      throw new Error('a bug');
    },
    words: /^the \w+'s certificate is in order, but it could not be checked: a bug$/,
    alert: /refuses our certificate/,
  },
];

/** A relay from `secured` to a plain server that never says anything: how it ended, and how it looked to a plain client. */
async function relayTo(world: TlsWorld, transport: Transport, secured: Connection) {
  const near = await world.accepted(transport);
  const end: Promise<RelayEnd> = near.connection.relay(secured, quiet);
  const [result, atClient] = await Promise.all([end, readAll(near.client)]);
  return { result, atClient };
}

export function describeTlsRefusals(dialer: Transport, acceptor: Transport): void {
  const both = `${dialer.engine} to ${acceptor.engine}`;
  describe(`TLS refused, from ${both}`, () => {
    let world: TlsWorld;
    beforeAll(() => {
      world = new TlsWorld();
    });
    afterEach(() => world.cleanUp());
    afterAll(() => world.maker.close());

    describe("a client's certificate that", () => {
      it.each(CASES)('$what', async ({ credential, words, alert, judge, strict = false }) => {
        const { dialed, accepted } = await world.ends(dialer, acceptor);
        const shaken = outcome(dialer, dialed, world.client({ credential: credential(world) }));
        const call = judge === undefined ? {} : { judge };
        const refused = await outcome(acceptor, accepted, world.server({ strict }), call);
        expect(refused.code).toBe('handshake');
        expect(refused.words).toMatch(/^TLS handshake failed: .*the client's/);
        expect(refused.words.replace('TLS handshake failed: ', '')).toMatch(words);
        await expectRefusalIsHeard(shaken, dialed, alert);
      });

      it('is missing', async () => {
        const { dialed, accepted } = await world.ends(dialer, acceptor);
        const shaken = outcome(dialer, dialed, world.client({ credential: undefined }));
        const refused = await outcome(acceptor, accepted, world.server());
        expect([refused.code, refused.words]).toEqual([
          'handshake',
          expect.stringMatching(/: the client shows no certificate, and one is required/),
        ]);
        await expectRefusalIsHeard(shaken, dialed, /requires a certificate, and this side has none to show/);
      });
    });

    /** In TLS 1.3 a client's handshake is done before the server has seen its certificate. */
    async function expectRefusalIsHeard(
      shaken: ReturnType<typeof outcome>,
      dialed: Connection,
      alert: RegExp,
    ): Promise<void> {
      const { peer, words } = await shaken;
      if (peer === undefined) {
        // The refusal was quicker than the end of the handshake.
        if (acceptor.engine === 'native') expect(words).toMatch(alert);
        return;
      }
      const { result, atClient } = await relayTo(world, dialer, dialed);
      expect(atClient.end).toBe('reset');
      if (acceptor.engine === 'streams') return void expect(['tls', 'reset']).toContain(result.kind);
      expect(result).toMatchObject({ kind: 'tls', by: 'peer' });
      expect(result.kind === 'tls' && result.cause.message).toMatch(alert);
    }

    describe("a server's certificate that", () => {
      it.each(CASES)('$what', async ({ credential, words, alert, judge, strict = false }) => {
        const { dialed, accepted } = await world.ends(dialer, acceptor);
        const heard = outcome(acceptor, accepted, world.server({ credential: credential(world) }));
        const call = judge === undefined ? {} : { judge };
        const refused = await outcome(dialer, dialed, world.client({ strict }), call);
        expect(refused.code).toBe('handshake');
        expect(refused.words).toMatch(/^TLS handshake failed: .*the server's/);
        expect(refused.words.replace('TLS handshake failed: ', '')).toMatch(words);
        const { peer, words: atServer } = await heard;
        // Node's `tls` has finished the handshake by the time that its certificate is looked at, and sends no alert.
        if (dialer.engine === 'streams') return;
        expect(peer).toBeUndefined();
        expect(atServer).toMatch(alert);
      });
    });

    it('a client of an old TLS only', async () => {
      const { address, accepted } = await world.listen(acceptor);
      const client = tls.connect({ ...address, maxVersion: 'TLSv1.2', rejectUnauthorized: false });
      const told = once(client, 'error');
      const refused = await outcome(acceptor, await accepted, world.server());
      if (acceptor.engine === 'native') expect(String(await told)).toMatch(/alert protocol version/);
      else client.on('error', () => {});
      expect(refused.words).toMatch(/: the client and this side have no version of TLS in common/);
    });

    it.each([
      ['plain HTTP', 'GET / HTTP/1.1\r\nHost: example.org\r\n\r\n', /plain text, beginning with "GET \/ HTTP\/1\.1/],
      ['another protocol', 'SSH-2.0-OpenSSH_9.9\r\n', /plain text, beginning with "SSH-2\.0-OpenSS/],
      ['an HTTP CONNECT', 'CONNECT example.org:443 HTTP/1.1\r\n\r\n', /plain text, beginning with "CONNECT/],
    ])('%s in place of a handshake', async (_what, text, words) => {
      const up = await world.accepted(acceptor);
      up.client.write(text);
      const refused = await outcome(acceptor, up.connection, world.server());
      expect([refused.code, refused.words]).toEqual(['handshake', expect.stringMatching(words)]);
      // Of a server too.
      const down = await world.plainServer((socket) => socket.write(text));
      const dialed = await world.dial(dialer, down.address);
      const answered = await outcome(dialer, dialed, world.client());
      expect([answered.code, answered.words]).toEqual(['handshake', expect.stringMatching(words)]);
    });

    it('noise that looks like the beginning of a handshake', async () => {
      const { connection, client } = await world.accepted(acceptor);
      client.write(Buffer.from('16030100050102030405aabbcc', 'hex'));
      client.write(Buffer.alloc(3000, 0x16));
      const refused = await outcome(acceptor, connection, world.server());
      expect(refused.code).toBe('handshake');
      expect(refused.words).not.toContain('no reason');
    });

    it.each(['before a byte', 'in the middle'])('a peer that leaves %s', async (when) => {
      const { connection, client } = await world.accepted(acceptor);
      client.end(when === 'in the middle' ? Buffer.from('16030100', 'hex') : '');
      const refused = await outcome(acceptor, connection, world.server());
      expect([refused.code, refused.words]).toEqual([
        'handshake',
        'TLS handshake failed: the client closed the connection in the middle of it',
      ]);
      const down = await world.plainServer((socket) => socket.end(when === 'in the middle' ? '\x16\x03\x03' : ''));
      const answered = await outcome(dialer, await world.dial(dialer, down.address), world.client());
      expect(answered.words).toBe('TLS handshake failed: the server closed the connection in the middle of it');
    });

    it('a peer that resets in the middle', async () => {
      const { connection, client } = await world.accepted(acceptor);
      client.write(Buffer.from('16030100', 'hex'));
      const refused = outcome(acceptor, connection, world.server());
      await new Promise((resolve) => setImmediate(resolve));
      client.resetAndDestroy();
      expect((await refused).code).toBe('disconnected');
      const down = await world.plainServer((socket) => socket.once('data', () => socket.resetAndDestroy()));
      const answered = await outcome(dialer, await world.dial(dialer, down.address), world.client());
      expect(answered.code).toBe('disconnected');
    });

    it('one that is given up, before and while', async () => {
      for (const abort of ['before', 'while']) {
        const { connection, client } = await world.accepted(acceptor);
        const giveUp = new AbortController();
        if (abort === 'before') giveUp.abort();
        const pending = acceptor.secure(connection, world.server(), {}, giveUp.signal);
        giveUp.abort();
        await expect(pending).rejects.toMatchObject({ code: 'aborted' });
        await readAll(client);
      }
    });

    it('one whose connection is reset by its owner, also by who judges the peer', async () => {
      const { connection } = await world.accepted(acceptor);
      const pending = outcome(acceptor, connection, world.server());
      connection.reset();
      expect((await pending).code).toBe('disconnected');
      const { dialed, accepted } = await world.ends(dialer, acceptor);
      void outcome(dialer, dialed, world.client());
      const judge = (): undefined => {
        accepted.reset();
      };
      const { peer, code } = await outcome(acceptor, accepted, world.server(), { judge });
      expect([peer, code]).toEqual([undefined, 'disconnected']);
    });

    it('one on a connection that is closed already', async () => {
      const { connection } = await world.accepted(acceptor);
      connection.reset();
      expect((await outcome(acceptor, connection, world.server())).code).toBe('disconnected');
    });

    describe('credentials', () => {
      const credentials: readonly (readonly [string, (world: TlsWorld) => TlsCredential | { roots: string }])[] = [
        ['a key of another certificate', ({ alice, bob }) => ({ chain: alice.chain, key: bob.key })],
        ['an empty chain', ({ alice }) => ({ chain: '', key: alice.key })],
        ['a chain without a certificate', ({ alice }) => ({ chain: 'no PEM at all', key: alice.key })],
        ['a broken certificate', ({ alice }) => ({ chain: alice.chain.replace(/^MII.{20}/m, 'MIIB'), key: alice.key })],
        ['half a certificate', ({ alice }) => ({ chain: alice.chain.slice(0, 300), key: alice.key })],
        ['half a key', ({ alice }) => ({ chain: alice.chain, key: alice.key.slice(0, 100) })],
        ['no key', ({ alice }) => ({ chain: alice.chain, key: '' })],
        ['a key with a passphrase', ({ alice }) => ({ chain: alice.chain, key: encrypted(alice.key) })],
        ['a broken trust bundle', ({ root }) => ({ roots: root.certificate.replace(/^MII.{20}/m, 'MIIB') })],
      ];
      it.each(credentials)('%s', async (_what, make) => {
        for (const transport of new Set([dialer, acceptor])) {
          const { connection } = await world.accepted(transport);
          const bad = make(world);
          const setup = world.server('roots' in bad ? bad : { credential: bad });
          const { code, words } = await outcome(transport, connection, setup);
          expect(code).toBe('bad-certificate');
          expect(words).toMatch(/^(OpenSSL refuses .+: .+|the certificate file has no certificate in it)$/);
          expect(words).not.toContain('no reason is given');
          // As with every refusal nothing is left open.
          await expect(connection.peek(1, never)).rejects.toMatchObject({ code: 'disconnected' });
        }
      });
    });

    it('nobody, where there is no root to trust', async () => {
      const { dialed, accepted } = await world.ends(dialer, acceptor);
      void outcome(dialer, dialed, world.client());
      const { words } = await outcome(acceptor, accepted, world.server({ roots: '' }));
      expect(words).toMatch(/which is not known here \(fingerprint seen: [0-9A-F:]+; trusted: none\)/);
    });
  });
}
