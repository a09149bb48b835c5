/** The first bytes of real clients, as a server gets them. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';

/** Why a test with this client is left out, where it is not here. */
export function missing(client: string): string | undefined {
  const [command = ''] = client.split(/[ ,]/);
  const isHere = !COMMANDS.has(command) || spawnSync(command, ['--version']).error === undefined;
  return isHere ? undefined : `${command} is not on PATH`;
}

const COMMANDS: ReadonlySet<string> = new Set(['openssl', 'curl']);

/** What a client sends before it is answered. @param dial makes it connect, and takes back what ends it */
export async function firstBytesOf(dial: (port: number) => () => void, isAll: (bytes: Buffer) => boolean) {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const end = dial(port);
  try {
    const [socket] = (await once(server, 'connection')) as [net.Socket];
    socket.on('error', () => {});
    let bytes = Buffer.alloc(0);
    for await (const chunk of socket) {
      bytes = Buffer.concat([bytes, chunk as Buffer]);
      if (isAll(bytes)) break;
    }
    return bytes;
  } finally {
    end();
    server.close();
  }
}

/** A program as a client; it ends when it is no longer answered. */
export function program(command: string, args: (port: number) => readonly string[]) {
  return (port: number): (() => void) => {
    const child = spawn(command, [...args(port)], { stdio: ['ignore', 'ignore', 'ignore'] });
    child.on('error', () => {});
    return () => void child.kill();
  };
}
