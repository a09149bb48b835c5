/**
 * Clients that come at a rate whatever becomes of those before them, each with a connection of its own: they connect, with
 * TLS in mode `tls`, send a message, wait for it to come back, and leave; or give up. Latency counts from when they were due.
 * With `--at-once` in place of a rate, so many at a time, each as soon as the one before it is over: what can be done at all.
 */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { parseArgs } from 'node:util';
import { Schedule } from './schedule.js';

/** So many machines they come from (127.0.1.1 and on, where the system has them). */
const SOURCES = 64;
const MESSAGE = Buffer.alloc(64, 'overload');

const { values } = parseArgs({
  options: {
    mode: { type: 'string', default: 'plain' },
    port: { type: 'string' },
    rate: { type: 'string', default: '1' },
    'at-once': { type: 'string' },
    seconds: { type: 'string' },
    patience: { type: 'string' },
    warmup: { type: 'string', default: '0' },
  },
});
const [port, rate, seconds, patienceMs] = [values.port, values.rate, values.seconds, values.patience].map(Number) as [
  number,
  number,
  number,
  number,
];
const counts = { answered: 0, refused: 0, gaveUp: 0 };
const latenciesMs: number[] = [];
/** What becomes of those who come before that counts for nothing. */
const warmupMs = Number(values.warmup) * 1000;
const startMs = performance.now();
const schedule = new Schedule(startMs, rate, seconds + warmupMs / 1000);
const atOnce = values['at-once'] === undefined ? undefined : Number(values['at-once']);
let over = 0;
let begun = 0;

function dial(client: number): Socket {
  const source = process.platform === 'linux' ? { localAddress: `127.0.1.${1 + (client % SOURCES)}` } : {};
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, ...source });
  return values.mode === 'tls' ? connectTls({ socket, rejectUnauthorized: false }) : socket;
}

function serve(client: number, then: () => void): void {
  const socket = dial(client);
  let received = 0;
  let settled = false;
  const settle = (how: keyof typeof counts): void => {
    if (settled) return;
    settled = true;
    clearTimeout(limit);
    socket.destroy();
    count(client, how);
    then();
  };
  const limit = setTimeout(() => settle('gaveUp'), patienceMs);
  socket.on('error', () => settle('refused'));
  socket.on('close', () => settle('refused'));
  socket.on('data', (chunk) => {
    received += chunk.length;
    if (received === MESSAGE.length) settle('answered');
  });
  socket.write(MESSAGE);
}

function count(client: number, how: keyof typeof counts): void {
  if (atOnce === undefined && schedule.dueAt(client) < startMs + warmupMs) return;
  counts[how] += 1;
  if (how === 'answered') latenciesMs.push(schedule.latency(client, performance.now()));
}

function report(): void {
  const took = Math.max(seconds, (performance.now() - startMs) / 1000);
  process.stdout.write(
    `${JSON.stringify({ ...counts, seconds: atOnce === undefined ? seconds : took, latenciesMs })}\n`,
    () => process.exit(0),
  );
}

function come(): void {
  const timer = setInterval(() => {
    for (const due = schedule.dueBy(performance.now()); begun < due; begun += 1) {
      serve(begun, () => {
        over += 1;
        if (over === schedule.total) report();
      });
    }
    if (begun === schedule.total) clearInterval(timer);
  }, 1);
}

function comeAgain(): void {
  const isTime = performance.now() < startMs + seconds * 1000;
  if (isTime) serve(begun++, comeAgain);
  else over += 1;
  if (over === atOnce) report();
}

if (atOnce === undefined) come();
else for (let client = 0; client < atOnce; client += 1) comeAgain();
