/**
 * The one place that says what a socket error on an established connection means. Ordinary disconnects are not news:
 * they end one connection and are counted (the single classification is ztunnel's `copy.rs`).
 */
import { errnoOf } from '../core/errors.js';

/**
 * `reset`: the peer broke the connection on purpose or had gone already. `lost`: it stopped answering, or the way to
 * it is gone. `exhausted`: this machine is short of something. `unexpected`: none of these; worth a look.
 */
export type Disconnect = 'reset' | 'lost' | 'exhausted' | 'unexpected';

/** What a broken connection is to the end of its relay. */
export function relayEndOf(error: unknown): 'reset' | 'lost' | 'tls' {
  if (errnoOf(error) === 'EPROTO') return 'tls';
  return classifyDisconnect(error) === 'reset' ? 'reset' : 'lost';
}

export function classifyDisconnect(error: unknown): Disconnect {
  switch (errnoOf(error)) {
    case 'ECONNRESET':
    case 'EPIPE':
    case 'ECONNABORTED':
    // Written to after our side had been shut: the peer's end of stream and our write crossed.
    case 'ENOTCONN':
    case 'ERR_STREAM_DESTROYED':
      return 'reset';
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'EHOSTDOWN':
    case 'ENETUNREACH':
    case 'ENETDOWN':
      return 'lost';
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOBUFS':
    case 'ENOMEM':
      return 'exhausted';
    default:
      return 'unexpected';
  }
}
