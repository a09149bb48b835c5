/** Configurations for property tests. */
import fc from 'fast-check';
import type { ConfigInput } from '../../src/config/schema.js';
import { formatAddress } from '../../src/core/address.js';
import { formatDuration } from '../../src/core/units.js';
import { address } from '../core/arbitraries.js';

export const written = address.map(formatAddress);
/** Port 0 is for listening only. */
const dialled = address.filter((it) => it.kind === 'unix' || it.port !== 0).map(formatAddress);

/** Written by hand: no unit is left out, as many as one likes are used. */
export const durationText = (min: number, max = 86_400_000) => fc.integer({ min, max }).map(formatDuration);

const orOff = fc.oneof(durationText(1), fc.constantFrom('off' as const, '0' as const, 0 as const));

/** With the names that JavaScript's own objects have. */
const name = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9_.-]{0,20}[A-Za-z0-9])?$/),
  fc.constantFrom('constructor', 'toString', 'hasOwnProperty', 'default', '0', '1e3', 'null', 'true', '0x10'),
);

const count = fc.integer({ min: 1, max: 1_000_000 });

function some<T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) {
  return fc.record(model, { requiredKeys: [] });
}

const listenerSettings = {
  acceptProxyProtocol: fc.boolean(),
  proxyProtocolTimeout: durationText(1),
  detectTimeout: durationText(1),
  maxConnections: count,
  maxConnectionRate: fc.constantFrom('100/s', '1/m', '999999999/h'),
  maxConnectionRatePerSource: fc.constantFrom('1/s', '10 / m'),
  maxBandwidth: fc.constantFrom('1024/s', '1.5MiB/s', '10g/s'),
  maxBandwidthPerSource: fc.constantFrom('64KiB/s', '64 kb / s'),
};

const serviceSettings = {
  connectTimeout: durationText(1),
  connectDeadline: durationText(1),
  connectAttempts: fc.integer({ min: 1, max: 100 }),
  raceDelay: durationText(10),
  idleTimeout: orOff,
  halfCloseTimeout: orOff,
  sendProxyProtocol: fc.constantFrom('off' as const, 'v1' as const, 'v2' as const),
};

const services = fc.dictionary(
  name,
  fc.record(
    { upstreams: fc.array(dialled, { minLength: 1, maxLength: 3 }), ...serviceSettings },
    { requiredKeys: ['upstreams'] },
  ),
  { minKeys: 1, maxKeys: 4 },
);

const listeners = fc.dictionary(
  name,
  fc.record(
    { address: fc.constantFrom('127.0.0.1:0', ':0', '[::1]:0', 'localhost:0'), ...listenerSettings },
    { requiredKeys: ['address'] },
  ),
  { maxKeys: 4 },
);

/** Valid, with any part left out. Every listener names a service that there is. */
export const validInput: fc.Arbitrary<ConfigInput> = fc
  .tuple(
    listeners,
    services,
    some({
      defaults: some({ listener: some(listenerSettings), service: some(serviceSettings) }),
      admin: fc.oneof(written, fc.constant('off')),
      engine: fc.constantFrom('auto' as const, 'native' as const),
      workers: fc.integer({ min: 1, max: 1024 }),
      drainTimeout: durationText(0),
      accessLog: fc.constantFrom('off' as const, 'errors' as const, 'all' as const),
      log: some({
        level: fc.constantFrom('silent' as const, 'info' as const, 'trace' as const),
        format: fc.constantFrom('auto' as const, 'json' as const),
      }),
      limits: some({
        maxConnections: count,
        maxMemory: fc.oneof(fc.integer({ min: 64 * 1024 ** 2, max: 2 ** 40 }), fc.constantFrom('64MiB', '2g')),
        shedTarget: fc.oneof(durationText(2, 60_000), fc.constant('off')),
        bufferSize: fc.oneof(fc.integer({ min: 4096, max: 2 ** 24 }), fc.constantFrom('64KiB', '1m')),
        keepalive: fc.oneof(durationText(1000, 21_600_000), fc.constant('off')),
      }),
      dns: some({
        servers: fc.array(fc.constantFrom('10.0.0.53', '10.0.0.53:53', '[fd00::53]:5353', 'fd00::53'), {
          minLength: 1,
        }),
        minTtl: durationText(100, 1000),
        maxTtl: durationText(1000),
        fallbackTtl: durationText(1000),
      }),
    }),
  )
  .map(([listeners, services, rest]) => {
    const [service = ''] = Object.keys(services);
    const served = Object.entries(listeners).map(([name, listener]) => [name, { ...listener, service }]);
    return { ...rest, services, listeners: Object.fromEntries(served) };
  });
