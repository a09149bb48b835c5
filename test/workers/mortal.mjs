/** A worker that dies when it is told to, by an error that nobody catches as a bug in it would be, or stalls. */
import { BroadcastChannel, workerData } from 'node:worker_threads';
import { createNativeTransport } from '../../build/l4/native/transport.js';
import { runWorker } from '../../build/workers/run-worker.js';

const orders = new BroadcastChannel('mortal');
orders.onmessage = ({ data: { order, worker } }) => {
  // What another worker says has neither.
  if (worker !== workerData.index) return;
  if (order === 'die') throw new Error('told to die');
  orders.postMessage('stalled');
  // Until it is ended by force.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
};
orders.unref();
runWorker(createNativeTransport);
