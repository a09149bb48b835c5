/** A new connection for every request, in TypeScript: see native/connect.c. */
import { connected, exchange, stamped } from './client.js';
import { programOptions } from './options.js';
import { Recorder, report } from './recorder.js';

const options = programOptions();
const recorder = new Recorder();
const startMs = performance.now();
const deadlineMs = startMs + options.seconds * 1000;

async function request(index: number, sequence: number): Promise<void> {
  const begunMs = performance.now();
  const socket = await connected(options.port);
  try {
    await exchange(socket, stamped(options.size, index, sequence));
    recorder.answered(performance.now() - begunMs);
  } finally {
    socket.destroy();
  }
}

async function slot(index: number): Promise<void> {
  for (let sequence = 0; performance.now() < deadlineMs; sequence++) {
    await request(index, sequence).catch(() => {
      recorder.errors++;
    });
  }
}

await Promise.all(Array.from({ length: options.connections }, (_, index) => slot(index)));
report(recorder.result((performance.now() - startMs) / 1000));
