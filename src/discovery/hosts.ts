/** The machine's own table of names, which goes before DNS, as it does for every other program. */
import { open, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { MeshproxyError } from '../core/errors.js';
import { formatSize } from '../core/units.js';

/** Room for the longest block lists that people keep there, of some 200 000 lines. */
const MAX_BYTES = 16 * 1024 ** 2;

const HOSTS_PATH = process.platform === 'win32' ? 'C:\\Windows\\System32\\drivers\\etc\\hosts' : '/etc/hosts';

/** The addresses of `name` in the text of a hosts file (hosts(5)), each once. Lines that make no sense are passed over. */
export function addressesInHosts(text: string, name: string): readonly string[] {
  const wanted = name.toLowerCase().replace(/\.$/, '');
  const found = new Set<string>();
  for (const line of text.split('\n')) {
    // Most lines of a long list end here.
    if (!line.toLowerCase().includes(wanted)) continue;
    const [address = '', ...names] = (line.split('#', 1)[0] ?? '').trim().split(/\s+/);
    if (isIP(address) !== 0 && names.some((each) => each.toLowerCase() === wanted)) found.add(address);
  }
  return [...found];
}

/** A hosts file, searched again when it has changed. Of it is kept only what was asked for. */
export class HostsFile {
  readonly #path: string;
  #version = '';
  readonly #known = new Map<string, readonly string[]>();

  constructor(path = HOSTS_PATH) {
    this.#path = path;
  }

  /** None where the file is missing or may not be read. Rejects `file` where it is too large. */
  async addressesOf(name: string): Promise<readonly string[]> {
    const stats = await stat(this.#path).catch(() => undefined);
    if (!stats?.isFile()) return [];
    const version = [stats.ino, stats.size, stats.mtimeMs].join();
    if (version !== this.#version) this.#known.clear();
    this.#version = version;
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    if (stats.size > MAX_BYTES) throw tooLarge(this.#path, stats.size);
    const text = await readStart(this.#path, stats.size).catch(() => undefined);
    if (text === undefined) return [];
    const addresses = addressesInHosts(text, name);
    this.#known.set(name, addresses);
    return addresses;
  }
}

/** `size` bytes and no more, should it grow meanwhile. */
async function readStart(path: string, size: number): Promise<string> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

function tooLarge(path: string, size: number): MeshproxyError {
  const text = `${path} has ${formatSize(size)}; at most ${formatSize(MAX_BYTES)} are read`;
  return new MeshproxyError('file', text, { hint: 'leave long block lists to a name server' });
}
