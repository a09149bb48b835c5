import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { IpAddress } from '../../src/core/address.js';
import { connectTo, readAll } from '../fakes/net.js';
import { MAIN, NODE, Program } from './program.js';

interface HttpServer {
  readonly address: IpAddress;
  /** Connections that it has accepted so far. */
  connections(): number;
  readonly server: http.Server;
}

async function startHttp(onRequest: http.RequestListener): Promise<HttpServer> {
  const server = http.createServer(onRequest);
  let connections = 0;
  server.on('connection', () => {
    connections += 1;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { address: { kind: 'ip', host: '127.0.0.1', port }, connections: () => connections, server };
}

/** Answers with its name. */
function named(name: string): Promise<HttpServer> {
  return startHttp((_, response) => response.end(name));
}

/** An agent with at most one connection, which it keeps. */
function keptConnection(): http.Agent {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  return agent;
}

interface Exchange {
  readonly body: Buffer;
  readonly localPort: number | undefined;
}

async function exchange(options: http.RequestOptions, chunks: readonly Buffer[] = []): Promise<Exchange> {
  const request = http.request({ host: '127.0.0.1', ...options });
  for (const chunk of chunks) request.write(chunk);
  request.end();
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  // Asked for now: once the body has been read, the socket belongs to the agent again.
  const { localPort } = response.socket;
  return { body: Buffer.concat(await response.toArray()), localPort };
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('HTTP through the program', () => {
  it('keeps a connection for request after request, whatever their bodies', async () => {
    const upstream = await startHttp((request, response) => request.pipe(response));
    const program = Program.inFrontOf([upstream.address]);
    const agent = keptConnection();
    const port = await program.port();
    const bodies = [0, 1, 1000, 200_000, 3_000_000].map((size) => randomBytes(size));
    const exchanges: Exchange[] = [];
    for (const body of bodies) exchanges.push(await exchange({ port, agent, method: 'POST' }, [body]));
    expect(exchanges.map(({ body }) => sha256(body))).toEqual(bodies.map(sha256));
    expect(new Set(exchanges.map(({ localPort }) => localPort)).size).toBe(1);
    expect(upstream.connections()).toBe(1);
    agent.destroy();
    const { ending, client } = await program.accessLine();
    expect({ ending, client }).toEqual({ ending: 'completed', client: `127.0.0.1:${exchanges[0]?.localPort}` });
  });

  it('carries chunked bodies both ways, chunk by chunk as they are sent', async () => {
    const upstream = await startHttp((request, response) => {
      request.on('data', (chunk) => response.write(chunk));
      request.on('end', () => response.end());
    });
    const program = Program.inFrontOf([upstream.address]);
    const request = http.request({ host: '127.0.0.1', port: await program.port(), method: 'POST' });
    request.flushHeaders();
    const heard: string[] = [];
    const [response] = await Promise.all([
      once(request, 'response').then(([incoming]) => incoming as http.IncomingMessage),
      // The answer's head comes with its first chunk, while the request goes on.
      Promise.resolve(request.write('one')),
    ]);
    expect(response.headers['transfer-encoding']).toBe('chunked');
    for (const next of ['two', 'three', undefined]) {
      const [chunk] = await once(response, 'data');
      heard.push(String(chunk));
      if (next === undefined) request.end();
      else request.write(next);
    }
    await once(response, 'end');
    expect(heard).toEqual(['one', 'two', 'three']);
  });

  it('carries 100-continue before the body, and the answer after it', async () => {
    const upstream = await startHttp((request, response) => request.pipe(response));
    const program = Program.inFrontOf([upstream.address]);
    const headers = { expect: '100-continue' };
    const request = http.request({ host: '127.0.0.1', port: await program.port(), method: 'PUT', headers });
    request.flushHeaders();
    await once(request, 'continue');
    request.end('now that I may');
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    expect(Buffer.concat(await response.toArray()).toString()).toBe('now that I may');
  });

  it('carries another protocol after an upgrade, its half-close included', async () => {
    const upstream = await startHttp((_, response) => response.end());
    upstream.server.on('upgrade', (_request, socket: Socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
      socket.pipe(socket);
    });
    const program = Program.inFrontOf([upstream.address]);
    const headers = { connection: 'upgrade', upgrade: 'echo' };
    const request = http.request({ host: '127.0.0.1', port: await program.port(), headers });
    request.end();
    const [response, socket] = (await once(request, 'upgrade')) as [http.IncomingMessage, Socket];
    expect(response.statusCode).toBe(101);
    socket.end('no longer HTTP');
    expect(await readAll(socket)).toEqual({ bytes: Buffer.from('no longer HTTP'), end: 'end' });
  });

  it('takes two upstreams in turn, connection by connection and not request by request', async () => {
    const [a, b] = [await named('a'), await named('b')];
    const program = Program.inFrontOf([a.address, b.address], ['--balance', 'round-robin']);
    const port = await program.port();
    let inTurn = '';
    for (let i = 0; i < 4; i += 1) inTurn += (await exchange({ port, agent: false })).body;
    expect(inTurn).toBe('abab');
    const agent = keptConnection();
    let kept = '';
    for (let i = 0; i < 4; i += 1) kept += (await exchange({ port, agent })).body;
    expect(kept).toBe('aaaa');
  });
});

interface Ran {
  readonly code: number;
  readonly output: string;
}

/** Runs a command line as a person would have pasted it, with `meshproxy` being the built program. */
async function paste(line: string): Promise<Ran> {
  const shell = spawn('sh', ['-c', `meshproxy() { "${NODE}" "${MAIN}" "$@"; }\n${line}`], { stdio: 'pipe' });
  let output = '';
  shell.stdout.on('data', (chunk) => {
    output += chunk;
  });
  const [code] = await once(shell, 'close');
  return { code, output };
}

const hasCurl = spawnSync('curl', ['--version']).status === 0;

describe('meshproxy demo', () => {
  it('prints commands that do what it says of them', async (context) => {
    context.skip(!hasCurl, 'curl is not on PATH: apt-get install curl');
    const demo = new Program(['demo', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0']);
    await demo.line((line) => line.startsWith('Ctrl-C ends it'));
    const hints = demo.lines.filter((line) => /^ {2}(curl|meshproxy) /.test(line));
    const command = (part: string): string => {
      const hint = hints.find((line) => line.includes(part));
      // What it does stands behind two spaces.
      return hint?.trim().split(/ {2,}/)[0] ?? `echo "there is no hint about ${part}" >&2; exit 99`;
    };
    expect(hints.length).toBe(6);

    const slow = paste(command('/slow'));
    // The others come after it, so that the three colours are three in a row.
    await expect.poll(() => demo.metric('meshproxy_connections_opened_total')).toBe(1);
    const open = await connectTo(await demo.loopback());
    const row = new RegExp(`127\\.0\\.0\\.1:${open.localPort} +default +127\\.0\\.0\\.1:\\d+ +relaying`);
    const list = command('meshproxy connections');
    await expect.poll(async () => (await paste(list)).output).toMatch(row);
    open.end();
    await readAll(open);
    const colours = [];
    for (let i = 0; i < 3; i += 1) colours.push(await paste(command('in turn')));
    expect(new Set(colours.map(({ output }) => output)).size).toBe(3);
    expect(colours.every(({ output }) => /^(red|green|blue) answers GET \/\n$/.test(output))).toBe(true);
    expect((await paste(command('1GiB'))).code).toBe(0);
    // 56: "failure in receiving network data", as a reset is to curl.
    expect((await paste(command('/reset'))).code).toBe(56);
    expect(await slow).toMatchObject({ code: 0, output: expect.stringContaining('answers GET /slow') });
    expect(await paste(command('meshproxy latency'))).toMatchObject({ code: 0, output: expect.stringMatching(/p99/) });
    demo.kill('SIGINT');
    expect(await demo.exit()).toBe(0);
    expect(demo.accessLines.map(({ ending }) => ending).toSorted()).toEqual([
      ...Array.from({ length: 6 }, () => 'completed'),
      'upstream-reset',
    ]);
    expect(Math.max(...demo.accessLines.map(({ bytesSent }) => bytesSent))).toBeGreaterThan(1024 ** 3);
  });
});
