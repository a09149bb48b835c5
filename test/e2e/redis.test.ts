import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { connectTo, readAll, readExactly } from '../fakes/net.js';
import { RespClient } from '../fakes/resp.js';
import { BANNER, startSmtpServer } from '../fakes/smtp-server.js';
import { Program } from './program.js';

const hasRedis = spawnSync('redis-server', ['--version']).status === 0;

/** A Redis without files of its own; its address. */
async function startRedis(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'meshproxy-redis-'));
  const path = join(folder, 'redis.sock');
  const options = ['--port', '0', '--unixsocket', path, '--save', '', '--appendonly', 'no', '--dir', folder];
  const redis = spawn('redis-server', options, { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(redis, 'close');
  onTestFinished(async () => {
    redis.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true });
  });
  let said = '';
  for await (const line of createInterface({ input: redis.stdout })) {
    said += `${line}\n`;
    if (/ready to accept connections/i.test(line)) return `unix:${path}`;
  }
  throw new Error(`redis-server does not start:\n${said}`);
}

async function connectThrough(program: Program): Promise<RespClient> {
  const socket = await connectTo(await program.loopback());
  onTestFinished(() => void socket.destroy());
  return new RespClient(socket);
}

describe('Redis through the program', () => {
  beforeEach((context) => context.skip(!hasRedis, 'redis-server is not on PATH: apt-get install redis-server'));

  it('answers commands one by one, and a thousand that are sent at once in their order', async () => {
    const redis = await connectThrough(Program.inFrontOf([await startRedis()]));
    expect(await redis.command('SET', 'greeting', 'hello')).toBe('OK');
    expect(await redis.command('GET', 'greeting')).toBe('hello');
    expect(await redis.command('GET', 'nothing')).toBe(null);
    const counts = Array.from({ length: 1000 }, (_, i) => i + 1);
    expect(await Promise.all(counts.map(() => redis.command('INCR', 'counter')))).toEqual(counts);
  });

  it('takes and returns a value of 32 MiB', async () => {
    const redis = await connectThrough(Program.inFrontOf([await startRedis()]));
    const value = Buffer.alloc(32 * 1024 ** 2, 'every byte counts, ');
    expect(await redis.command('SET', 'big', value)).toBe('OK');
    expect((await redis.command('GET', 'big')) === value.toString('latin1')).toBe(true);
  });

  it('pushes what is published to a subscriber that says nothing', async () => {
    const program = Program.inFrontOf([await startRedis()]);
    const [subscriber, publisher] = [await connectThrough(program), await connectThrough(program)];
    expect(await subscriber.command('SUBSCRIBE', 'news')).toEqual(['subscribe', 'news', 1]);
    for (const message of ['first', 'second']) {
      expect(await publisher.command('PUBLISH', 'news', message)).toBe(1);
      expect(await subscriber.next()).toEqual(['message', 'news', message]);
    }
  });

  it('ends in order when the server closes after QUIT', async () => {
    const program = Program.inFrontOf([await startRedis()]);
    const socket = await connectTo(await program.loopback());
    socket.end('QUIT\r\n');
    expect(await readAll(socket)).toEqual({ bytes: Buffer.from('+OK\r\n'), end: 'end' });
    expect((await program.accessLine()).ending).toBe('completed');
  });
});

describe('a server that speaks first', () => {
  it('is heard at once by a client that has sent nothing', async () => {
    const smtp = await startSmtpServer();
    onTestFinished(() => smtp.close());
    const program = Program.inFrontOf([smtp.address]);
    const client = await connectTo(await program.loopback());
    onTestFinished(() => void client.destroy());
    const startedAt = performance.now();
    expect((await readExactly(client, BANNER.length)).toString()).toBe(BANNER);
    // Peers that first try to detect the protocol take 10 s.
    expect(performance.now() - startedAt).toBeLessThan(5000);
    for (const line of ['HELO me', 'MAIL FROM:<a@example.org>', 'RCPT TO:<b@example.org>', 'DATA']) {
      client.write(`${line}\r\n`);
      expect((await readExactly(client, 3)).toString()).toBe(line === 'DATA' ? '354' : '250');
      while ((await readExactly(client, 1)).toString() !== '\n');
    }
    client.write('Subject: hello\r\n\r\nthrough the proxy\r\n.\r\nQUIT\r\n');
    const { bytes, end } = await readAll(client);
    expect({ said: bytes.toString(), end }).toEqual({ said: '250 taken\r\n221 bye\r\n', end: 'end' });
    expect(smtp.messages).toEqual(['Subject: hello\n\nthrough the proxy']);
  });
});
