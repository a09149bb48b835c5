/** Ports of 127.0.0.1 for the peers and the upstreams. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Below the ports that Linux gives to outgoing connections (32768 and up): from among those, one of the thousands of
 * connections that a benchmark opens could take the port between its choice and its use.
 */
const FIRST = 12_000;
const LAST = 32_000;

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}

/** A port that nothing listens on. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port found between ${FIRST} and ${LAST}`);
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Waits until `port` accepts connections; rejects after 10 s, or when `failed` has a reason why it never will. */
export async function listening(port: number, failed: () => string | undefined): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await accepts(port))) {
    const reason = failed();
    if (reason !== undefined) throw new Error(reason);
    if (performance.now() > deadline) throw new Error(`nothing listens on port ${port} after 10 s`);
    await sleep(10);
  }
}
