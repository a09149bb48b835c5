/** The entry of a worker: a data thread on the native engine. */
import { createNativeTransport } from '../l4/native/transport.js';
import { runWorker } from './run-worker.js';

runWorker(createNativeTransport);
