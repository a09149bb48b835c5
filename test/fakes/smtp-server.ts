/** A server that speaks first, and then waits for each line: as much of SMTP (RFC 5321) as a message takes. */
import { createInterface } from 'node:readline';
import { startServer, type TestServer } from './net.js';

export const BANNER = '220 fake.example ESMTP ready\r\n';

export interface SmtpServer extends TestServer {
  /** What was sent to it, each message as it came between DATA and the dot. */
  readonly messages: readonly string[];
}

export async function startSmtpServer(): Promise<SmtpServer> {
  const messages: string[] = [];
  const server = await startServer((socket) => {
    let message: string[] | undefined;
    const answer = (line: string): void => void socket.write(`${line}\r\n`);
    socket.write(BANNER);
    createInterface({ input: socket }).on('line', (line) => {
      if (message !== undefined && line !== '.') message.push(line);
      else if (message !== undefined) {
        messages.push(message.join('\n'));
        message = undefined;
        answer('250 taken');
      } else if (line === 'DATA') {
        message = [];
        answer('354 go ahead');
      } else if (line === 'QUIT') socket.end('221 bye\r\n');
      else answer('250 ok');
    });
  });
  return { ...server, messages };
}
