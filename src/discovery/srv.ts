/** An upstream of SRV records: the records are followed, and each host that they name, by its own time to live. */
import type { MeshproxyError } from '../core/errors.js';
import { formatUpstream, type SrvUpstream } from '../core/upstream.js';
import { dnsSource } from './dns.js';
import { type DnsOptions, GONE, poll } from './poll.js';
import type { AddressRecord, Lookups } from './resolver.js';
import type { DiscoveredEndpoint, DiscoverySnapshot, DiscoverySource } from './source.js';
import { endpointsOf, type SrvAnswer, type SrvLookups, type SrvRecord } from './srv-records.js';

export interface SrvOptions extends DnsOptions {
  readonly lookups: SrvLookups;
}

export function srvSource(upstream: SrvUpstream, options: SrvOptions): DiscoverySource {
  return {
    upstream: formatUpstream(upstream),
    watch: (signal) => new SrvWatch(upstream.name, options, signal).snapshots(),
  };
}

/** A host that the records name, as it was found last. */
interface Target {
  readonly stop: AbortController;
  /** `undefined` until it was found for the first time. */
  endpoints: readonly DiscoveredEndpoint[] | undefined;
  /** Why it cannot be found now. */
  error: MeshproxyError | undefined;
}

class SrvWatch {
  readonly #name: string;
  readonly #options: SrvOptions;
  readonly #signal: AbortSignal;
  #records: readonly SrvRecord[] | undefined;
  /** Where there are no records: why. */
  #why = '';
  /** Why the records themselves cannot be told now. */
  #error: MeshproxyError | undefined;
  /** By target and port. */
  readonly #targets = new Map<string, Target>();
  /** Something was looked up since the last snapshot; the last failure among it, and who waits to hear of it. */
  #news = false;
  #failed: MeshproxyError | undefined;
  #wake: () => void = () => {};

  constructor(name: string, options: SrvOptions, signal: AbortSignal) {
    this.#name = name;
    this.#options = options;
    this.#signal = signal;
  }

  async *snapshots(): AsyncGenerator<DiscoverySnapshot> {
    let shown: string | undefined;
    const wake = (): void => this.#wake();
    this.#signal.addEventListener('abort', wake, { once: true });
    void this.#followRecords();
    while (!this.#signal.aborted) {
      if (!this.#news) await new Promise<void>((resolve) => (this.#wake = resolve));
      if (this.#signal.aborted) break;
      this.#news = false;
      const snapshot = this.#snapshot(shown);
      if (snapshot?.kind === 'endpoints') shown = JSON.stringify(snapshot.endpoints);
      if (snapshot) yield snapshot;
    }
    this.#signal.removeEventListener('abort', wake);
    for (const { stop } of this.#targets.values()) stop.abort();
  }

  /** What the news come to; nothing where not every host has been looked up for the first time. */
  #snapshot(shown: string | undefined): DiscoverySnapshot | undefined {
    const failed = this.#failed;
    if (this.#records !== undefined) {
      const targets = [...this.#targets.values()];
      if (targets.some(({ endpoints, error }) => endpoints === undefined && error === undefined)) return undefined;
      this.#failed = undefined;
      const incomplete = this.#error ?? targets.find(({ error }) => error !== undefined)?.error;
      const endpoints = this.#endpoints(this.#records);
      const nothingKnown = shown === undefined && targets.length > 0 && targets.every((one) => !one.endpoints);
      if (!nothingKnown && JSON.stringify(endpoints) !== shown) {
        const why = endpoints.length > 0 ? undefined : targets.length === 0 ? this.#why : 'no host has an address';
        return { kind: 'endpoints', endpoints, ...(why && { why }), ...(incomplete && { incomplete }) };
      }
      if (failed === undefined) return incomplete === undefined ? { kind: 'unchanged' } : undefined;
    }
    this.#failed = undefined;
    return failed && { kind: 'failed', error: failed };
  }

  #endpoints(records: readonly SrvRecord[]): readonly DiscoveredEndpoint[] {
    return endpointsOf(
      records.map((record) => ({ ...record, endpoints: this.#targets.get(keyOf(record))?.endpoints ?? [] })),
    );
  }

  async #followRecords(): Promise<void> {
    const { lookups } = this.#options;
    const lookUp = async (stop: AbortSignal) => {
      const answer = await lookups.srv(this.#name, stop);
      const { records, ttl } = answer;
      return { answer, isEmpty: records.length === 0, ttlMs: ttl === undefined ? undefined : ttl * 1000 };
    };
    for await (const polled of poll(this.#name, lookUp, this.#options, this.#signal)) {
      this.#error = polled.kind === 'failed' ? polled.error : undefined;
      if (polled.kind === 'answer') this.#take(polled.answer.answer);
      if (polled.kind === 'gone') this.#replace([], GONE);
      this.#tell(this.#error);
    }
  }

  #take(answer: SrvAnswer): void {
    const why =
      answer.ttl === undefined ? 'the name has no SRV record' : 'the records say that there is no such service';
    this.#replace(answer.records, why);
    for (const record of answer.records) {
      if (!this.#targets.has(keyOf(record))) this.#targets.set(keyOf(record), this.#follow(record, answer));
    }
  }

  #replace(records: readonly SrvRecord[], why: string): void {
    this.#records = records;
    this.#why = why;
    const named = new Set(records.map(keyOf));
    for (const [key, { stop }] of this.#targets) {
      if (named.has(key)) continue;
      stop.abort();
      this.#targets.delete(key);
    }
  }

  #follow({ target: name, port }: SrvRecord, { additional }: SrvAnswer): Target {
    const target: Target = { stop: new AbortController(), endpoints: undefined, error: undefined };
    const lookups = withKnown(this.#options.lookups, name, additional);
    const source = dnsSource({ kind: 'name', name, port }, { ...this.#options, lookups });
    void (async () => {
      for await (const snapshot of source.watch(target.stop.signal)) {
        target.error = errorIn(snapshot);
        if (snapshot.kind === 'endpoints') target.endpoints = snapshot.endpoints;
        this.#tell(target.error);
      }
    })();
    return target;
  }

  #tell(failed: MeshproxyError | undefined): void {
    this.#news = true;
    this.#failed = failed ?? this.#failed;
    this.#wake();
  }
}

function errorIn(snapshot: DiscoverySnapshot): MeshproxyError | undefined {
  if (snapshot.kind === 'failed') return snapshot.error;
  return snapshot.kind === 'endpoints' ? snapshot.incomplete : undefined;
}

function keyOf({ target, port }: SrvRecord): string {
  return `${target}:${port}`;
}

/** The same lookups, but of what came with the records nobody has to be asked at first. */
function withKnown(lookups: SrvLookups, name: string, additional: SrvAnswer['additional']): SrvLookups {
  const known = additional.get(name);
  if (known === undefined) return lookups;
  return { ...lookups, a: atFirst(known.a, lookups.a), aaaa: atFirst(known.aaaa, lookups.aaaa) };
}

function atFirst(records: readonly AddressRecord[], ask: Lookups['a']): Lookups['a'] {
  let known = records;
  return async (name, signal) => {
    const first = known;
    known = [];
    return first.length > 0 ? first : ask(name, signal);
  };
}
