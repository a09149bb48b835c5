/** A real admin listener on a free port, over a proxy that never was. */
import { type AdminServer, startAdmin } from '../../src/admin/server.js';
import { type Address, parseAddress } from '../../src/core/address.js';
import { FakeProxy } from './telemetry.js';

export class FakeAdmin {
  readonly proxy: FakeProxy;
  readonly #server: AdminServer;

  static async start(address = '127.0.0.1:0'): Promise<FakeAdmin> {
    const proxy = new FakeProxy();
    const server = await startAdmin(parseAddress(address), {
      telemetry: proxy.telemetry,
      readiness: () => ({ kind: 'ready' }),
      config: () => ({}),
      drain: () => {},
    });
    return new FakeAdmin(proxy, server);
  }

  private constructor(proxy: FakeProxy, server: AdminServer) {
    this.proxy = proxy;
    this.#server = server;
  }

  get address(): Address {
    return this.#server.address;
  }

  close(): Promise<void> {
    return this.#server.close();
  }
}
