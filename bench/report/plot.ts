/** Percentile curves as SVG: one panel for each workload that measures latency, one curve for each peer. */
import type { CurvePoint } from '../measure/latency.js';
import { formatLatency, linear, logarithmic, logTicks, niceBound, ninesOf, percentileTicks } from './scales.js';

export interface Curve {
  readonly peer: string;
  readonly points: readonly CurvePoint[];
}

export interface Panel {
  readonly title: string;
  readonly curves: readonly Curve[];
}

/** Colours that are told apart by the colour-blind too (Okabe and Ito, "Color Universal Design"). */
const STYLES: Readonly<Record<string, string>> = {
  direct: 'stroke="#888888" stroke-width="1.5" stroke-dasharray="2 3"',
  floor: 'stroke="#000000" stroke-width="1.5" stroke-dasharray="6 3"',
  haproxy: 'stroke="#0072b2" stroke-width="2"',
  nginx: 'stroke="#009e73" stroke-width="2"',
  pipe: 'stroke="#e69f00" stroke-width="2"',
  meshproxy: 'stroke="#d55e00" stroke-width="3"',
  ideal: 'stroke="#000000" stroke-width="1.5" stroke-dasharray="6 3"',
  ewma: 'stroke="#d55e00" stroke-width="3"',
  'least-connections': 'stroke="#0072b2" stroke-width="2"',
  'round-robin': 'stroke="#009e73" stroke-width="2"',
  random: 'stroke="#e69f00" stroke-width="2"',
  'ring-hash': 'stroke="#56b4e9" stroke-width="2"',
  maglev: 'stroke="#cc79a7" stroke-width="2"',
  'maglev-150': 'stroke="#cc79a7" stroke-width="2" stroke-dasharray="6 3"',
};
const OTHER_STYLE = 'stroke="#cc79a7" stroke-width="2"';
const GRID = 'stroke="#dddddd"';
const AXIS = 'stroke="#333333"';
const FONT = 'DejaVu Sans, Verdana, Arial, sans-serif';

const COLUMNS = 2;
const PANEL = { width: 620, height: 400 };
/** Between a panel's edge and its axes: room for labels. */
const MARGIN = { left: 84, right: 36, top: 44, bottom: 62 };
const HEADER_HEIGHT = 92;
/** Labels nearer than this would run into each other. */
const LABEL_DISTANCE = 36;

function escaped(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');
}

function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped(content)}</text>`;
}

function rule(x1: number, y1: number, x2: number, y2: number, style: string): string {
  return `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" ${style}/>`;
}

function styleOf(peer: string): string {
  return STYLES[peer] ?? OTHER_STYLE;
}

function extent(curves: readonly Curve[]): { least: number; most: number; nines: number } {
  const points = curves.flatMap((curve) => curve.points);
  const values = points.map((point) => point.ms);
  return {
    least: niceBound(Math.min(...values), 'down'),
    most: niceBound(Math.max(...values), 'up'),
    nines: Math.max(1, ...points.map((point) => ninesOf(point.quantile))),
  };
}

/** Where a panel draws: the corners of its axes, and the scales between them. */
interface Frame {
  readonly x0: number;
  readonly x1: number;
  readonly y0: number;
  readonly y1: number;
  readonly nines: number;
  readonly least: number;
  readonly most: number;
  x(nines: number): number;
  y(ms: number): number;
}

function frameOf(curves: readonly Curve[], left: number, top: number): Frame {
  const range = extent(curves);
  const [x0, x1] = [left + MARGIN.left, left + PANEL.width - MARGIN.right];
  const [y0, y1] = [top + PANEL.height - MARGIN.bottom, top + MARGIN.top];
  const [x, y] = [linear(0, range.nines, x0, x1), logarithmic(range.least, range.most, y0, y1)];
  return { ...range, x0, x1, y0, y1, x, y };
}

function drawAxes({ x0, x1, y0, y1, nines, least, most, x, y }: Frame): string[] {
  const parts: string[] = [];
  let labelled = Number.NEGATIVE_INFINITY;
  for (const tick of percentileTicks(nines)) {
    const at = x(tick.nines);
    parts.push(rule(at, y0, at, y1, GRID));
    if (at - labelled < LABEL_DISTANCE) continue;
    parts.push(text(at, y0 + 18, tick.label, 'text-anchor="middle"'));
    labelled = at;
  }
  for (const tick of logTicks(least, most)) {
    parts.push(rule(x0, y(tick), x1, y(tick), GRID));
    parts.push(text(x0 - 8, y(tick) + 4, formatLatency(tick), 'text-anchor="end"'));
  }
  const [labelX, labelY] = [x0 - 60, (y0 + y1) / 2];
  const turned = `text-anchor="middle" transform="rotate(-90 ${labelX} ${labelY})"`;
  return [
    ...parts,
    rule(x0, y0, x1, y0, AXIS),
    rule(x0, y0, x0, y1, AXIS),
    text((x0 + x1) / 2, y0 + 42, 'percentile', 'text-anchor="middle"'),
    text(labelX, labelY, 'latency', turned),
  ];
}

function drawCurve({ peer, points }: Curve, { x, y }: Frame): string {
  const path = points.map(({ quantile, ms }) => `${x(ninesOf(quantile)).toFixed(1)},${y(ms).toFixed(1)}`).join(' ');
  return `<polyline points="${path}" fill="none" stroke-linejoin="round" ${styleOf(peer)}/>`;
}

function drawPanel(panel: Panel, left: number, top: number): string {
  const curves = panel.curves.filter((curve) => curve.points.length > 0);
  const title = text(left + MARGIN.left, top + 24, panel.title, 'font-size="15" font-weight="bold"');
  if (curves.length === 0) return title;
  const frame = frameOf(curves, left, top);
  return [title, ...drawAxes(frame), ...curves.map((curve) => drawCurve(curve, frame))].join('\n');
}

function drawLegend(peers: readonly string[], y: number): string {
  const entryWidth = 160;
  return peers
    .map((peer, index) => {
      const x = MARGIN.left + index * entryWidth;
      return rule(x, y - 4, x + 32, y - 4, styleOf(peer)) + text(x + 40, y, peer);
    })
    .join('\n');
}

/** The whole picture. `subtitle` says what was measured on and when. */
export function drawPercentiles(panels: readonly Panel[], subtitle: string): string {
  const columns = Math.min(COLUMNS, Math.max(1, panels.length));
  // Never narrower than the legend.
  const width = Math.max(columns * PANEL.width, 900);
  const height = HEADER_HEIGHT + Math.ceil(panels.length / columns) * PANEL.height;
  const peers = [...new Set(panels.flatMap((panel) => panel.curves.map((curve) => curve.peer)))];
  const drawn = panels.map((panel, index) =>
    drawPanel(panel, (index % columns) * PANEL.width, HEADER_HEIGHT + Math.floor(index / columns) * PANEL.height),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${FONT}" font-size="12" fill="#222222">
<title>Latency by percentile</title>
<rect width="${width}" height="${height}" fill="#ffffff"/>
${text(MARGIN.left, 28, 'Latency by percentile', 'font-size="19" font-weight="bold"')}
${text(MARGIN.left, 50, subtitle, 'fill="#666666"')}
${drawLegend(peers, 78)}
${drawn.join('\n')}
</svg>
`;
}
