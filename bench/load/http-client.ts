/**
 * HTTP requests by autocannon, reported as the load programs do. Run as `node http-client.js PORT CONNECTIONS SECONDS`.
 * autocannon's own latencies are whole milliseconds; those of its events are not, so they are what is counted.
 */
import autocannon from 'autocannon';
import { Recorder, report } from './node/recorder.js';

const [port, connections, seconds] = process.argv.slice(2).map(Number);
if (port === undefined || connections === undefined || seconds === undefined) {
  throw new Error('usage: http-client PORT CONNECTIONS SECONDS');
}

const recorder = new Recorder();
const startMs = performance.now();
// Without a short sample interval autocannon would go on to the next full second.
const options = { url: `http://127.0.0.1:${port}/`, connections, duration: seconds, sampleInt: 100 };
const instance = autocannon(options, (error, result) => {
  if (error) throw error;
  recorder.errors = result.errors + result.non2xx + result.mismatches;
  report(recorder.result((performance.now() - startMs) / 1000));
});
instance.on('response', (_client, status, _bytes, ms) => {
  if (status === 200) recorder.answered(ms);
});
