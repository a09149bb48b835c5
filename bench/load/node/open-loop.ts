/**
 * Constant rate, in TypeScript: see native/open-loop.c. Node's timers have a resolution of 1 ms, so what is due is sent
 * up to that much late, and the latencies say so: they count from when a message was due.
 */
import { Answers, GRACE_MS, kept, stamped } from './client.js';
import { programOptions } from './options.js';
import { Recorder, report } from './recorder.js';
import { Schedule } from './schedule.js';

const options = programOptions();
const recorder = new Recorder();
const sockets = await Promise.all(Array.from({ length: options.connections }, () => kept(options.port)));

const startMs = performance.now();
const schedule = new Schedule(startMs, options.rate, options.seconds);
/** How many messages each connection has had answered. */
const answered = sockets.map(() => 0);

/** Message i goes over connection i modulo their number: the n-th of a connection is this one of all. */
const messageOf = (connection: number, nth: number) => nth * sockets.length + connection;

for (const [index, socket] of sockets.entries()) {
  const answers = new Answers();
  answers.expect(stamped(options.size, index, 0));
  socket.on('data', (data) => {
    for (let at = 0; at < data.length; ) {
      at += answers.take(data.subarray(at));
      if (!answers.complete) continue;
      const nth = answered[index] ?? 0;
      recorder.answered(schedule.latency(messageOf(index, nth), performance.now()));
      answered[index] = nth + 1;
      answers.expect(stamped(options.size, index, nth + 1));
    }
    if (recorder.units === schedule.total) finish();
  });
}

let sent = 0;
const timer = setInterval(() => {
  for (const due = schedule.dueBy(performance.now()); sent < due; sent++) {
    const index = sent % sockets.length;
    sockets[index]?.write(stamped(options.size, index, Math.floor(sent / sockets.length)));
  }
}, 1);

function finish(): void {
  clearInterval(timer);
  const now = performance.now();
  for (let message = 0; message < schedule.total; message++) {
    const nth = Math.floor(message / sockets.length);
    if (nth >= (answered[message % sockets.length] ?? 0)) recorder.unanswered(schedule.latency(message, now));
  }
  report(recorder.result((now - startMs) / 1000));
}

setTimeout(finish, options.seconds * 1000 + GRACE_MS);
