/** The upstream, in TypeScript: see native/server.c. */
import { createServer, type Socket } from 'node:net';
import { Checksum } from './checksum.js';
import { programOptions } from './options.js';

function echo(socket: Socket): void {
  socket.pipe(socket);
}

function sink(socket: Socket): void {
  const checksum = new Checksum();
  socket.on('data', (chunk) => checksum.update(chunk));
  socket.on('end', () => socket.end(checksum.digest()));
}

const options = programOptions();
const serve = options.mode === 'sink' ? sink : echo;
// Half-open: the sink answers after its client has ended.
const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  // A client may go as it likes.
  socket.on('error', () => {});
  serve(socket);
});
server.listen({ port: options.port, host: '127.0.0.1', backlog: 4096 });
