/** As many bytes as one connection carries, in TypeScript: see native/bulk.c. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Checksum } from './checksum.js';
import { connected } from './client.js';
import { programOptions } from './options.js';
import { fail, Recorder, report } from './recorder.js';

/** A multiple of nothing that a proxy's buffers are: see native/bulk.c. */
const BLOCK_BYTES = 256 * 1024 - 4_092;

const options = programOptions();
const socket = await connected(options.port);
socket.on('error', (error) => fail(error.message));
let answer = Buffer.alloc(0);
socket.on('data', (data) => {
  answer = Buffer.concat([answer, data]);
});

const block = randomBytes(BLOCK_BYTES);
const checksum = new Checksum();
const startMs = performance.now();
let bytes = 0;
while (performance.now() < startMs + options.seconds * 1000) {
  checksum.update(block);
  bytes += block.length;
  if (!socket.write(block)) await once(socket, 'drain');
}
socket.end();
await once(socket, 'end');
const seconds = (performance.now() - startMs) / 1000;
if (!answer.equals(checksum.digest()))
  fail(`the sink answered ${answer.toString('hex')}, which is not the checksum of what was sent`);
report({ ...new Recorder().result(seconds), units: bytes });
