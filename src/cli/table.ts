/** Aligned tables for a terminal, or for a pipe: as wide as their reader, and safe to print whatever is in them. */

import { errnoOf } from '../core/errors.js';

/** Where a table goes. */
export interface Output {
  /** Columns of the terminal; `undefined` where it is none, and lines may be as long as they like. */
  readonly width: number | undefined;
  readonly colour: boolean;
  write(text: string): void;
}

export interface Column {
  readonly name: string;
  readonly align?: 'left' | 'right';
  /** May be cut short where the terminal is too narrow. Names and addresses may; figures may not. */
  readonly shrinks?: boolean;
}

export type Style = 'dim' | 'red' | 'green' | 'yellow' | 'bold';
export type Cell = string | { readonly text: string; readonly style: Style };

/** Between two columns. */
const GAP = '  ';
/** What a column that shrinks keeps at least: enough to tell two addresses apart by their beginnings. */
const LEAST = 8;

/** Select Graphic Rendition, ECMA-48 section 8.3.117. */
const SGR: Readonly<Record<Style, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 };

/** Standard output, as it is: colours on a terminal only, and none where NO_COLOR is set (no-color.org). */
export function standardOutput(): Output {
  process.stdout.off('error', onWriteError).on('error', onWriteError);
  const terminal = process.stdout.isTTY === true;
  return {
    width: terminal ? process.stdout.columns : undefined,
    colour: terminal && !process.env['NO_COLOR'],
    write: (text) => void process.stdout.write(text),
  };
}

/** Whoever reads has had enough, as `head` does: not an error. */
function onWriteError(error: Error): void {
  if (errnoOf(error) !== 'EPIPE') throw error;
  process.exit(0);
}

/** The lines of a table with its heads, each ending in a line break. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly Cell[])[], output: Output): string {
  const lines = [columns.map(({ name }): Cell => ({ text: name, style: 'dim' })), ...rows].map((row) =>
    row.map(printable),
  );
  const widths = shrinkTo(output.width, columns, naturalWidths(columns, lines));
  return lines.map((line) => `${formatLine(columns, line, widths, output.colour)}\n`).join('');
}

export function paint(text: string, style: Style, colour: boolean): string {
  return colour ? `\u001b[${SGR[style]}m${text}\u001b[0m` : text;
}

interface Printable {
  /** Code points; each is taken to be one column wide. */
  readonly points: readonly string[];
  readonly style: Style | undefined;
}

/** Control characters could move the cursor or set the title of the reader's terminal; they came from who knows where. */
function printable(cell: Cell): Printable {
  const { text, style } = typeof cell === 'string' ? { text: cell, style: undefined } : cell;
  return { points: [...text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\ufffd')], style };
}

function naturalWidths(columns: readonly Column[], lines: readonly (readonly Printable[])[]): number[] {
  return columns.map((_, index) => Math.max(...lines.map((line) => line[index]?.points.length ?? 0)));
}

/** Takes from the widest column that shrinks, one by one, until all fit or none can give more. */
function shrinkTo(
  width: number | undefined,
  columns: readonly Column[],
  natural: readonly number[],
): readonly number[] {
  const widths = [...natural];
  let excess = width === undefined ? 0 : sum(widths) + GAP.length * (columns.length - 1) - width;
  while (excess > 0) {
    const widest = columns.reduce((found, { shrinks }, index) => {
      const size = widths[index] ?? 0;
      return shrinks === true && size > LEAST && size > (widths[found] ?? 0) ? index : found;
    }, -1);
    if (widest === -1) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess -= 1;
  }
  return widths;
}

function formatLine(
  columns: readonly Column[],
  line: readonly Printable[],
  widths: readonly number[],
  colour: boolean,
): string {
  const cells = columns.map(({ align }, index) => {
    const { points, style } = line[index] ?? { points: [], style: undefined };
    const width = widths[index] ?? 0;
    const cut = points.length > width ? [...points.slice(0, Math.max(width - 1, 0)), '…'] : points;
    const text = style === undefined ? cut.join('') : paint(cut.join(''), style, colour);
    const space = ' '.repeat(width - cut.length);
    return align === 'right' ? space + text : text + space;
  });
  return cells.join(GAP).trimEnd();
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
