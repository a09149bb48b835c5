import { describe, expect, it } from 'vitest';
import { Program } from '../e2e/program.js';
import { startServer } from '../fakes/net.js';

const ANYWHERE = ['demo', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];

async function startDemo(): Promise<{ demo: Program; url: string }> {
  const demo = new Program(ANYWHERE, { env: { npm_lifecycle_event: undefined } });
  const line = await demo.line((text) => text.includes('curl http://'));
  return { demo, url: /http:\/\/[\d.:]+/.exec(line)?.[0] ?? '' };
}

/** On a connection of its own. */
function get(url: string): Promise<Response> {
  return fetch(url, { headers: { connection: 'close' } });
}

describe('meshproxy demo', () => {
  it('answers from three servers in turn, each of which says its name', async () => {
    const { url } = await startDemo();
    const answers: string[] = [];
    for (let i = 0; i < 6; i++) answers.push(await (await get(`${url}/hello`)).text());
    expect(new Set(answers.slice(0, 3))).toEqual(
      new Set(['red', 'green', 'blue'].map((name) => `${name} answers GET /hello\n`)),
    );
    expect(answers.slice(3)).toEqual(answers.slice(0, 3));
  });

  it('sends as many bytes as it is asked for', async () => {
    const { url } = await startDemo();
    expect((await (await get(`${url}/big?bytes=3MiB`)).arrayBuffer()).byteLength).toBe(3 * 1024 ** 2);
    expect((await (await get(`${url}/big?bytes=100001`)).arrayBuffer()).byteLength).toBe(100_001);
  });

  it('shows what a reset looks like', async () => {
    const { url } = await startDemo();
    await expect(get(`${url}/reset`)).rejects.toThrow();
  });

  it('says what to try, and each of it is there', async () => {
    const { demo } = await startDemo();
    await demo.line((text) => text.includes('Ctrl-C ends it'));
    const urls = [...demo.stderr.matchAll(/http:\/\/[\d.:]+\/[^\s']*/g)].map(([url]) => url.replace('1GiB', '1KiB'));
    expect(urls.length).toBeGreaterThanOrEqual(5);
    for (const url of urls.filter((one) => !one.endsWith('/reset'))) expect((await get(url)).status, url).toBe(200);
    expect(demo.stderr).toMatch(/meshproxy connections --admin 127\.0\.0\.1:\d+/);
  });

  it('ends at Ctrl-C, soon also with a connection that is kept alive', async () => {
    const { demo, url } = await startDemo();
    await (await fetch(`${url}/`)).text();
    demo.kill('SIGINT');
    expect(await demo.exit()).toBe(0);
  });

  it.each(['--listen', '--admin'])('names %s where its address is in use', async (flag) => {
    const server = await startServer();
    const taken = `127.0.0.1:${server.address.port}`;
    const demo = new Program([...ANYWHERE, flag, taken]);
    expect(await demo.exit()).toBe(1);
    server.close();
    expect(demo.stderr).toContain(`listen on ${taken}: the address is already in use (EADDRINUSE)`);
    expect(demo.stderr).toContain(`(choose another address: meshproxy demo ${flag} 127.0.0.1:0 takes any free port)`);
  });
});
