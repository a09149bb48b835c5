/**
 * TLS on a socket of Node's. Between `tls` and the socket stands a stream of ours: `tls` alone reports an end of the socket
 * as an end of the stream, also where no close_notify came before it, so that a stream that was cut short would look complete.
 */
import { constants, createPrivateKey, X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import tls, { type SecureContext, TLSSocket } from 'node:tls';
import type { CancelSignal } from '../../core/cancel.js';
import { describeError, errnoOf, MeshproxyError } from '../../core/errors.js';
import { readAllCertificates } from '../../pki/identity-files.js';
import type { TlsCall, TlsPeer, TlsSetup } from '../tls.js';
import { brokenTls, CUT_SHORT, handshakeError, judged, plainText, type Verdict, verdictOf } from '../tls-words.js';
import { fingerprintOf } from '../trust.js';
import type { StreamConnection } from './connection.js';
import { endOfStreamError } from './socket.js';

/** A renegotiation of TLS 1.2 is of use to nobody but an attacker. Not among the constants of Node's. */
const SSL_OP_NO_RENEGOTIATION = 1 << 30;

const contexts = new WeakMap<TlsSetup, SecureContext>();

/** One context for each setup, for as long as anybody holds that. Throws `bad-certificate`. */
function contextOf(setup: TlsSetup): SecureContext {
  const known = contexts.get(setup);
  if (known !== undefined) return known;
  const { credential, roots, minVersion } = setup;
  if (credential && certificatesIn(credential.chain).length === 0)
    throw new MeshproxyError('bad-certificate', 'the certificate file has no certificate in it');
  // `createSecureContext` passes over what it is given empty, and over a root that it cannot read.
  try {
    for (const pem of [...certificatesIn(roots), ...certificatesIn(credential?.chain ?? '')]) new X509Certificate(pem);
    if (credential) createPrivateKey(credential.key);
    const context = tls.createSecureContext({
      minVersion,
      // No session is resumed: whoever connects has shown its certificate on that very connection.
      secureOptions: constants.SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION,
      ca: roots === '' ? [] : roots,
      ...(credential && { cert: credential.chain, key: credential.key }),
    });
    contexts.set(setup, context);
    return context;
  } catch (cause) {
    throw new MeshproxyError('bad-certificate', `OpenSSL refuses the credentials: ${describeError(cause)}`, { cause });
  }
}

function certificatesIn(pem: string): readonly string[] {
  return pem.split(/(?=-----BEGIN CERTIFICATE-----)/).filter((part) => part.startsWith('-----BEGIN'));
}

function contextFor(setup: TlsSetup, raw: Socket): SecureContext {
  try {
    return contextOf(setup);
  } catch (error) {
    raw.destroy();
    throw error;
  }
}

export function secure(
  connection: StreamConnection,
  setup: TlsSetup,
  call: TlsCall,
  signal: CancelSignal,
): Promise<TlsPeer> {
  return new Promise((resolve, reject) => {
    const raw = connection.socket;
    const gone = connection.failure ?? (raw.destroyed ? new Error('the socket was closed') : undefined);
    if (gone) return void reject(disconnected(gone));
    if (signal.aborted) {
      raw.destroy();
      return void reject(aborted(signal));
    }
    const context = contextFor(setup, raw);
    const first = Buffer.from(connection.held.subarray(0, FIRST_BYTES));
    const under = new UnderTls(raw, connection.held, connection.ended, first);
    connection.consume(connection.held.length);
    const secured = start(under, context, setup, call);
    const { push } = secured;
    secured.push = (chunk, encoding) => {
      if (chunk !== null || !under.readableEnded) return push.call(secured, chunk, encoding);
      // An end by the socket, and none by TLS before it.
      secured.destroy(brokenTls(CUT_SHORT));
      return false;
    };
    // `tls` tells a server's end only that what it reads from was closed, and not why.
    under.once('error', (error) => secured.destroy(error));
    connection.over(secured);

    const settle = (): void => {
      secured.off('_tlsError', onError);
      secured.on('_tlsError', (error: Error) => secured.destroy(inOurWords(error)));
      secured.off('secure', onSecure);
      secured.off('error', onError);
      secured.off('close', onClose);
      signal.removeEventListener('abort', onAbort);
    };
    const fail = (error: MeshproxyError): void => {
      settle();
      secured.destroy();
      reject(error);
    };
    const refuse = (verdict: Verdict | undefined, reason: string | undefined): void => {
      const plain = verdict === undefined ? plainText(under.first) : undefined;
      fail(handshakeError(setup, { verdict, reason, plain }, Date.now()));
    };
    const onSecure = (): void => {
      const certificate = setup.peerCertificate === 'required' ? secured.getPeerX509Certificate() : undefined;
      if (setup.peerCertificate === 'required') {
        if (certificate === undefined) return void refuse(undefined, 'peer did not return a certificate');
        const refused = verifyError(secured);
        const verdict = refused ? verdictOf(certificate, refused, Date.now()) : judged(setup, call, certificate);
        if (verdict !== undefined) return void refuse(verdict, undefined);
      }
      if (secured.destroyed) return void onClose();
      settle();
      resolve({
        certificate,
        root: certificate && rootOf(certificate, setup.roots),
        version: secured.getProtocol() ?? 'unknown',
        protocol: typeof secured.alpnProtocol === 'string' ? secured.alpnProtocol : undefined,
        serverName: setup.role === 'server' ? askedName(secured) : undefined,
      });
    };
    const onError = (error: Error): void => {
      if (under.failure) fail(disconnected(under.failure));
      else refuse(undefined, under.readableEnded ? undefined : reasonOf(error));
    };
    const onClose = (): void => fail(disconnected(under.failure ?? new Error('the socket was closed')));
    const onAbort = (): void => fail(aborted(signal));
    secured.once('secure', onSecure);
    secured.once('_tlsError', onError);
    secured.once('error', onError);
    secured.once('close', onClose);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** The root that a verified chain ended in, by the certificate below it. Remembered: authorities issue many. */
function rootOf(leaf: X509Certificate, bundle: string): string | undefined {
  let last = leaf;
  for (let steps = 0; steps < LONGEST_CHAIN && last.issuerCertificate !== undefined; steps += 1)
    last = last.issuerCertificate;
  const key = `${fingerprintOf(last)} ${bundle}`;
  const known = lastRoots.get(key);
  if (known !== undefined) return known;
  const roots = readAllCertificates(bundle, 'the trust bundle');
  const root = roots.find((one) => one.raw.equals(last.raw) || (last.checkIssued(one) && last.verify(one.publicKey)));
  if (root === undefined) return undefined;
  if (lastRoots.size >= MOST_REMEMBERED) lastRoots.clear();
  lastRoots.set(key, fingerprintOf(root));
  return lastRoots.get(key);
}

const lastRoots = new Map<string, string>();
const MOST_REMEMBERED = 64;
/** OpenSSL verifies no longer one (its default depth). */
const LONGEST_CHAIN = 100;

function start(under: UnderTls, secureContext: SecureContext, setup: TlsSetup, call: TlsCall): TLSSocket {
  const { role, alpn, peerCertificate } = setup;
  // Whether the peer is the one that is wanted is decided where the handshake is complete, with words.
  const common = { secureContext, rejectUnauthorized: false };
  if (role === 'server') {
    // Without ALPN: a server of Node's that meets none of its protocols ends the handshake, and who offers others is welcome.
    return new TLSSocket(under, { ...common, isServer: true, requestCert: peerCertificate === 'required' });
  }
  const { serverName } = call;
  return tls.connect({
    ...common,
    ...(alpn.length > 0 && { ALPNProtocols: [...alpn] }),
    socket: under,
    checkServerIdentity: () => undefined,
    ...(serverName !== undefined && { servername: serverName }),
  });
}

/**
 * What `tls` says of an established connection, before anybody hears it. By an event of its own: of a server's socket that no
 * `tls.Server` made it tells nobody else, and goes on as if nothing had been.
 */
function inOurWords(error: Error): Error {
  if (errnoOf(error)?.startsWith('ERR_SSL_') !== true) return error;
  const { message } = brokenTls(reasonOf(error));
  return Object.assign(error, { message, code: 'EPROTO' });
}

/**
 * What OpenSSL holds against the peer's chain. Only the handle tells: `authorizationError` is filled in by `tls.connect` and
 * `tls.Server`, and stays empty on a server's socket that neither has made. Throws where there is no such handle: nobody is let in then.
 */
function verifyError(secured: TLSSocket): Error | undefined {
  const handle = '_handle' in secured ? secured._handle : undefined;
  if (typeof handle !== 'object' || handle === null || !('verifyError' in handle)) throw new TypeError('no handle');
  if (typeof handle.verifyError !== 'function') throw new TypeError('not a handle of TLS');
  const refused: unknown = handle.verifyError();
  if (refused === null || refused === undefined) return undefined;
  return refused instanceof Error ? refused : new Error(String(refused));
}

/** OpenSSL's reason, of an error of Node's. */
function reasonOf(error: Error): string {
  const reason = 'reason' in error && typeof error.reason === 'string' ? error.reason : undefined;
  return reason ?? describeError(error);
}

/** Of what came first, for whoever has to say what it was. */
const FIRST_BYTES = 16;

/** The socket as `tls` sees it. */
class UnderTls extends Duplex {
  readonly #raw: Socket;
  /** Why the socket broke, where it did. */
  failure: Error | undefined;
  first: Uint8Array;

  constructor(raw: Socket, alreadyRead: Uint8Array, ended: boolean, first: Uint8Array) {
    super({ allowHalfOpen: true });
    this.#raw = raw;
    this.first = first;
    if (alreadyRead.length > 0) this.push(Buffer.from(alreadyRead));
    raw.on('data', (chunk: Buffer) => {
      if (this.first.length === 0) this.first = Buffer.from(chunk.subarray(0, FIRST_BYTES));
      if (!this.push(chunk)) raw.pause();
    });
    raw.once('end', () => {
      const error = endOfStreamError(raw);
      if (error) this.#failed(error);
      else this.push(null);
    });
    if (ended) this.push(null);
    raw.on('error', (error) => this.#failed(error));
    raw.once('close', () => this.destroy());
  }

  #failed(error: Error): void {
    this.failure = error;
    this.destroy(error);
  }

  override _read(): void {
    this.#raw.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#raw.write(chunk)) done();
    else this.#raw.once('drain', () => done());
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#raw.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#raw.destroy();
    done(error);
  }
}

function disconnected(cause: Error): MeshproxyError {
  return new MeshproxyError('disconnected', 'the other side broke the connection in the middle of the TLS handshake', {
    cause,
  });
}

function aborted(signal: CancelSignal): MeshproxyError {
  return new MeshproxyError('aborted', 'given up', { cause: signal.reason });
}

/** What the client asked for by SNI; Node's types do not say that a server has it. */
function askedName(secured: TLSSocket): string | undefined {
  const { servername } = secured as TLSSocket & { readonly servername?: unknown };
  return typeof servername === 'string' && servername !== '' ? servername : undefined;
}
