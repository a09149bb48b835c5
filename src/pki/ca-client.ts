/**
 * Speaks to the authority's service. Whoever it speaks to has to be the authority: its certificate leads to a root of
 * the bundle, and is for the authority's own identity, whatever host it is on. Only the very first time is there no
 * bundle; then the token's fingerprints pick the root out of what is shown, and the token itself is sent after that.
 */
import { X509Certificate } from 'node:crypto';
import { Agent, type AgentOptions, type RequestOptions, request } from 'node:https';
import { type Address, formatAddress } from '../core/address.js';
import type { CancelSignal } from '../core/cancel.js';
import { describeError, MeshproxyError } from '../core/errors.js';
import { authorityIdentity, formatSpiffeId } from '../core/identity.js';
import type { Trust } from './authority.js';
import { type CertificateAnswer, parseCertificateAnswer, parseRefusal, parseTrust } from './ca-answers.js';

/** What a request is made with. */
export interface CaSession {
  readonly trustDomain: string;
  /** PEM of the roots. */
  readonly bundle: string;
  /** Who asks, where he has a certificate; an expired one may do. */
  readonly credential?: { readonly chain: string; readonly key: string } | undefined;
}

/** A request that was not granted: the authority said no, or nobody could be asked. */
export class CaRefusal extends MeshproxyError {
  /** The authority's own word for it; absent where it was not the authority that said no. */
  readonly refusal: string | undefined;
  /** It asked not to be asked again before, ms. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    details: { refusal?: string; retryAfterMs?: number; hint?: string; cause?: unknown } = {},
  ) {
    const { refusal, retryAfterMs, ...options } = details;
    super('authority', message, options);
    this.refusal = refusal;
    this.retryAfterMs = retryAfterMs;
  }
}

/** For an answer that needs no waiting: a handshake, a signature and a write to the disk, over a bad line. */
const ANSWER_MS = 15_000;
/** A trust with tens of thousands of revocations. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/** What can be asked of an authority. */
export type CaCalls = Pick<CaClient, 'address' | 'unverifiedTrust' | 'trust' | 'certificate' | 'close'>;

/** The system finds a dead authority by probes that cost nobody anything, from so long on, ms. */
const KEPT = { keepAlive: true, keepAliveMsecs: 60_000, maxSockets: 1, minVersion: 'TLSv1.3' } as const;

export class CaClient {
  readonly #addresses: readonly Address[];
  /** The one that answered last is asked first. */
  #turn = 0;
  /** One connection is kept, as long as the bundle holds that it was opened with: a handshake costs the authority more than a certificate. */
  #kept: { readonly session: CaSession; readonly agent: Agent } | undefined;

  /** @param addresses of processes that serve the same authority; asked in turn where one does not answer */
  constructor(addresses: readonly Address[]) {
    this.#addresses = addresses;
  }

  get address(): string {
    return formatAddress(this.#address);
  }

  /** What an authority shows that nobody has verified yet: to be searched for a root that is known by its fingerprint. */
  unverifiedTrust(signal: CancelSignal): Promise<Trust> {
    return this.#ask(
      { method: 'GET', path: '/v1/trust', signal, options: { rejectUnauthorized: false, agent: false } },
      parseTrust,
    );
  }

  /** The trust, as soon as its version is another than `after`, or as it is after `waitS` seconds. */
  trust(session: CaSession, after: string | undefined, waitS: number, signal: CancelSignal): Promise<Trust> {
    const query = after === undefined ? '' : `?after=${encodeURIComponent(after)}&wait=${waitS}`;
    const options = { agent: this.#keptAgent(session) };
    return this.#ask({ method: 'GET', path: `/v1/trust${query}`, signal, options, waitMs: waitS * 1000 }, parseTrust);
  }

  /**
   * Over the connection that is kept, where there is one: who asks has proven on it to be who he is, by the certificate of
   * then. If the authority does not take that one any more, it is asked once again with that of now.
   */
  async certificate(
    session: CaSession,
    csr: string,
    token: string | undefined,
    signal: CancelSignal,
  ): Promise<CertificateAnswer> {
    const body = JSON.stringify({ csr, ...(token !== undefined && { token }) });
    const ask = () => {
      const options = { agent: this.#keptAgent(session) };
      return this.#ask({ method: 'POST', path: '/v1/certificate', signal, options, body }, parseCertificateAnswer);
    };
    try {
      return await ask();
    } catch (error) {
      const isStale = this.#kept !== undefined && this.#kept.session.credential !== session.credential;
      if (!isStale || !(error instanceof CaRefusal) || error.refusal === 'busy') throw error;
      this.close();
      return await ask();
    }
  }

  close(): void {
    this.#kept?.agent.destroy();
    this.#kept = undefined;
  }

  get #address(): Address {
    const address = this.#addresses[this.#turn % this.#addresses.length];
    if (address === undefined) throw new Error('unreachable: there is at least one address');
    return address;
  }

  #keptAgent(session: CaSession): Agent {
    if (this.#kept?.session.bundle !== session.bundle) {
      this.close();
      const { chain: cert, key } = session.credential ?? {};
      // Of the agent and not of each request: Node keeps no connection that was verified by a request's own function.
      const agent = new Agent({ ...KEPT, ...verifying(session), ...(cert !== undefined && { cert, key }) });
      this.#kept = { session, agent };
    }
    return this.#kept.agent;
  }

  async #ask<T>(call: Call, parse: (body: string) => T | undefined): Promise<T> {
    const address = this.#address;
    try {
      const { status, body } = await send(address, call);
      const answer = status === 200 ? parse(body) : undefined;
      if (answer !== undefined) return answer;
      const { error, ...details } = parseRefusal(body) ?? {
        error: `it answers ${status}, with nothing that is understood`,
      };
      throw new CaRefusal(`the authority at ${formatAddress(address)}: ${error}`, details);
    } catch (cause) {
      // Whoever has no time, or is not there, is asked after the others.
      if (!(cause instanceof CaRefusal) || cause.refusal === undefined || cause.refusal === 'busy') {
        this.#turn += 1;
        if (this.#addresses.length > 1) this.close();
      }
      if (cause instanceof CaRefusal || call.signal.aborted) throw cause;
      throw new CaRefusal(`the authority at ${formatAddress(address)}: ${describeError(cause)}`, { cause });
    }
  }
}

interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly signal: CancelSignal;
  readonly options: RequestOptions;
  readonly body?: string;
  readonly waitMs?: number;
}

function send(
  address: Address,
  { method, path, signal, options, body, waitMs = 0 }: Call,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers =
      body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const outgoing = request(
      { ...placeOf(address), method, path, headers, minVersion: 'TLSv1.3', ...options },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          chunks.push(chunk);
          if (bytes > MAX_ANSWER_BYTES) fail(new Error(`its answer is longer than ${MAX_ANSWER_BYTES} bytes`));
        });
        response.once('end', () =>
          done(() => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() })),
        );
        response.once('error', fail);
        response.once('aborted', () => fail(new Error('it broke its answer off')));
      },
    );
    const late = setTimeout(
      () => fail(new Error(`no answer within ${(ANSWER_MS + waitMs) / 1000} s`)),
      ANSWER_MS + waitMs,
    );
    late.unref();
    const onAbort = (): void => fail(new MeshproxyError('aborted', 'given up'));
    const done = (settle: () => void): void => {
      clearTimeout(late);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const fail = (error: unknown): void => {
      outgoing.destroy();
      done(() => reject(error));
    };
    outgoing.once('error', fail);
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    outgoing.end(body);
  });
}

function placeOf(address: Address): RequestOptions {
  switch (address.kind) {
    case 'unix':
      return { socketPath: address.path };
    case 'any':
      return { host: '127.0.0.1', port: address.port };
    case 'ip':
      return { host: address.host, port: address.port };
    case 'name':
      return { host: address.name, port: address.port };
  }
}

function verifying({ trustDomain, bundle }: CaSession): AgentOptions {
  const wanted = `URI:${formatSpiffeId(authorityIdentity(trustDomain))}`;
  return {
    ca: bundle,
    checkServerIdentity: (_, { raw }) => {
      const { subjectAltName } = new X509Certificate(raw);
      if (subjectAltName === wanted) return undefined;
      return new Error(
        `it shows a certificate for ${subjectAltName ?? 'nobody'}, where ${wanted.slice('URI:'.length)} is wanted`,
      );
    },
  };
}
