import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { IpAddress } from '../../src/core/address.js';
import { CaClient, type CaSession } from '../../src/pki/ca-client.js';
import { newAuthority, newCsr, newLeaf, type TestLeaf } from '../fakes/authority.js';

const { signal } = new AbortController();

/** Answers whoever gets through the handshake; and what it was asked. */
async function service({ cert, key }: Pick<TestLeaf, 'cert' | 'key'>, answer: string) {
  const asked: string[] = [];
  const server: Server = createServer({ cert, key, minVersion: 'TLSv1.3' }, (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.end(answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { port: number };
  const address: IpAddress = { kind: 'ip', host: '127.0.0.1', port };
  return { address, asked };
}

function clientOf(...addresses: IpAddress[]): CaClient {
  const client = new CaClient(addresses);
  onTestFinished(() => client.close());
  return client;
}

async function world() {
  const { authority } = await newAuthority();
  const session: CaSession = { trustDomain: 'example.org', bundle: authority.trust.bundle };
  const { spkiOf } = await import('../../src/pki/x509.js');
  const { newKeys } = await import('../../src/pki/init.js');
  const keys = newKeys();
  const own = await authority.issueOwn(spkiOf(keys.publicKey), 3_600_000);
  const key = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { authority, session, own: { cert: own.chain, key } };
}

describe('a client of the authority', () => {
  it('asks the authority, over one connection', async () => {
    const { authority, session, own } = await world();
    const { address, asked } = await service(own, JSON.stringify(authority.trust));
    const client = clientOf(address);
    expect(await client.trust(session, undefined, 0, signal)).toEqual(authority.trust);
    expect(await client.trust(session, 'abc', 5, signal)).toEqual(authority.trust);
    expect(asked).toEqual(['GET /v1/trust', 'GET /v1/trust?after=abc&wait=5']);
  });

  it('sends nothing to a workload that poses as the authority with a certificate of its own', async () => {
    const { authority, session } = await world();
    const leaf = await newLeaf(authority);
    const { address, asked } = await service(leaf, JSON.stringify(authority.trust));
    const client = clientOf(address);
    const words =
      /it shows a certificate for URI:spiffe:\/\/example\.org\/ns\/default\/sa\/web, where .*\/sa\/ca is wanted/;
    await expect(client.certificate(session, newCsr(), 'a token', signal)).rejects.toThrow(words);
    await expect(client.trust(session, undefined, 0, signal)).rejects.toThrow(words);
    expect(asked).toEqual([]);
  });

  it('sends nothing to an authority of the same name with another root', async () => {
    const { session } = await world();
    const { own } = await world();
    const { address, asked } = await service(own, '{}');
    await expect(clientOf(address).certificate(session, newCsr(), 'a token', signal)).rejects.toThrow(
      /the authority at 127\.0\.0\.1:\d+: /,
    );
    expect(asked).toEqual([]);
  });

  it('goes to the next address where one does not answer', async () => {
    const { authority, session, own } = await world();
    const { address } = await service(own, JSON.stringify(authority.trust));
    const client = clientOf({ ...address, port: 1 }, address);
    await expect(client.trust(session, undefined, 0, signal)).rejects.toThrow(/127\.0\.0\.1:1: connection refused/);
    expect(await client.trust(session, undefined, 0, signal)).toEqual(authority.trust);
  });

  it.each([
    ['nothing', ''],
    ['no JSON', '<html>'],
    ['less than a trust', '{"version":"1","bundle":""}'],
  ])('does not take %s for an answer', async (_, answer) => {
    const { session, own } = await world();
    const { address } = await service(own, answer);
    await expect(clientOf(address).trust(session, undefined, 0, signal)).rejects.toThrow('nothing that is understood');
  });
});
