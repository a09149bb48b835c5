/** A worker that dies when it is told to: by an error that nobody catches, as a bug in it would be. */
import { BroadcastChannel, workerData } from 'node:worker_threads';
import { createNativeTransport } from '../../dist/l4/native/transport.js';
import { runWorker } from '../../dist/workers/run-worker.js';

const deaths = new BroadcastChannel('mortal');
deaths.onmessage = ({ data }) => {
  if (data === workerData.index) throw new Error('told to die');
};
deaths.unref();
runWorker(createNativeTransport);
