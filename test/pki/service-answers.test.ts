import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { jsonAnswer, Outbox, refusalAnswer } from '../../src/pki/service-answers.js';
import { refusal } from '../../src/pki/service-requests.js';
import { VirtualClock } from '../fakes/clock.js';

const MEGABYTE = 1024 * 1024;

/** Responses of requests whose clients read only when they are told to. */
async function open(count: number): Promise<{ responses: ServerResponse[]; clients: net.Socket[] }> {
  const responses: ServerResponse[] = [];
  const server = createServer((_request, response) => responses.push(response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const clients = Array.from({ length: count }, () => net.connect(port, '127.0.0.1').pause());
  for (const client of clients) client.on('error', () => {}).write('GET / HTTP/1.1\r\nhost: ca\r\n\r\n');
  onTestFinished(() => {
    for (const client of clients) client.destroy();
    server.close();
  });
  await expect.poll(() => responses.length).toBe(count);
  return { responses, clients };
}

describe('answers', () => {
  it('that refuse have a code for programs, words for people, and when to come back in whole seconds', () => {
    const answer = refusalAnswer({ ...refusal('busy', 'later', { retryAfterMs: 1200 }), identity: 'somebody' });
    expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '2' } });
    expect(JSON.parse(String(answer.body))).toEqual({ error: 'later', code: 'busy', retryAfterMs: 1200 });
    expect(refusalAnswer(refusal('revoked', 'gone')).status).toBe(403);
  });

  it('that nobody reads are given up, and what waited for their room goes out then', async () => {
    const clock = new VirtualClock();
    const outbox = new Outbox(clock);
    const { responses, clients } = await open(6);
    const large = { ...jsonAnswer({}), body: Buffer.alloc(15 * MEGABYTE, 0x20) };
    const settled: number[] = [];
    const sent = responses.map((response, index) => outbox.send(response, large).then(() => settled.push(index)));
    // Four of fifteen megabytes are what may be on its way.
    expect(responses.map(({ headersSent }) => headersSent)).toEqual([true, true, true, true, false, false]);
    clients[0]?.resume();
    await sent[0];
    await expect.poll(() => responses[4]?.headersSent).toBe(true);
    expect(responses[5]?.headersSent).toBe(false);
    await clock.advanceAsync(10_000);
    await expect.poll(() => responses[5]?.headersSent).toBe(true);
    await clock.advanceAsync(10_000);
    await Promise.all(sent);
    expect(settled).toHaveLength(6);
    expect(clock.pending).toBe(0);
  });

  it('for who is gone already make room for nobody else to wait for', async () => {
    const clock = new VirtualClock();
    const outbox = new Outbox(clock);
    const { responses, clients } = await open(1);
    clients[0]?.destroy();
    await expect.poll(() => responses[0]?.destroyed).toBe(true);
    await Promise.all(responses.map((response) => outbox.send(response, jsonAnswer({}))));
    expect(clock.pending).toBe(0);
  });
});
