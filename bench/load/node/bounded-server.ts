/**
 * An upstream that does so much and no more: it works on `--slots` messages at a time, `--delay` ms on each, and sends them
 * back; the others wait in the order in which they came. As most servers, it does not notice that a client has gone.
 */
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { port: { type: 'string' }, slots: { type: 'string' }, delay: { type: 'string' } },
});
const waiting: (() => void)[] = [];
let free = Number(values.slots);

function next(): void {
  while (free > 0) {
    const work = waiting.shift();
    if (work === undefined) return;
    free -= 1;
    setTimeout(() => {
      free += 1;
      work();
      next();
    }, Number(values.delay));
  }
}

createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {});
  socket.on('data', (message) => {
    waiting.push(() => socket.write(message));
    next();
  });
}).listen({ port: Number(values.port), host: '127.0.0.1', backlog: 4096 });
