/** The part of the page's script that draws percentiles: as a curve, whose tail is what people look at, and as figures. */
export const LATENCY_SCRIPT = `// ---- latency: the percentile curve, and its figures

const WIDTH = 560;
const HEIGHT = 230;
const PLOT = { left: 52, right: WIDTH - 8, top: 8, bottom: HEIGHT - 24 };
const TICKS = [0, 50, 90, 99, 99.9, 99.99];
const END = 4.3;

function axisTime(ms) {
  if (ms < 1e6) return ms < 1000 ? time(ms) : ms / 1000 + ' s';
  return ms < 3.6e6 ? Math.round(ms / 6e4) + ' min' : rounded(ms / 3.6e6) + ' h';
}

// Every further nine is as wide as the one before: log10 of one in how many.
function acrossPlot(percentile) {
  const nines = percentile >= 100 ? END : Math.min(END, -Math.log10(1 - percentile / 100));
  return PLOT.left + (nines / END) * (PLOT.right - PLOT.left);
}

function drawLatency(latency) {
  const steps = latency === undefined ? {} : latency.services[0]?.steps ?? {};
  const measured = Object.keys(STEPS).filter((step) => steps[step] !== undefined);
  if (measured.length === 0) return byId('latency').replaceChildren(empty('Nothing was measured yet.'));
  const all = measured.flatMap((step) => steps[step].curve.map((point) => Math.max(1, point.us)));
  const low = Math.floor(Math.log10(Math.min(...all)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...all))));
  const upPlot = (us) => PLOT.bottom - ((Math.log10(Math.max(1, us)) - low) / (high - low)) * (PLOT.bottom - PLOT.top);
  const marks = [];
  for (let power = low; power <= high; power += 1) {
    const y = upPlot(10 ** power);
    marks.push(svg('line', { class: 'grid', x1: PLOT.left, x2: PLOT.right, y1: y, y2: y }));
    marks.push(svg('text', { x: PLOT.left - 8, y: y + 4, 'text-anchor': 'end' }, axisTime(10 ** power / 1000)));
  }
  for (const tick of TICKS) {
    const x = acrossPlot(tick);
    marks.push(svg('line', { class: 'grid', x1: x, x2: x, y1: PLOT.top, y2: PLOT.bottom }));
    marks.push(svg('text', { x, y: HEIGHT - 7, 'text-anchor': 'middle' }, tick === 0 ? 'min' : 'p' + tick));
  }
  const curves = measured.map((step) => {
    const points = steps[step].curve.map(({ percentile, us }) => acrossPlot(percentile).toFixed(1) + ' ' + upPlot(us).toFixed(1));
    return svg('path', { class: step, d: 'M' + points.join('L') }, svg('title', {}, STEPS[step]));
  });
  byId('latency').replaceChildren(
    h('div', { class: 'chart' }, svg('svg', { viewBox: '0 0 ' + WIDTH + ' ' + HEIGHT, role: 'img', 'aria-label': 'time by percentile' }, ...marks, ...curves)),
    latencyTable(steps, measured),
  );
}

function latencyTable(steps, measured) {
  const figures = (summary) => Object.keys(PERCENTILES).map((key) =>
    cell('number', summary === undefined ? '–' : key === 'count' ? number(summary.count) : time(summary[key] / 1000)));
  const rows = measured.flatMap((step) => {
    const { sinceStart, recent } = steps[step];
    const dot = svg('svg', { class: 'dot', width: 14, height: 10 }, svg('line', { class: step, x1: 2, x2: 12, y1: 5, y2: 5 }));
    return [
      h('tr', { class: 'group' }, h('td', { colspan: 7 }, dot, STEPS[step])),
      h('tr', {}, cell('quiet short', 'last minutes'), ...figures(recent)),
      h('tr', {}, cell('quiet short', 'since start'), ...figures(sinceStart)),
    ];
  });
  return table([['step'], ...Object.values(PERCENTILES).map((name) => [name, 'number'])], rows);
}
`;
