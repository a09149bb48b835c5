/** The result as Markdown, for a person and for a commit message. */
import type { Verdict } from '../targets.js';
import type { Metric } from '../workloads/workload.js';
import { type Figure, REFERENCES, type Row, type Section } from './summary.js';

/** Three significant digits, thousands apart: 1 234, 56.7, 0.123. */
export function formatNumber(value: number): string {
  if (value === 0) return '0';
  const rounded = Number(value.toPrecision(3));
  const [whole, fraction] = (Math.abs(rounded) >= 100 ? String(Math.round(rounded)) : String(rounded)).split('.');
  const grouped = (whole ?? '').replace(/\B(?=(\d{3})+$)/g, ' ');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

function formatFigure(figure: Figure | undefined): string {
  if (figure === undefined) return '–';
  const spread = figure.spread === undefined ? '' : ` ±${Math.round(figure.spread * 100)} %`;
  return `${formatNumber(figure.median)}${spread}`;
}

function formatRatio(ratio: number | undefined): string {
  return ratio === undefined ? '–' : ratio.toFixed(2);
}

/** A Markdown table, its columns aligned so that it can be read as it is: names to the left, figures to the right. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${widths.map((width, column) => (column === 0 ? (row[column] ?? '').padEnd(width) : (row[column] ?? '').padStart(width))).join(' | ')} |`;
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  const [head, ...body] = rows;
  return head === undefined ? '' : [line(head), line(rule), ...body.map(line)].join('\n');
}

function notesOf(row: Row): string[] {
  const notes: string[] = [];
  if (row.errors > 0) notes.push(`${row.peer}: ${formatNumber(row.errors)} went wrong.`);
  for (const reason of new Set(row.failures)) notes.push(`${row.peer}: not measured: ${reason}`);
  return notes;
}

/** A workload: its heading, its table, and what went wrong. Compared is with those references that took part. */
export function sectionMarkdown(section: Section): string {
  const present = REFERENCES.filter((reference) => section.rows.some(({ peer }) => peer === reference));
  const referencesOf = (metric: Metric) => (metric.compared ? present : []);
  const head = section.metrics.flatMap((m) => [m.heading, ...referencesOf(m).map((reference) => `÷ ${reference}`)]);
  const body = section.rows.map(({ peer, figures }) => [
    peer,
    ...section.metrics.flatMap((metric) => {
      const figure = figures[metric.key];
      return [formatFigure(figure), ...referencesOf(metric).map((reference) => formatRatio(figure?.ratios[reference]))];
    }),
  ]);
  const notes = section.rows.flatMap(notesOf).map((note) => `\n\n${note}`);
  return `### ${section.workload}: ${section.title}\n\n${markdownTable([['', ...head], ...body])}${notes.join('')}`;
}

/** The targets and what became of each; nothing where none concerns what was run. */
export function targetsMarkdown(verdicts: readonly Verdict[]): string[] {
  if (verdicts.length === 0) return [];
  const lines = verdicts.map(({ target, value, outcome }) => {
    const shown = value !== undefined && value >= 100 ? formatNumber(value) : value?.toFixed(2);
    return `- **${outcome}**${shown === undefined ? '' : `: ${shown}`} (${target.title})`;
  });
  return [`### Targets\n\n${lines.join('\n')}`];
}
