/** A configuration written back: what an operator would have to write to get it, every default filled in. */
import { formatAddress } from '../core/address.js';
import { formatHashKey } from '../core/hash-key.js';
import { formatBandwidth, formatRate } from '../core/rate.js';
import { exactSize, formatDuration } from '../core/units.js';
import { formatUpstream } from '../core/upstream.js';
import type { Config, ConfigInput, ListenerConfig, ServiceConfig } from './schema.js';

/**
 * Plain and fit for JSON, with addresses, durations and sizes as they are written; parsed again, it is the same
 * configuration. What is secret would be left out here: there is nothing secret in it yet.
 */
export function redact(config: Config): ConfigInput {
  const { limits, dns } = config;
  return {
    listeners: mapValues(config.listeners, redactListener),
    services: mapValues(config.services, redactService),
    admin: config.admin === 'off' ? 'off' : formatAddress(config.admin),
    engine: config.engine,
    ...(config.workers === undefined ? {} : { workers: config.workers }),
    identity: redactIdentity(config.identity),
    drainTimeout: formatDuration(config.drainTimeout),
    accessLog: config.accessLog,
    log: { ...config.log },
    limits: {
      ...limits,
      bufferSize: exactSize(limits.bufferSize),
      shedTarget: orOff(limits.shedTarget),
      keepalive: orOff(limits.keepalive),
      ...(limits.maxMemory === undefined ? {} : { maxMemory: exactSize(limits.maxMemory) }),
    },
    dns: {
      ...(dns.servers === undefined ? {} : { servers: [...dns.servers] }),
      minTtl: formatDuration(dns.minTtl),
      maxTtl: formatDuration(dns.maxTtl),
      fallbackTtl: formatDuration(dns.fallbackTtl),
    },
  };
}

/** The token is in a file of its own, which is only named. */
function redactIdentity({ ca, ...files }: Config['identity']): NonNullable<ConfigInput['identity']> {
  if (ca === undefined) return files;
  return {
    ...files,
    ca: { ...ca, addresses: ca.addresses.map(formatAddress), joinTimeout: formatDuration(ca.joinTimeout) },
  };
}

type ListenerInput = NonNullable<ConfigInput['listeners']>[string];
type ServiceInput = NonNullable<ConfigInput['services']>[string];

function redactListener({ clientIdentities, ...listener }: ListenerConfig): ListenerInput {
  const { maxConnectionRate, maxConnectionRatePerSource, maxBandwidth, maxBandwidthPerSource, ...rest } = listener;
  return {
    ...rest,
    ...(maxConnectionRate && { maxConnectionRate: formatRate(maxConnectionRate) }),
    ...(maxConnectionRatePerSource && { maxConnectionRatePerSource: formatRate(maxConnectionRatePerSource) }),
    ...(maxBandwidth !== undefined && { maxBandwidth: formatBandwidth(maxBandwidth) }),
    ...(maxBandwidthPerSource !== undefined && { maxBandwidthPerSource: formatBandwidth(maxBandwidthPerSource) }),
    address: formatAddress(listener.address),
    proxyProtocolTimeout: formatDuration(listener.proxyProtocolTimeout),
    detectTimeout: formatDuration(listener.detectTimeout),
    tlsHandshakeTimeout: formatDuration(listener.tlsHandshakeTimeout),
    ...(clientIdentities && { clientIdentities: [...clientIdentities] }),
  };
}

function redactService(service: ServiceConfig): ServiceInput {
  return {
    ...service,
    upstreams: service.upstreams.map(formatUpstream),
    connectTimeout: formatDuration(service.connectTimeout),
    connectDeadline: formatDuration(service.connectDeadline),
    replay: service.replay === 0 ? 'off' : exactSize(service.replay),
    queueTimeout: orOff(service.queueTimeout),
    queueTarget: orOff(service.queueTarget),
    retryBudget: service.retryBudget === 'off' ? 'off' : `${service.retryBudget}%`,
    raceDelay: formatDuration(service.raceDelay),
    hashKey: formatHashKey(service.hashKey),
    hashBalanceFactor: service.hashBalanceFactor === 0 ? 'off' : `${service.hashBalanceFactor}%`,
    ewmaDecay: formatDuration(service.ewmaDecay),
    ewmaInitial: formatDuration(service.ewmaInitial),
    slowStart: orOff(service.slowStart),
    panicThreshold: `${service.panicThreshold}%`,
    ejectAfter: service.ejectAfter === 0 ? 'off' : service.ejectAfter,
    ejectLatency: service.ejectLatency === 0 ? 'off' : service.ejectLatency,
    ejectTime: formatDuration(service.ejectTime),
    ejectMaxTime: formatDuration(service.ejectMaxTime),
    ejectMaxShare: `${service.ejectMaxShare}%`,
    healthInterval: formatDuration(service.healthInterval),
    healthTimeout: formatDuration(service.healthTimeout),
    idleTimeout: orOff(service.idleTimeout),
    halfCloseTimeout: orOff(service.halfCloseTimeout),
  };
}

function orOff(ms: number): string {
  return ms === 0 ? 'off' : formatDuration(ms);
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
