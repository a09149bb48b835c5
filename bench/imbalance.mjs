/**
 * How evenly endpoints are used where several workers choose among them: `npm run bench:imbalance` (`-- --json` for
 * programs). The built program in front of ten servers, 20 000 connections; each row says how many the busiest endpoint
 * got of what it would have got had all got the same. Workers share what is learnt, so that two should be no worse than one.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const ENDPOINTS = 10;
const CONNECTIONS = 20_000;
const CLIENTS = 32;

const counts = new Array(ENDPOINTS).fill(0);
const servers = await Promise.all(
  counts.map(async (_, index) => {
    const server = net.createServer((socket) => {
      counts[index] += 1;
      socket.on('error', () => {});
      socket.once('data', () => socket.end('answer'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server;
  }),
);

async function start(balance, workers) {
  const upstreams = servers.flatMap((server) => ['--upstream', `127.0.0.1:${server.address().port}`]);
  const quiet = ['--admin', 'off', '--access-log', 'off', '--log-format', 'json'];
  const args = ['--listen', '127.0.0.1:0', '--balance', balance, '--engine', 'native', '--workers', String(workers)];
  const proxy = spawn(process.execPath, [MAIN, ...args, ...quiet, ...upstreams], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  for await (const chunk of proxy.stderr) {
    said += chunk;
    const port = /"address":"127\.0\.0\.1:(\d+)"/.exec(said)?.[1];
    if (port !== undefined) return { proxy, port: Number(port) };
  }
  throw new Error(`the proxy did not start: ${said}`);
}

async function ask(port) {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('question');
  socket.resume();
  await once(socket, 'close');
}

async function row(balance, workers) {
  const { proxy, port } = await start(balance, workers);
  counts.fill(0);
  let left = CONNECTIONS;
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      while (left-- > 0) await ask(port);
    }),
  );
  proxy.kill('SIGKILL');
  await once(proxy, 'exit');
  const mean = counts.reduce((sum, count) => sum + count, 0) / ENDPOINTS;
  const deviation = Math.sqrt(counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / ENDPOINTS);
  return {
    balance,
    workers,
    connections: mean * ENDPOINTS,
    'busiest of mean': Number((Math.max(...counts) / mean).toFixed(3)),
    'idlest of mean': Number((Math.min(...counts) / mean).toFixed(3)),
    'deviation, %': Number(((100 * deviation) / mean).toFixed(2)),
  };
}

const rows = [];
for (const balance of ['round-robin', 'random', 'least-connections', 'ewma']) {
  for (const workers of [1, 2, 4]) {
    if (process.stderr.isTTY) process.stderr.write(`\r${rows.length + 1} of 12 `);
    rows.push(await row(balance, workers));
  }
}
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
if (process.argv.includes('--json')) console.log(JSON.stringify(rows));
else console.table(rows);
for (const server of servers) server.close();
