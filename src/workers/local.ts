/** The data plane in this thread, on Node's streams: where the native engine cannot run, and for tests with a clock of their own. */
import type { Endpoint } from '../balancer/picker.js';
import type { Clock } from '../core/clock.js';
import type { DataPlaneLimits, ListenerState } from '../l4/data-plane.js';
import type { LiveConnections } from '../l4/live.js';
import { countAllowed } from '../l4/resources.js';
import { streamsTransport } from '../l4/streams/transport.js';
import { Tally } from '../l4/tally.js';
import type { Identity } from '../pki/identity-files.js';
import type { ConnectionList, ConnectionsQuery } from '../telemetry/connection-list.js';
import type { Recorder, ThreadReport } from '../telemetry/recorder.js';
import type { Names } from '../telemetry/wanted.js';
import { DataThread } from './data-thread.js';
import { PlacedServices } from './placed-services.js';
import type { PlacedOnMain, Plane, PlaneSetup, PreparedPlane } from './plane.js';

export interface LocalPlaneOptions {
  readonly clock: Clock;
  readonly limits: DataPlaneLimits;
  readonly live: LiveConnections;
  readonly recorder: Recorder;
  /** Told when accepting stops for want of descriptors, and when it goes on. */
  onPause(paused: boolean, connections: number): void;
  onBug(error: unknown): void;
}

export class LocalPlane implements Plane {
  readonly deaths = 0;
  readonly #tally = new Tally();
  readonly #recorder: Recorder;
  readonly #thread: DataThread;
  readonly #services: PlacedServices;
  #allowed = Number.POSITIVE_INFINITY;

  constructor({ onPause, ...options }: LocalPlaneOptions) {
    this.#recorder = options.recorder;
    this.#services = new PlacedServices(1, options.clock);
    this.#thread = new DataThread({
      ...options,
      observer: options.recorder,
      transport: streamsTransport,
      tally: this.#tally,
      allowed: () => this.#allowed,
      onPause: (paused) => onPause(paused, this.#tally.total),
    });
  }

  get open(): number {
    return this.#tally.total;
  }

  listeners(): readonly ListenerState[] {
    return this.#thread.listeners();
  }

  async prepare(setup: PlaneSetup): Promise<PreparedPlane> {
    const services = this.#services.prepare(setup.services, setup.zone);
    const { commit, discard } = await this.#thread.prepare({ ...setup, services: services.all });
    return {
      commit: async () => {
        this.#recorder.accessLog = setup.accessLog;
        services.commit();
        await commit();
        this.#allowed = countAllowed(this.open);
      },
      discard,
    };
  }

  update(service: string, endpoints: readonly Endpoint[]): void {
    const placed = this.#services.update(service, endpoints);
    if (placed) this.#thread.update(service, placed);
  }

  placed(service: string): PlacedOnMain | undefined {
    return this.#services.of(service);
  }

  identify(identity: Identity): void {
    this.#thread.identify(identity);
  }

  async report(wanted: Names): Promise<readonly ThreadReport[]> {
    return [this.#recorder.report(wanted)];
  }

  async list(query: ConnectionsQuery): Promise<readonly ConnectionList[]> {
    return [this.#recorder.list(query)];
  }

  drain(timeoutMs: number): Promise<number> {
    return this.#thread.drain(timeoutMs);
  }

  cutAll(): void {
    this.#thread.cutAll();
  }

  close(): Promise<void> {
    return this.#thread.stopAccepting();
  }
}
