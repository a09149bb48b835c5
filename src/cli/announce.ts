/** What a proxy says of itself when it has started. */

import type { Config } from '../config/schema.js';
import { type Address, formatAddress } from '../core/address.js';
import { formatUpstream } from '../core/upstream.js';
import type { RunningProxy } from '../running-proxy.js';
import type { Log } from '../telemetry/logger.js';

/** One line for each listener, with the port it really has, one for the engine, and one for the admin. */
export function announce(proxy: RunningProxy, config: Config, { logger }: Log): void {
  for (const { name, address } of proxy.listeners) {
    const service = config.listeners[name]?.service ?? name;
    const upstreams = config.services[service]?.upstreams ?? [];
    const text = formatAddress(address);
    logger.info(
      { listener: name, address: text, service },
      `listening on ${text} for service ${service}: ${fewOf(upstreams.map(formatUpstream))}`,
    );
  }
  const { name: engine, workers } = proxy.engine;
  logger.info({ engine, workers }, `engine ${engine}, ${inWords(workers, engine === 'native' ? 'worker' : 'thread')}`);
  if (proxy.admin !== undefined) {
    logger.info({ admin: formatAddress(proxy.admin) }, `admin on ${adminUrl(proxy.admin)}`);
  }
}

/** `http://127.0.0.1:9901/`, or the socket's path, which no browser opens. */
export function adminUrl(address: Address): string {
  if (address.kind === 'unix') return formatAddress(address);
  return address.kind === 'any' ? `http://localhost:${address.port}/` : `http://${formatAddress(address)}/`;
}

/** As many as fit on a line of a terminal. */
const MAX_NAMED = 3;

export function fewOf(names: readonly string[]): string {
  const more = names.length - MAX_NAMED;
  return [...names.slice(0, MAX_NAMED), ...(more > 0 ? [`and ${more} more`] : [])].join(', ');
}

/** `1 connection`, `2 connections`. */
export function inWords(count: number, noun: string, nouns = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : nouns}`;
}
