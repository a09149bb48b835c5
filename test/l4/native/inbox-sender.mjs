/** A thread that sends the numbers from 1 to `count` to an inbox, in order, each as soon as there is room. */
import { workerData } from 'node:worker_threads';
import { Inboxes } from '../../../build/l4/native/inboxes.js';

const { cells, workers, from, to, count } = workerData;
const inboxes = new Inboxes(cells, workers);
for (let fd = 1; fd <= count; fd += 1) {
  while (!inboxes.hasRoom(from, to));
  inboxes.put(from, to, from, fd);
}
