/**
 * The authority as a service, HTTPS on TLS 1.3: workloads get their certificates and learn whom to trust.
 * Nothing is asked of a client's certificate in the handshake; the authority recognises it by itself (`Authority.recognize`),
 * because a verdict of OpenSSL's that lets expired ones pass would let forged ones pass that are expired as well.
 */
import { constants } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { type Address, formatAddress, formatHostPort } from '../core/address.js';
import { describeError, errnoOf, MeshproxyError } from '../core/errors.js';
import { boundAddress, listenOptions, overStaleSocket } from '../core/listen.js';
import { Outbox, refusalAnswer } from './service-answers.js';
import { type ApiOptions, ServiceApi } from './service-api.js';
import { Connections } from './service-connections.js';
import { type Credential, ServiceCredential } from './service-credential.js';
import { refusal } from './service-requests.js';

export interface ServiceOptions extends Omit<ApiOptions, 'maxWaiters'> {
  readonly address: Address;
  readonly maxConnections: number;
}

export interface ServiceStatus {
  readonly connections: number;
  readonly waiters: number;
  readonly busy: number;
  /** Of the certificate that clients are shown, ms since 1970. */
  readonly notAfter: number;
}

/** A request's headers are some hundred bytes. */
const MAX_HEADER_BYTES = 8192;
/** For the handshake, for the headers, and for all of a request, ms. */
const HANDSHAKE_MS = 10_000;
const HEADERS_MS = 10_000;
const REQUEST_MS = 20_000;
/** Node looks for requests that are late this often, ms. */
const CHECK_MS = 1000;
/** Between two requests, ms: renewers keep one connection, and are back with each change of the trust. */
const KEEP_ALIVE_MS = 5 * 60_000;
/** Nobody sends requests ahead of their answers, but one may arrive before the answer's end is noticed here. */
const MAX_PIPELINED = 4;
/** Of all connections, those that may wait; the others can do what has to be done at once. */
const WAITING_SHARE = 0.9;

export class CaService {
  readonly #options: ServiceOptions;
  readonly #server: Server;
  readonly #credential: ServiceCredential;
  readonly #api: ServiceApi;
  readonly #outbox: Outbox;
  readonly #connections: Connections;
  /** Requests of each connection. */
  readonly #underWay = new WeakMap<object, number>();
  readonly #unsubscribe: () => void;
  #draining = false;
  #address: Address;

  /** Starts to serve. Rejects with a `MeshproxyError`: `listen`, or as `Authority.issue` does. */
  static async start(options: ServiceOptions): Promise<CaService> {
    const { onEvent } = options;
    let service: CaService | undefined;
    const credential = await ServiceCredential.obtain({
      ...options,
      random: Math.random,
      renewed: (next) => {
        if (service !== undefined) service.#use(next);
      },
      failed: (error) => onEvent({ kind: 'failed', what: "the service's own certificate is not renewed", error }),
    });
    service = new CaService(options, credential);
    try {
      service.#address = await listen(service.#server, options.address);
      // From here on it is one connection that could not be accepted: no descriptor or memory was left.
      service.#server.on('error', (error) => onEvent({ kind: 'failed', what: 'accepting a connection', error }));
      return service;
    } catch (error) {
      await service.close();
      throw error;
    }
  }

  private constructor(options: ServiceOptions, credential: ServiceCredential) {
    const { authority, clock, maxConnections, onEvent } = options;
    this.#options = options;
    this.#credential = credential;
    this.#address = options.address;
    this.#api = new ServiceApi({ ...options, maxWaiters: Math.ceil(maxConnections * WAITING_SHARE) });
    this.#outbox = new Outbox(clock);
    this.#server = createServer({
      ...this.#context(),
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      connectionsCheckingInterval: CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    });
    const turnedAway = (address: string, why: string): void => onEvent({ kind: 'turned-away', address, why });
    this.#connections = new Connections(this.#server, maxConnections, turnedAway);
    this.#server.on('request', (request, response) => void this.#handle(request, response));
    this.#server.on('clientError', (error, socket) => {
      // Also called for handshakes that have failed; those are ended below.
      if (!socket.writable) return void socket.destroy();
      socket.end(rawRefusal(requestWords(error)), () => socket.destroy());
    });
    this.#server.on('tlsClientError', (error, socket) => {
      // Who goes away in the middle of its handshake is a probe, or one whom we turned away.
      if (errnoOf(error) !== 'ECONNRESET') turnedAway(addressOf(socket), handshakeWords(error));
      if (errnoOf(error) === 'ERR_SSL_HTTP_REQUEST') this.#connections.below(socket)?.write(rawRefusal(PLAIN_HTTP));
      socket.destroy();
    });
    this.#unsubscribe = authority.onTrust(() => {
      this.#server.setSecureContext(this.#context());
      this.#api.wake();
    });
  }

  /** As bound: with the real port where 0 was asked for. */
  get address(): Address {
    return this.#address;
  }

  get status(): ServiceStatus {
    return {
      connections: this.#connections.size,
      waiters: this.#api.waiters,
      busy: this.#api.busy,
      notAfter: this.#credential.current.notAfter,
    };
  }

  /** Accepts no more, answers what is under way, and ends. Who waits gets the trust as it is, and will ask another. */
  async drain(timeoutMs: number): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#api.stopWaiting();
    this.#server.closeIdleConnections();
    const timer = this.#options.clock.after(timeoutMs, () => this.#connections.destroyAll());
    await closed;
    timer.cancel();
    await this.close();
  }

  /** Ends at once, and every connection with it. Idempotent. */
  close(): Promise<void> {
    this.#draining = true;
    this.#credential.stop();
    this.#unsubscribe();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#api.stopWaiting();
      this.#connections.destroyAll();
    });
  }

  #use(credential: Credential): void {
    this.#server.setSecureContext(this.#context());
    this.#options.onEvent({ kind: 'renewed', notAfter: credential.notAfter });
  }

  #context() {
    const { chain, key } = this.#credential.current;
    return {
      cert: chain,
      key,
      // Their names tell a client which of its certificates is wanted.
      ca: this.#options.authority.trust.bundle,
      minVersion: 'TLSv1.3' as const,
      // No session is resumed: who shows a certificate has proved on that very connection that it has the key.
      secureOptions: constants.SSL_OP_NO_TICKET,
    };
  }

  /** Answers one request; never throws, whatever it asks and whatever goes wrong. */
  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    const underWay = this.#underWay.get(socket) ?? 0;
    if (underWay >= MAX_PIPELINED) return void socket.destroy();
    this.#underWay.set(socket, underWay + 1);
    request.on('error', () => {});
    response.on('error', () => {});
    const address = addressOf(socket);
    try {
      const answer = await this.#api.answer(request, address);
      if (this.#draining || !request.complete) response.setHeader('connection', 'close');
      await this.#outbox.send(response, answer);
    } catch (error) {
      // A client that is gone in the middle of its request is nobody's fault.
      if (!socket.destroyed) this.#options.onEvent({ kind: 'failed', what: `answering ${address}`, error });
      socket.destroy();
    } finally {
      this.#underWay.set(socket, (this.#underWay.get(socket) ?? 1) - 1);
    }
  }
}

async function listen(server: Server, address: Address): Promise<Address> {
  try {
    const where = await listenOptions(address);
    await overStaleSocket(address, () => listening(server, where));
    return boundAddress(server, address);
  } catch (cause) {
    throw new MeshproxyError('listen', `cannot listen on ${formatAddress(address)}: ${describeError(cause)}`, {
      cause,
    });
  }
}

function listening(server: Server, where: Awaited<ReturnType<typeof listenOptions>>): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function addressOf({ remoteAddress, remotePort }: IncomingMessage['socket']): string {
  return remoteAddress === undefined ? 'a client' : formatHostPort(remoteAddress, remotePort ?? 0);
}

const PLAIN_HTTP = 'this is plain HTTP on a port that speaks HTTPS: the address begins with https://';

/** Beside what OpenSSL says, which is for its authors. */
const HANDSHAKE_WORDS: Readonly<Record<string, string>> = {
  ERR_SSL_HTTP_REQUEST: 'it spoke plain HTTP',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'it does not speak TLS 1.3',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'its handshake took too long',
};

function handshakeWords(error: Error): string {
  return HANDSHAKE_WORDS[errnoOf(error) ?? ''] ?? describeError(error);
}

function requestWords(error: Error): string {
  if (errnoOf(error) === 'ERR_HTTP_REQUEST_TIMEOUT') return 'the request took too long to arrive';
  return `this is no HTTP request: ${error.message}`;
}

/** For a connection on which there is no request to answer. */
function rawRefusal(why: string): string {
  const { status, body, contentType } = refusalAnswer(refusal('bad-request', why));
  const lines = [`HTTP/1.1 ${status} Bad Request`, `content-type: ${contentType}`, `content-length: ${body.length}`];
  return `${[...lines, 'connection: close'].join('\r\n')}\r\n\r\n${body}`;
}
