import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ConnectionsView } from '../../src/admin/views.js';
import { formatAddress, type IpAddress } from '../../src/core/address.js';
import { nativeSupport } from '../../src/l4/native/support.js';
import { startBlackHole } from '../fakes/black-hole.js';
import { connectTo, readAll, readExactly, startServer } from '../fakes/net.js';
import { Program } from './program.js';

async function startNamed(name: string): Promise<IpAddress> {
  const server = await startServer((socket: Socket) => socket.end(name));
  onTestFinished(() => server.close());
  return server.address;
}

/** A port that nobody listens on any more. */
/** So that the one that fails is tried first. */
const IN_TURN = ['--balance', 'round-robin'] as const;

async function startGone(): Promise<IpAddress> {
  const server = await startServer();
  server.close();
  return server.address;
}

async function blackHole(): Promise<IpAddress> {
  const hole = await startBlackHole();
  onTestFinished(() => hole.close());
  return hole.address;
}

async function ask(program: Program) {
  const socket = await connectTo(await program.loopback());
  socket.end();
  const { bytes, end } = await readAll(socket);
  return { answer: bytes.toString(), end };
}

describe('an upstream that', () => {
  it('refuses is passed over for the next, and the client notices nothing', async () => {
    const [gone, live] = [await startGone(), await startNamed('live')];
    const program = Program.inFrontOf([gone, live], IN_TURN);
    expect(await ask(program)).toEqual({ answer: 'live', end: 'end' });
    expect(await program.accessLine()).toMatchObject({
      endpoint: formatAddress(live),
      ending: 'completed',
      attempts: [
        { endpoint: formatAddress(gone), error: expect.stringContaining('connection refused: nothing listens there') },
        { endpoint: formatAddress(live) },
      ],
    });
    const failed = { endpoint: formatAddress(gone), result: 'failed' };
    expect(await program.metric('meshproxy_connect_attempts_total', failed)).toBe(1);
  });

  it('never answers is passed over after 2 s, or what --connect-timeout says', async () => {
    const upstreams = [await blackHole(), await startNamed('live')];
    const programs = [[], ['--connect-timeout', '500ms']].map((args) =>
      Program.inFrontOf(upstreams, [...IN_TURN, ...args]),
    );
    const answers = await Promise.all(programs.map(ask));
    expect(answers.map(({ answer }) => answer)).toEqual(['live', 'live']);
    const errors = programs.map(async (program) => (await program.accessLine()).attempts?.[0]?.error);
    expect(await Promise.all(errors)).toEqual([
      expect.stringContaining('no answer within 2s'),
      expect.stringContaining('no answer within 500ms'),
    ]);
  });

  it('is the only one and dead costs its client a reset, and a line that says which endpoint and why', async () => {
    const gone = await startGone();
    const program = Program.inFrontOf([gone]);
    expect(await ask(program)).toEqual({ answer: '', end: 'reset' });
    expect((await program.accessLine()).ending).toBe('connect-failed');
    const why = `${formatAddress(gone)}: connection refused: nothing listens there`;
    await program.said(new RegExp(`no endpoint could be connected to \\(failed attempts: ${why}`));
  });
});

const ENGINES = nativeSupport().ok ? ['native', 'streams'] : ['streams'];

describe.each(ENGINES)('on %s, an upstream that accepts and then resets', (engine) => {
  const args = (...more: string[]): string[] => ['--engine', engine, ...IN_TURN, ...more];

  it('is passed over for the next as long as the client has sent nothing', async () => {
    const bad = await startServer();
    onTestFinished(() => bad.close());
    const program = Program.inFrontOf([bad.address, await startNamed('live')], args());
    const socket = await connectTo(await program.loopback());
    const accepted = await bad.accept();
    // Not before it is connected to as the proxy sees it, too.
    await expect
      .poll(async () => (await program.json<ConnectionsView>('/connections')).connections[0]?.phase)
      .toBe('relaying');
    accepted.resetAndDestroy();
    expect((await readAll(socket)).bytes.toString()).toBe('live');
    socket.end();
    const { endpoint, attempts } = await program.accessLine();
    expect(attempts?.map(({ error }) => error)).toEqual([expect.stringContaining('broke off before it'), undefined]);
    expect(endpoint).not.toBe(formatAddress(bad.address));
  });

  it('is passed over for the next with all that the client has sent, with --replay, half-closed or not', async () => {
    const bad = await startServer((socket) => void socket.once('data', () => socket.resetAndDestroy()));
    const good = await startServer((socket) => socket.pipe(socket));
    onTestFinished(() => [bad, good].forEach((server) => void server.close()));
    const program = Program.inFrontOf([bad.address, good.address], args('--replay', '64KiB', '--eject-after', 'off'));
    const address = await program.loopback();
    const request = Buffer.alloc(40_000, 'request ');
    for (const halfCloses of [true, false]) {
      const socket = await connectTo(address);
      if (halfCloses) socket.end(request);
      else socket.write(request);
      expect((await readExactly(socket, request.length)).equals(request)).toBe(true);
      socket.end();
      expect((await readAll(socket)).end).toBe('end');
    }
    await expect.poll(() => program.accessLines.length).toBe(2);
    for (const line of program.accessLines) {
      expect(line).toMatchObject({ ending: 'completed', bytesReceived: 40_000, bytesSent: 40_000 });
      expect(line.attempts).toHaveLength(2);
    }
  });
});
