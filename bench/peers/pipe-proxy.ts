/**
 * The bare Node proxy: what a.pipe(b) costs, and nothing else. The target of meshproxy's `streams` engine is measured
 * against it. Run as `node pipe-proxy.js LISTEN_PORT UPSTREAM_PORT`.
 */
import { connect, createServer } from 'node:net';

const [listenPort, upstreamPort] = process.argv.slice(2).map(Number);
if (listenPort === undefined || upstreamPort === undefined)
  throw new Error('usage: pipe-proxy LISTEN_PORT UPSTREAM_PORT');

const options = { noDelay: true, allowHalfOpen: true };
const server = createServer(options, (client) => {
  const upstream = connect({ ...options, port: upstreamPort, host: '127.0.0.1' });
  client.on('error', () => upstream.destroy());
  upstream.on('error', () => client.destroy());
  client.pipe(upstream);
  upstream.pipe(client);
});
server.listen({ port: listenPort, host: '127.0.0.1', backlog: 4096 });
