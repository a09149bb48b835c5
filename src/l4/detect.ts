/** What a client says first, where that decides where its connection goes. It is looked at, and goes on untouched. */
import type { ListenerConfig } from '../config/schema.js';
import type { CancelSignal } from '../core/cancel.js';
import { MeshproxyError } from '../core/errors.js';
import type { LiveConnection } from './live.js';
import { CLIENT_HELLO_MAX_BYTES, parseClientHello } from './sniff/client-hello.js';
import { Stop, type Surroundings } from './surroundings.js';
import type { Connection } from './transport.js';

/** Waits for the name that the client asks for by TLS, and no longer than the listener says: it may speak something else, or speak second. */
export async function detectServerName(
  live: LiveConnection,
  { detectTimeout }: ListenerConfig,
  { clock }: Surroundings,
): Promise<void> {
  const controller = live.cancellable();
  const timer = clock.after(detectTimeout, () => controller.abort());
  try {
    live.serverName = await serverNameOf(live.downstream, controller.signal);
    live.identifyMs = clock.now() - live.startedAt;
  } catch (error) {
    if (!(error instanceof MeshproxyError)) throw error;
    if (live.cutBy !== undefined) throw new Stop(live.cutBy);
    if (error.code !== 'aborted') throw new Stop('client-reset', 'before it was known where its connection goes');
  } finally {
    timer.cancel();
  }
}

async function serverNameOf(client: Connection, signal: CancelSignal): Promise<string | undefined> {
  for (let atLeast = 1; ; ) {
    const bytes = await client.peek(atLeast, signal);
    const result = parseClientHello(bytes);
    if (result.kind === 'match') return result.value.serverName;
    if (result.kind === 'no-match' || bytes.length < atLeast || result.atLeast > CLIENT_HELLO_MAX_BYTES)
      return undefined;
    atLeast = result.atLeast;
  }
}
