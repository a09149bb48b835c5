/** The native engine on a kernel of the test's. */
import type { Engine } from '../../../src/l4/native/engine.js';
import type { Kernel } from '../../../src/l4/native/kernel.js';
import { LateKeepalive } from '../../../src/l4/native/late-keepalive.js';
import { Pipes } from '../../../src/l4/native/pipes.js';
import { Reactor } from '../../../src/l4/native/reactor.js';

export function engineOn(
  kernel: Kernel,
  onBug: (error: unknown) => void,
  maxPipes = 16,
): Engine & { reactor: Reactor } {
  const reactor = new Reactor(kernel, onBug);
  return { kernel, reactor, pipes: new Pipes(kernel, maxPipes), keepalive: new LateKeepalive(kernel, reactor) };
}
