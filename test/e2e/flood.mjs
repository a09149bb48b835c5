/** More connections than a proxy can serve, until it is ended: `node flood.mjs PORT SOURCE_ADDRESS CONNECTIONS_AT_A_TIME`. */
import { connect } from 'node:net';

const [port, localAddress, inFlight] = process.argv.slice(2);

function open() {
  const socket = connect({ host: '127.0.0.1', port: Number(port), localAddress });
  // Its first byte, a reset, or no port left to come from: in any case the next.
  socket.once('data', () => socket.resetAndDestroy());
  socket.on('error', () => {});
  socket.once('close', () => setImmediate(open));
}

for (let count = 0; count < Number(inFlight); count += 1) open();
