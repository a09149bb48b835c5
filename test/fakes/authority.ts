/** An authority in a folder of its own, and the HTTPS client of a workload. */

import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Address } from '../../src/core/address.js';
import { type Clock, systemClock } from '../../src/core/clock.js';
import { parseSpiffeId } from '../../src/core/identity.js';
import { Authority } from '../../src/pki/authority.js';
import { createCsr } from '../../src/pki/csr.js';
import { initAuthority, newKeys } from '../../src/pki/init.js';
import { fingerprintOf } from '../../src/pki/join-token.js';
import { CaStore } from '../../src/pki/store.js';
import { TokenStore } from '../../src/pki/token-store.js';
import { spkiOf } from '../../src/pki/x509.js';

export const WEB = 'spiffe://example.org/ns/default/sa/web';

/** Removed with the test. */
export function newFolder(): string {
  const directory = mkdtempSync(join(tmpdir(), 'meshproxy-ca-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** The machine's clock, that many milliseconds ahead of it. */
export function shiftedClock(aheadMs: () => number): Clock {
  return { ...systemClock, wall: () => systemClock.wall() + aheadMs() };
}

export async function newAuthority(trustDomain = 'example.org', clock: Clock = systemClock) {
  const store = new CaStore(newFolder(), undefined);
  await initAuthority(store, trustDomain, Date.now() - 86_400_000);
  const authority = await openAuthority(store, clock);
  return { store, authority, tokens: new TokenStore(store.directory) };
}

/** One process of those that may serve from the folder. */
export async function openAuthority(store: CaStore, clock: Clock = systemClock): Promise<Authority> {
  const authority = await Authority.open({ store, clock });
  onTestFinished(() => authority.close());
  return authority;
}

export async function newToken(authority: Authority, tokens: TokenStore, identity = WEB): Promise<string> {
  const roots = [fingerprintOf(new X509Certificate(authority.trust.bundle))];
  const spec = { identity: parseSpiffeId(identity), ttlMs: 3_600_000, roots };
  return (await tokens.create(spec, Date.now())).token;
}

export interface TestLeaf {
  /** PEM, with the issuer. */
  readonly cert: string;
  readonly key: string;
  readonly serial: string;
}

/** Issued past the service. */
export async function newLeaf(authority: Authority, identity = WEB, lifetimeMs = 3_600_000): Promise<TestLeaf> {
  const keys = newKeys();
  const order = { spki: spkiOf(keys.publicKey), identity: parseSpiffeId(identity), lifetimeMs, requester: 'a test' };
  const { chain, serial } = await authority.issue(order);
  return { cert: chain, key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), serial };
}

export function newCsr(): string {
  return createCsr(newKeys());
}

export interface Answered<T = Record<string, unknown>> {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: T;
  readonly text: string;
  /** The common name of the server's certificate has nothing; its URI says who it is. */
  readonly server: string | undefined;
}

/** Keeps one connection for all requests. Node 24 keeps none that was verified by a request's own function. */
export function keptAgent(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 1, checkServerIdentity: () => undefined });
}

interface Ask {
  readonly method?: string;
  readonly body?: unknown;
  /** Who asks. */
  readonly leaf?: { readonly cert: string; readonly key: string };
  /** Keeps its connections; by default each request has its own. */
  readonly agent?: Agent;
}

/** Asks the service, verified against `roots` (PEM), on a connection of its own unless an agent is given. */
export async function ask<T = Record<string, unknown>>(
  address: Address,
  roots: string,
  path: string,
  { method = 'GET', body, leaf, agent }: Ask = {},
): Promise<Answered<T>> {
  const asked = request({
    ...endpoint(address),
    path,
    method,
    ca: roots,
    agent: agent ?? new Agent({ keepAlive: false, maxCachedSessions: 0 }),
    checkServerIdentity: () => undefined,
    ...leaf,
  });
  const raw = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
  asked.end(raw);
  const [response] = await once(asked, 'response');
  const server = response.socket.getPeerX509Certificate()?.subjectAltName;
  const chunks: Buffer[] = [];
  response.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(response, 'end');
  const text = Buffer.concat(chunks).toString();
  const json = String(response.headers['content-type']).includes('json') ? JSON.parse(text) : {};
  return { status: response.statusCode, headers: response.headers, body: json, text, server };
}

export function endpoint(address: Address): { readonly host: string; readonly port: number } {
  if (address.kind === 'unix') throw new Error('the service of a test has a port');
  return { host: '127.0.0.1', port: address.port };
}

interface CertificateBody {
  readonly chain: string;
  readonly serial: string;
  readonly notAfter: number;
  readonly error: string;
  readonly code: string;
  readonly hint: string;
  readonly retryAfterMs: number;
}

/** Asks for a certificate by a token or by a leaf. */
export function askCertificate(
  address: Address,
  roots: string,
  { token, csr = newCsr(), ...rest }: { token?: string | undefined; csr?: string; leaf?: TestLeaf; agent?: Agent } = {},
): Promise<Answered<CertificateBody>> {
  return ask(address, roots, '/v1/certificate', { method: 'POST', body: { csr, token }, ...rest });
}
