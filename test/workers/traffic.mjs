/** A server, and clients that talk to it through a proxy: one that asks again and again, and one connection after another. */
import { connect, createServer } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

const server = createServer((socket) => {
  socket.on('error', () => {});
  socket.pipe(socket);
});
server.listen(0, '127.0.0.1', () => parentPort.postMessage({ upstream: server.address().port }));

parentPort.once('message', (counts) => {
  const kept = connect(workerData.port, '127.0.0.1');
  kept.write('x');
  kept.on('data', () => {
    Atomics.add(counts, 0, 1);
    kept.write('x');
  });
  const anew = () => {
    const client = connect(workerData.port, '127.0.0.1', () => client.write('x'));
    client.once('data', () => {
      Atomics.add(counts, 1, 1);
      client.destroy();
    });
    client.on('close', () => setTimeout(anew, 5));
    client.on('error', () => {});
  };
  anew();
});
