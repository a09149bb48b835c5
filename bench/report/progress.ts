/** How far a run is, on standard error: one line that is redrawn on a terminal, one line for each cell otherwise. */
import type { CellResult, PlannedCell } from '../run.js';
import { formatNumber } from './table.js';

const BAR_WIDTH = 24;
/** Erases the line and goes back to its start (ECMA-48 EL). */
const ERASE_LINE = '\r\u001b[2K';

/** `[######------------------] 12/48, about 3 min left: rr32 through haproxy`. */
export function progressLine(done: number, total: number, elapsedMs: number, doing: string): string {
  const filled = total === 0 ? BAR_WIDTH : Math.floor((done / total) * BAR_WIDTH);
  const bar = '#'.repeat(filled) + '-'.repeat(BAR_WIDTH - filled);
  const left = done === 0 ? '' : `, about ${formatDuration((elapsedMs / done) * (total - done))} left`;
  return `[${bar}] ${done}/${total}${left}: ${doing}`;
}

/** `90 s` or `12 min`. */
export function formatDuration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

/** What a cell came to, in one line. */
function describeResult({ cell, outcome }: CellResult): string {
  const name = `${cell.workload.name} ${cell.peer.name}`;
  if (outcome.kind === 'failed') return `${name}: not measured: ${outcome.reason}`;
  const figures = cell.workload.metrics.flatMap(({ key, heading }) => {
    const value = outcome.sample.values[key];
    return value === undefined ? [] : [`${formatNumber(value)} ${heading}`];
  });
  return `${name}: ${figures.join(', ')}`;
}

export interface Progress {
  before(cell: PlannedCell, index: number): void;
  after(result: CellResult, index: number): void;
  /** Takes the bar off the screen. */
  end(): void;
}

export function progressOn(stream: NodeJS.WriteStream, total: number): Progress {
  const startMs = performance.now();
  if (!stream.isTTY) {
    return {
      before: () => {},
      after: (result, index) => stream.write(`[${index + 1}/${total}] ${describeResult(result)}\n`),
      end: () => {},
    };
  }
  return {
    before({ workload, peer }, index) {
      const line = progressLine(index, total, performance.now() - startMs, `${workload.name} through ${peer.name}`);
      // A line that wraps could not be erased again. Some terminals do not say how wide they are.
      stream.write(ERASE_LINE + line.slice(0, (stream.columns || 80) - 1));
    },
    after(result) {
      if (result.outcome.kind === 'failed') stream.write(`${ERASE_LINE}${describeResult(result)}\n`);
    },
    end: () => stream.write(ERASE_LINE),
  };
}
