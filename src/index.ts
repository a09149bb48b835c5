/**
 * meshproxy as a library.
 *
 * ```ts
 * import { createProxy } from 'meshproxy';
 *
 * const proxy = await createProxy({
 *   listeners: { web: { address: '127.0.0.1:0' } },
 *   services: { web: { upstreams: ['127.0.0.1:9001', '127.0.0.1:9002'] } },
 * });
 * console.log(proxy.listeners);
 * await proxy.drain();
 * ```
 */
import { startProxy } from './app.js';
import { parseConfig } from './config/load.js';
import type { ConfigInput } from './config/schema.js';
import type { RunningProxy } from './running-proxy.js';
import { createLogger, type Log } from './telemetry/logger.js';

export type { Config, ConfigInput } from './config/schema.js';
export { type Address, formatAddress, parseAddress, type SocketAddress } from './core/address.js';
export { type ErrorCode, MeshproxyError } from './core/errors.js';
export { VERSION } from './core/version.js';
export type { EngineState, RunningProxy } from './running-proxy.js';
export type { Attempt, ConnectionRecord, Ending, Phase } from './telemetry/record.js';

/** A running proxy; `reload` takes what `createProxy` takes. */
export interface EmbeddedProxy extends Omit<RunningProxy, 'reload' | 'refuse'> {
  reload(config: ConfigInput): Promise<void>;
}

/**
 * Starts a proxy in this process; its listeners accept when the promise resolves. The configuration is that of the
 * file, with three defaults of a library: no admin listener and no log unless they are asked for, and one worker.
 * @throws MeshproxyError `bad-config`, `bad-address`, `listen` or `resolve`, with nothing left open
 */
export async function createProxy(config: ConfigInput): Promise<EmbeddedProxy> {
  const parsed = parseConfig(embedded(config));
  const log: Log = createLogger(parsed.log);
  const proxy = await startProxy(parsed, { log }).catch(async (error: unknown) => {
    await log.close();
    throw error;
  });
  void proxy.closed.then(() => log.close());
  return {
    get listeners() {
      return proxy.listeners;
    },
    get admin() {
      return proxy.admin;
    },
    get engine() {
      return proxy.engine;
    },
    get open() {
      return proxy.open;
    },
    get version() {
      return proxy.version;
    },
    closed: proxy.closed,
    connections: () => proxy.connections(),
    metrics: () => proxy.metrics(),
    reload: async (next) => proxy.reload(parseConfig(embedded(next))),
    drain: (timeoutMs) => proxy.drain(timeoutMs),
    close: () => proxy.close(),
  };
}

function embedded(config: ConfigInput): ConfigInput {
  const workers = config.engine === 'streams' ? {} : { workers: 1 };
  return { admin: 'off', ...workers, ...config, log: { level: 'silent', ...config.log } };
}
