/** What the endpoints of a service are asked, made once of its settings. Pure. */
import { parseBytes, parseHealthCheck, parseStatuses } from '../config/health-check.js';
import type { ServiceConfig } from '../config/schema.js';
import { formatAddress, type SocketAddress } from '../core/address.js';
import { type Judge, judgeExpected, judgeHttp, shown } from './answer.js';

export interface Question {
  /** As a person would call it: `GET /health`. */
  readonly name: string;
  /** A connection that is made answers it already. */
  readonly answer: { readonly send: (address: SocketAddress) => Uint8Array; readonly judge: Judge } | undefined;
  /** TLS is asked for also where connections of the service, which carry the client's own, do not begin it. */
  readonly tls: 'as-connections' | 'always' | 'never';
  /** In place of the endpoint's own. */
  readonly port: number | undefined;
}

/** `undefined` where there is no check. */
export function questionOf(settings: ServiceConfig): Question | undefined {
  const { healthCheck, healthPort: port } = settings;
  const check = parseHealthCheck(healthCheck) ?? { kind: 'off' };
  switch (check.kind) {
    case 'off':
      return undefined;
    case 'tcp':
      return { name: 'connecting', answer: undefined, tls: 'never', port };
    case 'tls':
      return { name: 'TLS handshake', answer: undefined, tls: 'always', port };
    case 'http': {
      const { path } = check;
      const judge = judgeHttp(parseStatuses(settings.healthStatus) ?? []);
      const send = (address: SocketAddress): Uint8Array =>
        httpRequest(path, check.host ?? settings.serverName ?? hostOf(address));
      return { name: `GET ${path}`, answer: { send, judge }, tls: 'as-connections', port };
    }
    case 'send-expect': {
      const sent = bytesOf(settings.healthSend);
      const judge = judgeExpected(bytesOf(settings.healthExpect));
      const name = sent.length === 0 ? 'greeting' : shown(sent);
      return { name, answer: { send: () => sent, judge }, tls: 'as-connections', port };
    }
  }
}

/** Whatever of the settings changes what is asked, or how: while it is the same, what was found holds. */
export function keyOf(settings: ServiceConfig): string {
  const { healthCheck, healthPort, healthStatus, healthSend, healthExpect } = settings;
  const { tlsDial, serverIdentity, serverName, sendProxyProtocol } = settings;
  return JSON.stringify([
    [healthCheck, healthPort, healthStatus, healthSend, healthExpect],
    [tlsDial, serverIdentity, serverName, sendProxyProtocol],
  ]);
}

/** `Connection: close` in place of HTTP/1.0: some servers answer no older version, and none is to keep it open. */
function httpRequest(path: string, host: string): Uint8Array {
  const headers = [`Host: ${host}`, 'User-Agent: meshproxy-health', 'Accept: */*', 'Connection: close'];
  return Buffer.from(`GET ${path} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`);
}

/** RFC 9112 section 3.2: a request must name a host; what is reached by a path has none. */
function hostOf(address: SocketAddress): string {
  return address.kind === 'unix' ? 'localhost' : formatAddress(address);
}

function bytesOf(text: string | undefined): Uint8Array {
  return (text === undefined ? undefined : parseBytes(text)) ?? new Uint8Array(0);
}
