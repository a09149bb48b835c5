/** What each path of the service answers. */
import type { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { unmapped } from '../core/address.js';
import { Canceller } from '../core/cancel.js';
import type { Clock } from '../core/clock.js';
import { formatSpiffeId } from '../core/identity.js';
import type { Authority } from './authority.js';
import { Certifier } from './certifier.js';
import { Gate, type GateLimits, sourceOf } from './gate.js';
import { type Answer, jsonAnswer, refusalAnswer, textAnswer } from './service-answers.js';
import { BodyReader } from './service-body.js';
import type { ServiceEvent } from './service-events.js';
import { type Refusal, readCertificateAsk, readTarget, refusal, type Target } from './service-requests.js';
import type { TokenStore } from './token-store.js';
import { Waiters } from './waiters.js';

export interface ApiOptions {
  readonly authority: Authority;
  readonly tokens: TokenStore;
  /** Of the certificates that are issued, ms. */
  readonly lifetimeMs: number;
  /** After the end of a certificate, ms: so long it is still good for getting the next one. */
  readonly graceMs: number;
  readonly limits: GateLimits;
  readonly maxWaiters: number;
  readonly clock: Clock;
  onEvent(event: ServiceEvent): void;
  /** What `GET /metrics` answers. */
  metrics(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** How long who finds no place to wait stays away, ms; and half as long again, at random. */
const NO_WAIT_RETRY_MS = 20_000;
/** When the authority cannot issue, ms; and as long again, at random: somebody has to look after it. */
const FAILED_RETRY_MS = 15_000;

export class ServiceApi {
  readonly #options: ApiOptions;
  readonly #certifier: Certifier;
  readonly #gate: Gate;
  readonly #waiters: Waiters;
  readonly #bodies = new BodyReader();
  #trust: { readonly version: string; readonly answer: Answer } | undefined;
  #waits = true;

  constructor(options: ApiOptions) {
    this.#options = options;
    this.#certifier = new Certifier(options);
    this.#gate = new Gate(options.limits);
    this.#waiters = new Waiters(options.maxWaiters, options.clock);
  }

  /** Requests for certificates under way. */
  get busy(): number {
    return this.#gate.busy;
  }

  get waiters(): number {
    return this.#waiters.size;
  }

  /** The trust has changed: whoever waited for that gets it. */
  wake(): void {
    this.#waiters.wakeAll();
  }

  /** From here on nobody waits: the trust is answered as it is. */
  stopWaiting(): void {
    this.#waits = false;
    this.#waiters.wakeAll();
  }

  /**
   * @param address of the client, for the log
   * Rejects where the client is gone before the end of its request, or for a bug.
   */
  async answer(request: IncomingMessage, address: string): Promise<Answer> {
    const result = await this.#result(request, address);
    if (!('kind' in result)) return result;
    const { code, error: why, identity } = result;
    this.#options.onEvent({ kind: 'refused', address, code, why, identity });
    return refusalAnswer(result);
  }

  async #result(request: IncomingMessage, address: string): Promise<Answer | Refusal> {
    const target = readTarget(request.method, request.url);
    switch (target.kind) {
      case 'refused':
        return target;
      case 'health':
        return textAnswer('ok\n');
      case 'metrics': {
        const { contentType, text } = await this.#options.metrics();
        return textAnswer(text, contentType);
      }
      case 'trust':
        return this.#trustAnswer(target, request);
      case 'certificate':
        return this.#certificateAnswer(request, address);
    }
  }

  async #trustAnswer(
    { after, waitMs }: Target & { kind: 'trust' },
    { socket }: IncomingMessage,
  ): Promise<Answer | Refusal> {
    if (after === this.#options.authority.trust.version && waitMs > 0 && this.#waits) {
      const waited = this.#wait(socket, waitMs);
      if (waited === undefined) {
        const retryAfterMs = Math.ceil(NO_WAIT_RETRY_MS * (1 + Math.random() / 2));
        return refusal('busy', 'as many as may are waiting already', { retryAfterMs });
      }
      await waited;
    }
    const { trust } = this.#options.authority;
    // Made once for the thousands who ask for the same.
    if (this.#trust?.version !== trust.version) this.#trust = { version: trust.version, answer: jsonAnswer(trust) };
    return this.#trust.answer;
  }

  #wait(socket: Socket, waitMs: number): Promise<void> | undefined {
    const gone = new Canceller();
    const leave = (): void => gone.abort();
    socket.once('close', leave);
    const waited = this.#waiters.wait(sourceIn(socket), waitMs, gone);
    if (waited === undefined) socket.off('close', leave);
    return waited?.finally(() => socket.off('close', leave));
  }

  async #certificateAnswer(request: IncomingMessage, address: string): Promise<Answer | Refusal> {
    const body = await this.#bodies.read(request);
    if (!Buffer.isBuffer(body)) return body;
    const admission = this.#gate.enter(sourceIn(request.socket), this.#options.clock.now(), Math.random());
    if (admission.kind === 'busy') {
      return refusal('busy', `the authority is busy: ${admission.why}`, { retryAfterMs: admission.retryAfterMs });
    }
    try {
      return await this.#certify(body, address, leafOf(request.socket));
    } finally {
      admission.leave();
    }
  }

  async #certify(body: Buffer, address: string, leaf: X509Certificate | undefined): Promise<Answer | Refusal> {
    const ask = readCertificateAsk(body);
    if (ask.kind === 'refused') return ask;
    const { authority, onEvent } = this.#options;
    try {
      const certified = await this.#certifier.certify(ask, { address, leaf });
      if (certified.kind === 'refused') return certified;
      const { issued, by } = certified;
      const { serial, notAfter, chain } = issued;
      onEvent({ kind: 'issued', address, identity: formatSpiffeId(certified.identity), serial, notAfter, by });
      return jsonAnswer({ chain, serial, notAfter, trust: authority.trust });
    } catch (error) {
      onEvent({ kind: 'failed', what: `a certificate for ${address}`, error });
      const retryAfterMs = Math.ceil(FAILED_RETRY_MS * (1 + Math.random()));
      return refusal('busy', 'the authority cannot issue now; its log says why', { retryAfterMs });
    }
  }
}

function leafOf(socket: Socket): X509Certificate | undefined {
  return socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
}

function sourceIn({ remoteAddress }: Socket): string {
  return sourceOf(unmapped(remoteAddress ?? ''));
}
