/** The admin listener: metrics, health, what is going on, and a page for people, over HTTP. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type Address, formatAddress, isLoopback } from '../core/address.js';
import { bind } from './bind.js';
import { crossSite, wrongHost } from './guard.js';
import { type Answer, methodNotAllowed, notFound, ROUTES, text } from './routes.js';
import type { AdminSource } from './source.js';

export interface AdminServer {
  /** As bound: with the real port where 0 was asked for. */
  readonly address: Address;
  /** Ends every connection and stops listening. Idempotent. */
  close(): Promise<void>;
}

/** Headers of a browser or of Prometheus are a few hundred bytes. */
const MAX_HEADER_BYTES = 8192;
/** No path reads a body; one that is small is let through unread, for clients that always send one. */
const MAX_BODY_BYTES = 64 * 1024;
/** A person's browser, a scraper or two, some commands. More is a leak or an attack, and would cost the proxy descriptors. */
const MAX_CONNECTIONS = 64;
/** For a request to arrive, ms: it is one packet from a machine nearby. */
const REQUEST_MS = 5000;
/** Node looks for requests that are late this often, ms. */
const CHECK_MS = 2000;
/** Without a byte either way, ms: a reader that has stopped reading. */
const SILENCE_MS = 30_000;
/** Between two requests, ms: more than the page's two seconds. */
const KEEP_ALIVE_MS = 5000;

const HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};

/** Starts to serve. Rejects with a `MeshproxyError` `listen`. */
export async function startAdmin(address: Address, source: AdminSource): Promise<AdminServer> {
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: REQUEST_MS,
    requestTimeout: REQUEST_MS,
    connectionsCheckingInterval: CHECK_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(SILENCE_MS);
  server.on('request', (request, response) => void handle(address, source, request, response));
  const bound = await bind(server, address);
  const { logger } = source.telemetry.log;
  // After listening, an 'error' is one connection that could not be accepted.
  server.on('error', (err) => logger.warn({ err }, 'the admin listener could not accept a connection'));
  if (!isLoopback(bound)) {
    logger.warn(
      `the admin listener on ${formatAddress(bound)} can be reached from other machines, and asks nobody who they are`,
    );
  }
  return { address: bound, close: () => close(server) };
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** Answers one request; never throws, whatever it asks and whatever goes wrong. */
async function handle(
  address: Address,
  source: AdminSource,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  boundBody(request);
  try {
    send(response, await answerTo(address, source, request));
  } catch (err) {
    source.telemetry.log.logger.error({ err }, `a bug in meshproxy: ${request.method} ${request.url} failed`);
    if (!response.headersSent) send(response, text(500, 'a bug in meshproxy: its log has more; please report it'));
  }
}

function answerTo(
  address: Address,
  source: AdminSource,
  { headers, method, url = '' }: IncomingMessage,
): Answer | Promise<Answer> {
  const asked = { host: headers.host, origin: headers.origin, site: headers['sec-fetch-site']?.toString() };
  const wrong = wrongHost(address, asked);
  if (wrong !== undefined) return text(403, wrong);
  const [path = '', query = ''] = url.split('?', 2);
  const route = ROUTES.get(path);
  if (route === undefined) return notFound();
  if (method !== route.method && !(method === 'HEAD' && route.method === 'GET')) return methodNotAllowed(route);
  const refused = route.method === 'POST' ? crossSite(asked) : undefined;
  return refused === undefined ? route.answer(source, new URLSearchParams(query)) : text(403, refused);
}

function send(response: ServerResponse, { status, contentType, body, headers, afterwards }: Answer): void {
  if (afterwards !== undefined) response.once('close', afterwards);
  response.writeHead(status, {
    ...HEADERS,
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}

/** Lets a small body pass unread, and cuts off one that does not end. */
function boundBody(request: IncomingMessage): void {
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) request.destroy();
  });
  request.on('error', () => {});
}
