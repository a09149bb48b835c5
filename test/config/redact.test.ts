import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.js';
import { redact } from '../../src/config/redact.js';
import { validInput } from './arbitraries.js';

describe('a configuration written back', () => {
  it('parses to the same configuration, also as JSON', () => {
    fc.assert(
      fc.property(validInput, (input) => {
        const config = parseConfig(input);
        expect(parseConfig(redact(config))).toEqual(config);
        expect(parseConfig(JSON.parse(JSON.stringify(redact(config))))).toEqual(config);
      }),
    );
  });

  it('reads as an operator would write it, every default filled in', () => {
    const config = parseConfig({
      listeners: { web: { address: '*:80' } },
      services: { web: { upstreams: ['[0:0::1]:81', 'A.example:80', 'unix:///run/x'] } },
      limits: { maxMemory: 3 * 1024 ** 3 },
    });
    expect(redact(config)).toEqual({
      listeners: {
        web: {
          address: ':80',
          service: 'web',
          acceptProxyProtocol: false,
          proxyProtocolTimeout: '5s',
          detectTimeout: '250ms',
          tlsAccept: 'off',
          tlsHandshakeTimeout: '10s',
        },
      },
      services: {
        web: {
          upstreams: ['[::1]:81', 'a.example:80', 'unix:/run/x'],
          connectTimeout: '2s',
          connectDeadline: '10s',
          connectAttempts: 8,
          maxPending: 1024,
          queueTimeout: '5s',
          queueTarget: '50ms',
          retryBudget: '20%',
          replay: 'off',
          retryMinRate: 3,
          raceDelay: '250ms',
          idleTimeout: 'off',
          halfCloseTimeout: '5m',
          onEndpointRemoved: 'drain',
          balance: 'ewma',
          hashKey: 'source-ip',
          hashBalanceFactor: 'off',
          ewmaDecay: '10s',
          ewmaInitial: '30ms',
          slowStart: 'off',
          panicThreshold: '50%',
          ejectAfter: 5,
          ejectLatency: 10,
          ejectTime: '30s',
          ejectMaxTime: '5m',
          ejectMaxShare: '50%',
          healthCheck: 'off',
          healthInterval: '5s',
          healthTimeout: '2s',
          healthRise: 2,
          healthFall: 3,
          healthStatus: '200-399',
          sendProxyProtocol: 'off',
          tlsDial: 'off',
        },
      },
      admin: '127.0.0.1:9901',
      engine: 'auto',
      identity: {},
      drainTimeout: '30s',
      accessLog: 'all',
      log: { level: 'info', format: 'auto' },
      limits: { maxMemory: '3GiB', shedTarget: '100ms', bufferSize: '64KiB', keepalive: '1m' },
      dns: { minTtl: '1s', maxTtl: '5m', fallbackTtl: '30s' },
    });
  });
});
