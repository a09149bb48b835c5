/**
 * A thread with the built native engine in it, for the tests of its event loop. It relays from a port of its own to
 * `workerData.upstream`, and does the chores it is asked for, telling how long they took.
 */
import { lookup } from 'node:dns';
import { readFile, readFileSync } from 'node:fs';
import net from 'node:net';
import { MessageChannel, parentPort, Worker, workerData } from 'node:worker_threads';

const { createNativeTransport } = await import(new URL('l4/native/transport.js', workerData.built));

const OPTIONS = { keepaliveMs: 0, bufferSize: 65536 };
const ROUNDS = 20;
const NO_EVENTS = { onFirstByte() {}, onPeerFirstByte() {}, onHalfClose() {} };

const transport = createNativeTransport({
  onBug(error) {
    throw error;
  },
});
const listen = () =>
  transport.listen({ kind: 'ip', host: '127.0.0.1', port: 0 }, OPTIONS, async (near) => {
    const signal = new AbortController().signal;
    const far = await transport.dial({ kind: 'ip', host: '127.0.0.1', port: workerData.upstream }, OPTIONS, signal);
    near.relay(far, NO_EVENTS);
  });
// The second of the same turn: the loop has nothing to watch in between.
await (await listen()).close();
const listener = await listen();

const { port1, port2 } = new MessageChannel();
port2.on('message', () => port2.postMessage('back'));
const echo = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
const socket = await new Promise((resolve) => {
  echo.once('listening', () => {
    const client = net.connect(echo.address().port, '127.0.0.1', () => resolve(client));
  });
});
const other = new Worker(
  "const { parentPort: p } = require('worker_threads'); p.on('message', (m) => p.postMessage(m))",
  {
    eval: true,
  },
);

/** Each settles once what it is about has happened once. */
const CHORES = {
  timer: () => new Promise((resolve) => setTimeout(resolve, 2)),
  'unreferenced timer': () => new Promise((resolve) => setTimeout(resolve, 2).unref()),
  immediate: () => new Promise((resolve) => setImmediate(resolve)),
  nextTick: () => new Promise((resolve) => process.nextTick(resolve)),
  promise: () => Promise.resolve().then(() => Promise.resolve()),
  'file read': () => new Promise((resolve) => readFile('/proc/self/limits', resolve)),
  'name looked up': () => new Promise((resolve) => lookup('localhost', resolve)),
  'message of a port': () =>
    new Promise((resolve) => {
      port1.once('message', resolve);
      port1.postMessage('there');
    }),
  'message of a thread': () =>
    new Promise((resolve) => {
      other.once('message', resolve);
      other.postMessage('there');
    }),
  "socket of Node's": () =>
    new Promise((resolve) => {
      socket.once('data', resolve);
      socket.write('there');
    }),
  'new socket': () =>
    new Promise((resolve) => {
      const client = net.connect(echo.address().port, '127.0.0.1', () => client.end('x'));
      client.resume().once('close', resolve);
    }),
};

/** Ms that this thread has been on a processor (proc(5), schedstat). */
function busyMs() {
  return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6;
}

parentPort.on('message', async ({ chore }) => {
  if (chore === 'busy') return parentPort.postMessage(busyMs());
  const began = performance.now();
  for (let round = 0; round < ROUNDS; round += 1) await CHORES[chore]();
  parentPort.postMessage(performance.now() - began);
});
parentPort.postMessage({ port: listener.address.port, chores: Object.keys(CHORES) });
