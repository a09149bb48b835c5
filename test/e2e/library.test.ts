import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { NODE } from './program.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly output: string;
}

function run(cwd: string, command: string, ...args: readonly string[]): Ran {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  return { code: status, stdout, output: `${stdout}${stderr}` };
}

/** A program that uses the library, in JavaScript; says what it has seen in JSON. */
const USER = `
import { once } from 'node:events';
import http from 'node:http';
import { createProxy, MeshproxyError, VERSION } from 'meshproxy';

const servers = await Promise.all(['first', 'second'].map(async (name) => {
  const server = http.createServer((_, response) => response.end(name)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}));
const config = (server) => ({
  listeners: { web: { address: '127.0.0.1:0' } },
  services: { web: { upstreams: ['127.0.0.1:' + server.address().port] } },
});
const ask = async (proxy) => {
  const { host, port } = proxy.listeners[0].address;
  return (await fetch('http://' + host + ':' + port, { headers: { connection: 'close' } })).text();
};

const proxy = await createProxy(config(servers[0]));
const answers = [await ask(proxy)];
await proxy.reload(config(servers[1]));
answers.push(await ask(proxy));
const refused = await proxy.reload({ listeners: { web: { address: 'nonsense' } } }).catch((error) => error);
answers.push(await ask(proxy));
const { version } = proxy;
const opened = /meshproxy_connections_opened_total\\S* (\\d+)/.exec(await proxy.metrics())?.[1];
const cut = await proxy.drain();
await proxy.closed;
for (const server of servers) server.close();
console.log(JSON.stringify({
  answers, version, opened, cut, open: (await proxy.connections()).length, package: VERSION,
  refused: refused instanceof MeshproxyError && refused.code,
}));
`;

/** What a TypeScript user may rely on, and what the compiler has to tell them. */
const TYPED = `
import { type ConfigInput, createProxy, type EmbeddedProxy, type ConnectionRecord } from 'meshproxy';

const config: ConfigInput = { services: { web: { upstreams: ['127.0.0.1:1'], connectTimeout: '1s' } } };
const proxy: EmbeddedProxy = await createProxy(config);
const cut: number = await proxy.drain(1000);
const open: readonly ConnectionRecord[] = await proxy.connections();
const ports = proxy.listeners.map(({ address }) => (address.kind === 'ip' ? address.port : undefined));
// @ts-expect-error a duration needs its unit
await createProxy({ drainTimeout: 5 });
// @ts-expect-error there is no such key
await proxy.reload({ listener: {} });
// @ts-expect-error a version cannot be set
proxy.version = 3;
export { cut, open, ports };
`;

describe('the packed library', () => {
  let project: string;
  let installed: Ran;

  beforeAll(() => {
    project = mkdtempSync(join(tmpdir(), 'meshproxy-library-'));
    writeFileSync(join(project, 'package.json'), '{"name": "user", "private": true, "type": "module"}');
    // Without scripts: what is packed is what was built, which all of these tests are about.
    const packed = run(ROOT, 'npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', project);
    const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }];
    installed = run(project, 'npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', `./${filename}`);
  }, 120_000);

  afterAll(() => rmSync(project, { recursive: true }));

  /** Without a network, what it depends on is there only where npm has it in its cache. */
  function needInstalled({ skip }: TestContext): void {
    const offline = /E?NOTFOUND|EAI_AGAIN|ENETUNREACH|ECONNREFUSED|ENOTCACHED|ETIMEDOUT/.exec(installed.output)?.[0];
    skip(installed.code !== 0 && offline !== undefined, `npm cannot reach its registry: ${offline}`);
    expect(installed).toMatchObject({ code: 0 });
  }

  it('proxies, reloads and drains in a project that has installed it', (context) => {
    needInstalled(context);
    writeFileSync(join(project, 'user.js'), USER);
    const { code, stdout, output } = run(project, NODE, 'user.js');
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(JSON.parse(stdout)).toEqual({
      answers: ['first', 'second', 'second'],
      version: 2,
      opened: '3',
      cut: 0,
      open: 0,
      package: JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version,
      refused: 'bad-config',
    });
  });

  it('has types that a project compiles with, as the README uses them too', (context) => {
    needInstalled(context);
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
    const example = /```ts\n(import \{ createProxy \}[^`]+)```/.exec(readme)?.[1];
    writeFileSync(join(project, 'readme.ts'), example ?? 'the README has no example');
    writeFileSync(join(project, 'typed.ts'), TYPED);
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2022',
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      types: ['node'],
      typeRoots: [join(ROOT, 'node_modules', '@types')],
    };
    writeFileSync(
      join(project, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, files: ['readme.ts', 'typed.ts'] }),
    );
    expect(run(project, join(ROOT, 'node_modules', '.bin', 'tsc'), '-p', '.')).toMatchObject({ code: 0, output: '' });
  });

  it('brings the program', (context) => {
    needInstalled(context);
    const { code, stdout } = run(project, NODE, join(project, 'node_modules', '.bin', 'meshproxy'), '--version');
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });
});
