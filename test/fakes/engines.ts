/** The engines that a proxy can run on here, for tests that hold for each of them. */
import { type ConfigInput, createProxy, type EmbeddedProxy } from '../../src/index.js';
import { nativeSupport } from '../../src/l4/native/support.js';

/** As it was built: a thread of its own cannot run what only exists as TypeScript. */
const BUILT = new URL('../../dist/', import.meta.url);

export const WORKER = new URL('workers/worker.js', BUILT);

type Create = (config: ConfigInput) => Promise<EmbeddedProxy>;

const built: { readonly createProxy: Create } = await import(new URL('index.js', BUILT).href);

/** Each gives what it is called with its engine, also where it is reloaded. */
export const ENGINES: readonly (readonly [string, Create])[] = [
  ['streams', on(createProxy, { engine: 'streams' })],
  ...(nativeSupport().ok ? [['native', on(built.createProxy, { engine: 'native', workers: 2 })] as const] : []),
];

function on(create: Create, fixed: Pick<ConfigInput, 'engine' | 'workers'>): Create {
  return async (config) => {
    const proxy = await create({ ...config, ...fixed });
    const reload = (next: ConfigInput): Promise<void> => proxy.reload({ ...next, ...fixed });
    return Object.create(proxy, { reload: { value: reload } });
  };
}
