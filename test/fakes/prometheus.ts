/** Reads the text exposition format (version 0.0.4) strictly: what it does not understand is an error. */

export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Exposition {
  readonly help: ReadonlyMap<string, string>;
  readonly type: ReadonlyMap<string, string>;
  readonly series: readonly Series[];
}

export function parseExposition(text: string): Exposition {
  const help = new Map<string, string>();
  const type = new Map<string, string>();
  const series: Series[] = [];
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const comment = /^# (HELP|TYPE) (\w+) (.+)$/.exec(line);
    if (comment) {
      const [, kind, name = '', rest = ''] = comment;
      const map = kind === 'HELP' ? help : type;
      if (map.has(name)) throw new Error(`twice: ${line}`);
      map.set(name, rest);
      continue;
    }
    series.push(parseSeries(line));
  }
  return { help, type, series };
}

function parseSeries(line: string): Series {
  const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (!match) throw new Error(`not a series: ${line}`);
  const [, name = '', body = '', value = ''] = match;
  const labels: Record<string, string> = {};
  const label = /(\w+)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/gy;
  while (label.lastIndex < body.length) {
    const found = label.exec(body);
    if (found === null) throw new Error(`not labels: ${line}`);
    labels[found[1] ?? ''] = (found[2] ?? '').replace(/\\(.)/g, (_, char) => (char === 'n' ? '\n' : char));
  }
  const number = value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value);
  if (Number.isNaN(number)) throw new Error(`not a number: ${line}`);
  return { name, labels, value: number };
}
