/** Every path of the admin listener, and what it answers. Nothing here knows of sockets. */
import { configAnswer, connectionsAnswer, latencyAnswer, servicesAnswer, statusAnswer } from './answers.js';
import { PAGE, PAGE_POLICY } from './page.js';
import type { AdminSource } from './source.js';

export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Done once the answer is on its way. */
  readonly afterwards?: () => void;
}

interface Route {
  readonly method: 'GET' | 'POST';
  /** In a few words, for who asks for a path that is not there. */
  readonly about: string;
  answer(source: AdminSource, query: URLSearchParams): Answer | Promise<Answer>;
}

/** Connections listed where nobody says how many, and at most: some megabytes of JSON, a tenth of a second's work. */
const LIMIT = { default: 1000, most: 10_000 };

export const ROUTES: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['/', { method: 'GET', about: 'a page for people', answer: () => page() }],
  ['/metrics', { method: 'GET', about: 'for Prometheus', answer: ({ telemetry }) => metrics(telemetry) }],
  ['/healthz', { method: 'GET', about: 'is the process alive?', answer: () => text(200, 'ok') }],
  ['/readyz', { method: 'GET', about: 'are new connections welcome?', answer: (source) => readyz(source) }],
  ['/status', { method: 'GET', about: 'listeners, state and versions', answer: status }],
  [
    '/connections',
    {
      method: 'GET',
      about: 'open connections, newest first; ?service= ?listener= ?limit=',
      answer: ({ telemetry }, query) => connections(telemetry, query),
    },
  ],
  [
    '/services',
    {
      method: 'GET',
      about: 'endpoints of each service',
      answer: async ({ telemetry }) => json(servicesAnswer(await telemetry.totals(), telemetry.status())),
    },
  ],
  [
    '/latency',
    {
      method: 'GET',
      about: 'percentiles, in microseconds; ?service= for its curves too',
      answer: async ({ telemetry }, query) =>
        json(latencyAnswer(await telemetry.totals(), query.get('service') ?? undefined)),
    },
  ],
  ['/config', { method: 'GET', about: 'the configuration in force', answer: (source) => json(configAnswer(source)) }],
  ['/drain', { method: 'POST', about: 'finish what is open, then exit', answer: (source) => drain(source) }],
]);

/** What a path or a method that is not there is answered with. */
export function notFound(): Answer {
  const width = Math.max(...[...ROUTES.keys()].map((path) => path.length));
  const paths = [...ROUTES].map(([path, { method, about }]) => `${method.padEnd(4)} ${path.padEnd(width)}  ${about}`);
  return text(404, `there is no such path; there are\n\n${paths.join('\n')}`);
}

export function methodNotAllowed({ method }: Route): Answer {
  const allow = method === 'GET' ? 'GET, HEAD' : method;
  return { ...text(405, `this path answers to ${allow}`), headers: { allow } };
}

export function text(status: number, words: string): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${words}\n` };
}

function json(value: unknown, status = 200): Answer {
  return { status, contentType: 'application/json', body: `${JSON.stringify(value, null, 2)}\n` };
}

function page(): Answer {
  return {
    status: 200,
    contentType: 'text/html; charset=utf-8',
    body: PAGE,
    headers: { 'content-security-policy': PAGE_POLICY },
  };
}

async function metrics(telemetry: AdminSource['telemetry']): Promise<Answer> {
  const { contentType, text } = await telemetry.metrics();
  return { status: 200, contentType, body: text };
}

function readyz({ readiness }: AdminSource): Answer {
  const state = readiness();
  return state.kind === 'ready' ? text(200, 'ready') : text(503, `${state.kind}: ${state.reason}`);
}

async function status(source: AdminSource): Promise<Answer> {
  return json(statusAnswer(await source.telemetry.totals(), source));
}

async function connections(telemetry: AdminSource['telemetry'], query: URLSearchParams): Promise<Answer> {
  const asked = query.get('limit') ?? String(LIMIT.default);
  const limit = /^\d{1,5}$/.test(asked) ? Number(asked) : 0;
  if (limit < 1 || limit > LIMIT.most) return text(400, `limit is a number from 1 to ${LIMIT.most}`);
  const service = query.get('service');
  const listener = query.get('listener');
  const asking = { limit, ...(service !== null && { service }), ...(listener !== null && { listener }) };
  return json(connectionsAnswer(await telemetry.connections(asking), telemetry.clock.now()));
}

function drain(source: AdminSource): Answer {
  return {
    ...json({ draining: true, connections: source.telemetry.open() }, 202),
    afterwards: () => source.drain(),
  };
}
