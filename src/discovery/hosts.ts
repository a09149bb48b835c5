/** The machine's own table of names, which goes before DNS, as it does in every other program. */
import { readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';

/** Far past any table that people keep; a larger one is not read. */
const MAX_BYTES = 4 * 1024 * 1024;

/** Names to addresses out of the text of a hosts file (hosts(5)). Lines that make no sense are passed over. */
export function parseHosts(text: string): ReadonlyMap<string, readonly string[]> {
  const table = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...names] = (line.split('#', 1)[0] ?? '').trim().split(/\s+/);
    if (isIP(address) === 0) continue;
    for (const name of names) {
      const key = name.toLowerCase();
      const addresses = table.get(key) ?? [];
      if (!addresses.includes(address)) addresses.push(address);
      table.set(key, addresses);
    }
  }
  return table;
}

/** A hosts file that is read again when it has changed. One that cannot be read has no names. */
export class HostsFile {
  readonly #path: string;
  #readAtMtime: number | undefined;
  #table: ReadonlyMap<string, readonly string[]> = new Map();

  constructor(path = process.platform === 'win32' ? 'C:\\Windows\\System32\\drivers\\etc\\hosts' : '/etc/hosts') {
    this.#path = path;
  }

  async addressesOf(name: string): Promise<readonly string[]> {
    try {
      const { mtimeMs, size } = await stat(this.#path);
      if (mtimeMs !== this.#readAtMtime && size <= MAX_BYTES) {
        this.#table = parseHosts(await readFile(this.#path, 'utf8'));
        this.#readAtMtime = mtimeMs;
      }
    } catch {
      this.#table = new Map();
      this.#readAtMtime = undefined;
    }
    return this.#table.get(name.replace(/\.$/, '')) ?? [];
  }
}
