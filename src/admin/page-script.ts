/**
 * What the page does, in the browser: every two seconds, while it is seen, it asks for the same JSON that commands
 * read, and draws it. All text goes through `textContent`: names and addresses are a stranger's until proven otherwise.
 */
import { LATENCY_SCRIPT } from './page-latency-script.js';

export const SCRIPT = String.raw`'use strict';
const REFRESH_MS = 2000;
const TIMEOUT_MS = 5000;
const CONNECTIONS_SHOWN = 100;
const HISTORY = 90;
const STEPS = { connect: 'connect', firstByte: 'first byte', duration: 'whole connection' };
const PERCENTILES = { count: 'count', p50: 'p50', p90: 'p90', p99: 'p99', p999: 'p99.9', max: 'max' };

const byId = (id) => document.getElementById(id);

// ---- elements: attributes are ours, children are text unless they are nodes

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) node.setAttribute(name, String(value));
  }
  node.append(...children.filter((child) => child !== undefined));
  return node;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);

function table(columns, rows) {
  const head = columns.map(([name, kind]) => h('th', { class: kind, scope: 'col' }, name));
  return h('div', { class: 'scroll' }, h('table', {}, h('thead', {}, h('tr', {}, ...head)), h('tbody', {}, ...rows)));
}
const cell = (kind, ...children) => h('td', { class: kind }, ...children);
const empty = (words) => h('div', { class: 'empty' }, words);
const pill = (kind, words) => h('span', { class: 'pill ' + kind }, words);

// ---- numbers in words

function rounded(value) {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}
function size(bytes) {
  let value = bytes;
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (value < 1024) return [rounded(value), unit];
    value /= 1024;
  }
  return [rounded(value), 'TiB'];
}
const bytes = (count) => size(count).join(' ');
const number = (count) => count.toLocaleString('en');
function time(ms) {
  if (ms < 1) return Math.round(ms * 1000) + ' µs';
  if (ms < 1000) return rounded(ms) + ' ms';
  if (ms < 60000) return rounded(ms / 1000) + ' s';
  const minutes = Math.floor(ms / 60000);
  if (minutes < 60) return minutes + ' min ' + Math.floor((ms % 60000) / 1000) + ' s';
  if (minutes < 1440) return Math.floor(minutes / 60) + ' h ' + (minutes % 60) + ' min';
  return Math.floor(minutes / 1440) + ' d ' + (Math.floor(minutes / 60) % 24) + ' h';
}
const maybeTime = (ms) => (ms === undefined ? '–' : time(ms));
const ago = (iso) => time(Math.max(0, Date.now() - Date.parse(iso))) + ' ago';

// ---- the head: state, and what it costs

// As in "native, 2 workers with 10 + 12 open": that no worker has more than its share can be seen at once.
function engineText({ engine, workers }) {
  if (engine.name !== 'native') return engine.why === undefined ? engine.name : engine.name + ', as native cannot run: ' + engine.why;
  const open = workers.map(({ active, answered }) => active + (answered ? '' : ' (no answer)')).join(' + ');
  const died = engine.deaths === 0 ? '' : ', ' + number(engine.deaths) + ' died and replaced';
  return 'native, ' + engine.workers + (engine.workers === 1 ? ' worker with ' : ' workers with ') + open + ' open' + died;
}

function drawHead(status) {
  const kinds = { ready: 'good', draining: 'warn', starting: 'warn' };
  byId('state').replaceChildren(pill(kinds[status.state], status.state));
  byId('state').title = status.reason ?? '';
  const fact = (name, value) => h('span', {}, name + ' ', h('b', {}, value));
  byId('facts').replaceChildren(
    fact('version', status.version),
    fact('up', time(Date.now() - Date.parse(status.startedAt))),
    fact('engine', engineText(status)),
    fact('configuration', 'v' + status.config.version + ', ' + ago(status.config.appliedAt)),
    fact('memory', bytes(status.memoryBytes)),
    fact('CPU', history.cpu.length === 0 ? '–' : rounded(history.cpu.at(-1)) + ' %'),
  );
  const refused = status.config.refused;
  const telling = status.reason === undefined ? [] : [status.state + ': ' + status.reason];
  if (refused !== undefined) telling.push('The last reload was refused ' + ago(refused.at) + '; the configuration before it stays in force.\n' + refused.error);
  byId('banner').hidden = telling.length === 0;
  byId('banner').textContent = telling.join('\n');
}

// ---- tiles: what is going on, and how it went in the last minutes

const history = { active: [], opened: [], received: [], sent: [], cpu: [] };
let before;

function remember(status) {
  const sum = (key) => status.listeners.reduce((total, listener) => total + listener[key], 0);
  const now = {
    at: performance.now(), pid: status.pid, opened: sum('opened'), received: sum('bytesReceived'), sent: sum('bytesSent'), cpu: status.cpuSeconds,
  };
  const add = (key, value) => {
    history[key].push(value);
    if (history[key].length > HISTORY) history[key].shift();
  };
  add('active', sum('active'));
  if (before !== undefined && before.pid === now.pid) {
    const seconds = (now.at - before.at) / 1000;
    for (const key of ['opened', 'received', 'sent']) add(key, Math.max(0, now[key] - before[key]) / seconds);
    add('cpu', ((now.cpu - before.cpu) / seconds) * 100);
  }
  before = now;
}

function drawTile(id, key, show) {
  const values = history[key];
  const last = values.at(-1);
  const [value, unit] = last === undefined ? ['–', ''] : show(last);
  byId(id).querySelector('.value').replaceChildren(value, h('small', {}, unit));
  const most = Math.max(1, ...values);
  const points = values.map((one, index) => [
    ((HISTORY - values.length + index) / (HISTORY - 1)) * 100, 29 - (one / most) * 27,
  ]);
  const line = points.map(([x, y]) => x.toFixed(2) + ',' + y.toFixed(2)).join(' ');
  const start = points.length === 0 ? 100 : points[0][0];
  byId(id).querySelector('svg').replaceChildren(
    svg('polygon', { class: 'spark-area', points: start + ',30 ' + line + ' 100,30' }),
    svg('polyline', { class: 'spark', points: line }),
  );
}

function drawTiles() {
  const perSecond = (rate) => { const [value, unit] = size(rate); return [value, unit + '/s']; };
  drawTile('tile-active', 'active', (count) => [number(count), 'open']);
  drawTile('tile-opened', 'opened', (rate) => [rounded(rate), 'per second']);
  drawTile('tile-received', 'received', perSecond);
  drawTile('tile-sent', 'sent', perSecond);
}

// ---- listeners

function drawListeners({ listeners }) {
  if (listeners.length === 0) return byId('listeners').replaceChildren(empty('None is configured.'));
  const rows = listeners.map((one) =>
    h('tr', {},
      cell('', one.name, one.paused ? h('small', { class: 'bad' }, 'paused: no descriptor left') : undefined),
      cell('address', one.address),
      cell('', '→ ' + one.service),
      cell('number', number(one.active)),
      cell('number', number(one.opened)),
      cell('number' + (one.refused > 0 ? ' bad-text' : ''), number(one.refused)),
      cell('number', bytes(one.bytesReceived)),
      cell('number', bytes(one.bytesSent)),
    ));
  byId('listeners').replaceChildren(table(
    [['name'], ['address'], ['service'], ['open', 'number'], ['accepted', 'number'], ['refused', 'number'], ['up', 'number'], ['down', 'number']],
    rows,
  ));
}

// ---- services and their endpoints

function share(part, whole) {
  return svg('svg', { class: 'bar', width: 56, height: 6, role: 'img', 'aria-label': part + ' of ' + whole },
    svg('rect', { width: 56, height: 6, rx: 3 }),
    svg('rect', { width: whole === 0 ? 0 : (56 * part) / whole, height: 6, rx: 3 }));
}

function drawServices({ services }) {
  if (services.length === 0) return byId('services').replaceChildren(empty('None is configured.'));
  const rows = services.flatMap(({ name, endpoints, upstreams, panic, breaker }) => {
    const most = Math.max(0, ...endpoints.map((one) => one.active));
    const size = endpoints.length === 1 ? '1 endpoint' : number(endpoints.length) + ' endpoints';
    const words = panic ? size + ', too few of which can take connections: all get some' : size;
    const failing = upstreams.filter((one) => (one.error ?? one.empty) !== undefined).map((one) =>
      h('tr', {}, h('td', { colspan: 4 }, one.upstream, h('small', { class: 'bad' }, one.error ?? 'no endpoints: ' + one.empty))));
    return [
      h('tr', { class: 'group' }, h('td', { colspan: 4 }, name, h('span', {}, words), places(breaker))),
      ...failing,
      ...endpoints.map((one) => endpointRow(one, most)),
    ];
  });
  byId('services').replaceChildren(
    table([['endpoint'], ['open', 'number'], ['connected', 'number'], ['failed', 'number']], rows));
}

function places(breaker) {
  if (breaker === undefined) return undefined;
  const { connections, waiting, retrying, maxConnections, maxWaiting, maxRetrying, open } = breaker;
  const of = (count, most, what) => number(count) + (most === undefined ? ' ' : ' of ' + number(most) + ' ') + what;
  const words = [
    maxConnections === undefined ? undefined : of(connections, maxConnections, 'places taken'),
    waiting === 0 ? undefined : of(waiting, maxWaiting, 'waiting'),
    retrying === 0 ? undefined : of(retrying, maxRetrying, 'being tried again'),
    open ? 'any more are refused' : undefined,
  ].filter((word) => word !== undefined);
  return words.length === 0 ? undefined : h('small', open ? { class: 'bad' } : {}, words.join(' · '));
}

function traits({ weight, zone, priority, metadata }) {
  const words = [
    weight === 0 ? 'weight 0: no new connections' : weight === undefined ? undefined : 'weight ' + weight,
    zone === undefined ? undefined : 'zone ' + zone,
    priority === undefined ? undefined : 'priority ' + priority,
    ...Object.entries(metadata ?? {}).map(([key, value]) => key + '=' + value),
  ].filter((word) => word !== undefined);
  return words.length === 0 ? undefined : h('small', {}, words.join(' · '));
}

function standing({ standing, lastCheck }) {
  if (standing === undefined) return lastCheck === undefined ? undefined : h('small', {}, lastCheck.words + ' ' + ago(lastCheck.at));
  const left = standing.leftMs === undefined ? '' : ' for another ' + time(standing.leftMs);
  return h('small', { class: 'bad' }, standing.kind + left + ': ' + standing.why);
}

function endpointRow(one, most) {
  const addresses = one.addresses.join(', ');
  const failure = one.lastFailure;
  return h('tr', {},
    cell('', one.id, standing(one),
      addresses === one.id ? undefined : h('small', {}, addresses),
      traits(one),
      failure === undefined ? undefined : h('small', { class: 'bad' }, 'failed ' + ago(failure.at) + ': ' + failure.error)),
    cell('number', number(one.active), share(one.active, most)),
    cell('number', number(one.connected)),
    cell('number' + (one.failed > 0 ? ' bad-text' : ''), number(one.failed)));
}

${LATENCY_SCRIPT}
// ---- live connections: where each went, and why

function drawConnections({ total, connections }) {
  const shown = connections.length < total ? 'the newest ' + number(connections.length) + ' of ' + number(total) : number(total);
  byId('shown').textContent = shown + ' open';
  if (connections.length === 0) return byId('connections').replaceChildren(empty('None is open.'));
  const rows = connections.map((one) => {
    const through = one.peer === one.client ? undefined : h('small', {}, 'through ' + one.peer);
    const where = one.upstream === undefined || one.upstream === one.endpoint ? undefined : h('small', {}, one.upstream);
    const failed = one.attempts.filter((attempt) => attempt.error !== undefined);
    const failures = failed.map((attempt) => h('small', { class: 'bad' }, attempt.endpoint + ': ' + attempt.error));
    return h('tr', { title: 'connection ' + one.id + (one.worker === undefined ? '' : ', worker ' + one.worker) },
      cell('address', one.client, through),
      cell('', one.listener, one.service === undefined || one.service === one.listener ? undefined : h('small', { class: 'short' }, '→ ' + one.service)),
      cell('', one.endpoint ?? '–', where),
      cell('quiet', one.why ?? '–', ...failures),
      cell('short', one.phase),
      cell('number', time(one.ageMs)),
      cell('number', bytes(one.bytesReceived)),
      cell('number', bytes(one.bytesSent)),
      cell('number', maybeTime(one.connectMs)),
      cell('number', maybeTime(one.firstByteMs)));
  });
  byId('connections').replaceChildren(table(
    [['client'], ['listener'], ['endpoint'], ['why there'], ['phase'], ['open for', 'number'], ['up', 'number'], ['down', 'number'], ['connect', 'number'], ['first byte', 'number']],
    rows,
  ));
}

// ---- the refresh

async function ask(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: 'no-store' });
  if (!response.ok) throw new Error(path + ' answered ' + response.status);
  return response.json();
}

function choose(select, names, all) {
  const chosen = select.value;
  const options = [...(all === undefined ? [] : [['', all]]), ...names.map((name) => [name, name])];
  if (options.length === select.length && options.every(([value], index) => select.options[index].value === value)) return;
  select.replaceChildren(...options.map(([value, label]) => h('option', { value }, label)));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

let turns = 0;

async function refresh(turn) {
  const filter = byId('filter').value;
  const query = filter === '' ? '' : '&service=' + encodeURIComponent(filter);
  const [status, services, connections] = await Promise.all([
    ask('/status'), ask('/services'), ask('/connections?limit=' + CONNECTIONS_SHOWN + query),
  ]);
  const names = services.services.map((one) => one.name);
  choose(byId('filter'), names, 'all services');
  choose(byId('measured'), names);
  const measured = byId('measured').value;
  const latency = measured === '' ? undefined : await ask('/latency?service=' + encodeURIComponent(measured));
  if (turn !== turns) return;
  remember(status);
  // Drawing again would take away what is being selected to be copied.
  if (String(document.getSelection()) !== '') return;
  drawHead(status);
  drawTiles();
  drawListeners(status);
  drawServices(services);
  drawLatency(latency);
  drawConnections(connections);
}

let timer;
async function loop() {
  clearTimeout(timer);
  turns += 1;
  const turn = turns;
  if (document.hidden) return;
  try {
    await refresh(turn);
  } catch (error) {
    if (turn !== turns) return;
    byId('state').replaceChildren(pill('bad', 'no answer'));
    byId('state').title = String(error);
  }
  // Whoever changed a filter meanwhile has begun another turn.
  if (turn === turns) timer = setTimeout(loop, REFRESH_MS);
}

document.addEventListener('visibilitychange', loop);
byId('filter').addEventListener('change', loop);
byId('measured').addEventListener('change', loop);
loop();
`;
