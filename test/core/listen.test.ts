import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseAddress } from '../../src/core/address.js';
import { boundAddress, listenOptions, overStaleSocket } from '../../src/core/listen.js';

async function listen(written: string): Promise<Server> {
  const server = createServer();
  server.listen(await listenOptions(parseAddress(written)));
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return server;
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'meshproxy-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

describe('listening on an address as people write it', () => {
  it('takes localhost for what most of its clients dial, and tells the port it got', async () => {
    const server = await listen('localhost:0');
    const bound = boundAddress(server, parseAddress('127.0.0.1:0'));
    expect(server.address()).toMatchObject({ address: '127.0.0.1' });
    expect(bound).toMatchObject({ kind: 'ip', port: expect.any(Number) });
    expect(bound).not.toMatchObject({ port: 0 });
  });

  it('passes on what the resolver says of a name without an address', async () => {
    await expect(listenOptions(parseAddress('no-such-host.invalid:80'))).rejects.toMatchObject({
      code: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/),
    });
  });

  it('removes a socket file that nobody serves and tries once more; any other stays', async () => {
    const path = join(folder(), 'a.sock');
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script], { stdio: 'ignore' });
    expect(existsSync(path)).toBe(true);
    await overStaleSocket(parseAddress(`unix:${path}`), () => listen(`unix:${path}`));
    await expect(overStaleSocket(parseAddress(`unix:${path}`), () => listen(`unix:${path}`))).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    const file = join(folder(), 'precious');
    writeFileSync(file, 'precious');
    await expect(overStaleSocket(parseAddress(`unix:${file}`), () => listen(`unix:${file}`))).rejects.toThrow();
    expect(existsSync(file)).toBe(true);
  });
});
