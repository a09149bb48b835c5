import { afterEach, describe, expect, it } from 'vitest';
import type { Address, ConfigInput, EmbeddedProxy } from '../src/index.js';
import { startDnsServer } from './fakes/dns-server.js';
import { ENGINES } from './fakes/engines.js';
import { connectTo, readAll, readExactly, startServer, type TestServer } from './fakes/net.js';

describe.each(ENGINES)('a running proxy on %s', (engine, createProxy) => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  async function server(answer: string): Promise<TestServer & { readonly url: string }> {
    const started = await startServer((socket) => {
      socket.write(answer);
      socket.pipe(socket);
    });
    cleanups.push(() => started.close());
    return { ...started, url: `127.0.0.1:${started.address.port}` };
  }

  async function start(config: ConfigInput): Promise<EmbeddedProxy> {
    const proxy = await createProxy(config);
    expect(proxy.engine.name).toBe(engine);
    cleanups.push(() => proxy.close());
    return proxy;
  }

  function addressOf(proxy: EmbeddedProxy, name = 'web'): Address {
    const found = proxy.listeners.find((listener) => listener.name === name);
    if (!found) throw new Error(`there is no listener ${name}`);
    return found.address;
  }

  /** What the server behind a listener answers first. */
  async function ask(address: Address): Promise<string> {
    const socket = await connectTo(address);
    socket.end();
    return (await readAll(socket)).bytes.toString();
  }

  const web = (upstreams: string[], address = '127.0.0.1:0'): ConfigInput => ({
    listeners: { web: { address } },
    services: { web: { upstreams } },
  });

  it('sends new connections to the new upstreams after a reload, and touches no live one', async () => {
    const [a, b] = [await server('a'), await server('b')];
    const proxy = await start(web([a.url]));
    const address = addressOf(proxy);
    const live = await connectTo(address);
    expect((await readExactly(live, 1)).toString()).toBe('a');
    await proxy.reload(web([b.url]));
    expect(proxy.version).toBe(2);
    expect(addressOf(proxy)).toEqual(address);
    expect(await ask(address)).toBe('b');
    live.end('still with a');
    expect((await readAll(live)).bytes.toString()).toBe('still with a');
  });

  it('opens and closes listeners by a reload; connections of a closed one live on', async () => {
    const a = await server('a');
    const proxy = await start(web([a.url]));
    const old = addressOf(proxy);
    const live = await connectTo(old);
    await readExactly(live, 1);
    await proxy.reload({
      listeners: { other: { address: '127.0.0.1:0', service: 'web' } },
      services: { web: { upstreams: [a.url] } },
    });
    await expect(connectTo(old)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(await ask(addressOf(proxy, 'other'))).toBe('a');
    live.end('x');
    expect((await readAll(live)).bytes.toString()).toBe('x');
  });

  it.each([
    ['a port in use', (busy: string): ConfigInput => web(['127.0.0.1:1'], busy), 'listen'],
    ['a name that does not resolve', (): ConfigInput => web(['no-such-host.invalid:80']), 'resolve'],
    ['nonsense', (): ConfigInput => web(['not an address']), 'bad-config'],
  ])('refuses a reload with %s as a whole, and goes on as before', async (_, next, code) => {
    const [a, busy] = [await server('a'), await server('busy')];
    const proxy = await start(web([a.url]));
    const both = next(busy.url);
    const added: ConfigInput = {
      ...both,
      listeners: { extra: { address: '127.0.0.1:0', service: 'web' }, ...both.listeners },
    };
    await expect(proxy.reload(added)).rejects.toMatchObject({ code });
    expect(proxy.listeners.map(({ name }) => name)).toEqual(['web']);
    expect(proxy.version).toBe(1);
    expect(await ask(addressOf(proxy))).toBe('a');
    await proxy.reload(web([a.url]));
    expect(proxy.version).toBe(2);
  });

  it('does not start, and leaves nothing open, where one of its listeners cannot be bound', async () => {
    const busy = await server('busy');
    const config: ConfigInput = {
      listeners: { first: { address: '127.0.0.1:0', service: 'web' }, second: { address: busy.url, service: 'web' } },
      services: { web: { upstreams: ['127.0.0.1:1'] } },
    };
    await expect(createProxy(config)).rejects.toMatchObject({ code: 'listen' });
  });

  it('takes reloads one after the other; the last one stays in force', async () => {
    const servers = await Promise.all(['a', 'b', 'c', 'd'].map(server));
    const proxy = await start(web([servers[0]?.url ?? '']));
    await Promise.all(servers.map(({ url }) => proxy.reload(web([url]))));
    expect(proxy.version).toBe(5);
    expect(await ask(addressOf(proxy))).toBe('d');
  });

  it('takes no reload once it drains, also where one is under way, and leaves no listener behind', async () => {
    const a = await server('a');
    const proxy = await start(web([a.url]));
    const pending = proxy.reload({ ...web([a.url]), listeners: { late: { address: '127.0.0.1:0', service: 'web' } } });
    const drained = proxy.drain();
    await expect(pending).rejects.toMatchObject({ code: 'aborted' });
    await drained;
    await expect(proxy.reload(web([a.url]))).rejects.toMatchObject({ code: 'aborted' });
    await proxy.closed;
  });

  it('shows its open connections, and counts them', async () => {
    const a = await server('a');
    const proxy = await start(web([a.url]));
    const live = await connectTo(addressOf(proxy));
    await readExactly(live, 1);
    expect(await proxy.connections()).toMatchObject([{ listener: 'web', endpoint: a.url, phase: 'relaying' }]);
    expect(await proxy.metrics()).toContain('meshproxy_connections_active{listener="web"} 1');
    live.end();
    await readAll(live);
  });

  it('closes at once, also in the middle of a drain, with resets', async () => {
    const a = await server('a');
    const proxy = await start(web([a.url]));
    const live = await connectTo(addressOf(proxy));
    await readExactly(live, 1);
    const drained = proxy.drain(3_600_000);
    await proxy.close();
    await drained;
    expect((await readAll(live)).end).toBe('reset');
  });

  it('serves every client from the moment that a listener is bound, also of a service that is new', async () => {
    const a = await server('a');
    const proxy = await start(web([a.url]));
    const port = await startServer();
    const address = { ...port.address };
    port.close();
    const listeners: ConfigInput['listeners'] = { fresh: { address: `127.0.0.1:${address.port}`, service: 'fresh' } };
    for (let i = 0; i < 20; i += 1) listeners[`later${i}`] = { address: 'localhost:0', service: 'fresh' };
    const reloaded = proxy.reload({ listeners, services: { fresh: { upstreams: [a.url] } } });
    let settled = false;
    void reloaded.then(() => {
      settled = true;
    });
    const answers = new Set<string>();
    while (!settled) answers.add(await ask(address).catch(() => 'not bound yet'));
    expect([...answers].filter((answer) => answer !== 'a' && answer !== 'not bound yet')).toEqual([]);
    expect(await ask(address)).toBe('a');
  });

  it('leaves no look-up behind where a reload was refused', async () => {
    const a = await server('a');
    const names = await startDnsServer((_, name) =>
      name.startsWith('bad') ? 'nxdomain' : { addresses: ['127.0.0.1'], ttl: 0 },
    );
    cleanups.push(() => names.close());
    const dns = { servers: [names.address], minTtl: '100ms' };
    const port = a.address.port;
    const asked = (name: string): number => names.queries.filter((query) => query.startsWith(name)).length;
    const config: ConfigInput = { ...web([`marker.test:${port}`]), dns };
    const proxy = await start(config);
    const services = { ...config.services, bad: { upstreams: ['bad.test:1'] }, other: { upstreams: ['other.test:1'] } };
    await expect(proxy.reload({ ...config, services })).rejects.toMatchObject({ code: 'resolve' });
    const before = asked('other');
    // The name that is in force is asked for again and again; one that is not, no more.
    await names.asked(names.queries.length + 12);
    expect(asked('other')).toBe(before);
  });
});
