/** Request/response over kept connections, in TypeScript: see native/rr.c. */
import { Answers, GRACE_MS, kept, stamped } from './client.js';
import { programOptions } from './options.js';
import { Recorder, report } from './recorder.js';

const options = programOptions();
const recorder = new Recorder();
const sockets = await Promise.all(Array.from({ length: options.connections }, () => kept(options.port)));

const startMs = performance.now();
const deadlineMs = startMs + options.seconds * 1000;
let waiting = sockets.length;

for (const [index, socket] of sockets.entries()) {
  const answers = new Answers();
  let sequence = 0;
  let sentMs = 0;
  const ask = () => {
    const message = stamped(options.size, index, sequence++);
    answers.expect(message);
    sentMs = performance.now();
    socket.write(message);
  };
  socket.on('data', (data) => {
    answers.take(data);
    if (!answers.complete) return;
    const now = performance.now();
    recorder.answered(now - sentMs);
    if (now < deadlineMs) ask();
    else if (--waiting === 0) finish();
  });
  ask();
}

function finish(): void {
  recorder.errors = waiting;
  report(recorder.result((performance.now() - startMs) / 1000));
}

setTimeout(finish, options.seconds * 1000 + GRACE_MS);
