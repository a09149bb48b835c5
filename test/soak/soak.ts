/** What the soak test looks at from outside: what the program has open, and how its memory develops. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import net from 'node:net';

/** Descriptors of a process by what they are. Linux. */
export function descriptorsOf(pid: number): { sockets: number; pipes: number; others: number } {
  const counts = { sockets: 0, pipes: 0, others: 0 };
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const target = linkOf(`/proc/${pid}/fd/${fd}`);
    if (target.startsWith('socket:')) counts.sockets += 1;
    else if (target.startsWith('pipe:')) counts.pipes += 1;
    else counts.others += 1;
  }
  return counts;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    // Closed in between.
    return '';
  }
}

/** From now on the process may have so many descriptors; those that it has stay. */
export function limitDescriptors(pid: number, most: number): void {
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${most}:`]);
}

export interface Sample {
  /** Seconds. */
  readonly at: number;
  readonly bytes: number;
}

/** By how much the second half of `samples` has grown, by a straight line through them (least squares). */
export function growthOf(samples: readonly Sample[]): number {
  const half = samples.slice(Math.floor(samples.length / 2));
  const first = half[0];
  const last = half.at(-1);
  if (first === undefined || last === undefined || half.length < 2) return 0;
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [at, bytes] = [mean(half.map((one) => one.at)), mean(half.map((one) => one.bytes))];
  const slope =
    half.reduce((sum, one) => sum + (one.at - at) * (one.bytes - bytes), 0) /
    half.reduce((sum, one) => sum + (one.at - at) ** 2, 0);
  return slope * (last.at - first.at);
}

/** So many clients at once that the program's descriptors do not suffice; they say something, stay a little, and go, half of them by a reset. */
export async function crowd(port: number, count: number): Promise<void> {
  const sockets = Array.from({ length: count }, () => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.on('error', () => {});
    socket.resume();
    // Less than the server behind waits for.
    socket.write('x');
    return socket;
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  for (const [index, socket] of sockets.entries()) {
    if (index % 2 === 0) socket.resetAndDestroy();
    else socket.destroy();
  }
}
