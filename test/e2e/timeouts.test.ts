import { describe, expect, it, onTestFinished } from 'vitest';
import { connectTo, readAll, readExactly, startServer } from '../fakes/net.js';
import { Program } from './program.js';

/** A client and a server that the program has connected. */
async function connected(...args: readonly string[]) {
  const upstream = await startServer();
  onTestFinished(() => upstream.close());
  const program = Program.inFrontOf([upstream.address], args);
  const client = await connectTo(await program.loopback());
  onTestFinished(() => void client.destroy());
  return { program, client, server: await upstream.accept() };
}

describe('a connection on which nothing moves', () => {
  it('is reset after --idle-timeout, towards both sides', async () => {
    const { program, client, server } = await connected('--idle-timeout', '100ms');
    const ends = (await Promise.all([readAll(client), readAll(server)])).map(({ end }) => end);
    expect(ends).toEqual(['reset', 'reset']);
    expect((await program.accessLine()).ending).toBe('idle-timeout');
  });

  it('is reset after --half-close-timeout once one side has ended, and the other does not', async () => {
    const { program, client, server } = await connected('--half-close-timeout', '100ms');
    client.end();
    const [atClient] = await Promise.all([readAll(client), readAll(server)]);
    expect(atClient.end).toBe('reset');
    expect((await program.accessLine()).ending).toBe('half-close-timeout');
  });

  it('lives on where neither is asked for, or neither is due', async () => {
    const { client, server } = await connected('--half-close-timeout', '1ms');
    // It says nothing for as long as another one takes to be reset for that.
    const other = await connected('--idle-timeout', '100ms');
    expect((await readAll(other.client)).end).toBe('reset');
    client.write('still there');
    expect((await readExactly(server, 11)).toString()).toBe('still there');
  });
});
