/** `meshproxy latency`: how long connecting, the first byte and whole connections take, as percentiles. */
import type { Command } from 'commander';
import { type LatencyView, latencyView, type SummaryView } from '../admin/views.js';
import type { Address } from '../core/address.js';
import { formatMs } from '../telemetry/words.js';
import { adminOption, askAdmin, readAnswer } from './admin-client.js';
import { type Cell, type Column, formatTable, type Output, standardOutput } from './table.js';

export interface LatencyOptions {
  readonly admin: Address;
  readonly service?: string;
  readonly json?: boolean;
}

const PERCENTILES = ['min', 'mean', 'p50', 'p90', 'p99', 'p999', 'max'] as const;
const STEPS = [
  ['connect', 'connect'],
  ['firstByte', 'first byte'],
  ['duration', 'whole connection'],
] as const;

const COLUMNS: readonly Column[] = [
  { name: 'service', shrinks: true },
  { name: 'step' },
  { name: 'over' },
  { name: 'count', align: 'right' },
  ...PERCENTILES.map((name): Column => ({ name: name === 'p999' ? 'p99.9' : name, align: 'right' })),
];

export function register(program: Command): void {
  program
    .command('latency')
    .summary('show the latency percentiles of a running proxy')
    .description(
      'Shows percentiles of how long a running proxy took to connect, waited for the first byte, and kept connections open: ' +
        'over the last one to two minutes, and since it was started.',
    )
    .addOption(adminOption())
    .option('--service <name>', 'Only this service.')
    .option('--json', 'Print what the proxy answered, for programs: times in microseconds.')
    .action((options: LatencyOptions) => showLatency(options, standardOutput()));
}

export async function showLatency({ admin, service, json }: LatencyOptions, output: Output): Promise<void> {
  const query = service === undefined ? '' : `?${new URLSearchParams({ service })}`;
  const body = await askAdmin(admin, `/latency${query}`);
  const view = readAnswer(admin, latencyView, body);
  output.write(json === true ? body : formatLatency(view, output));
}

function formatLatency({ services }: LatencyView, output: Output): string {
  const rows = services.flatMap(({ service, steps }) => {
    const measured = STEPS.flatMap(([step, name]) => {
      const { recent, sinceStart } = steps[step] ?? {};
      return sinceStart === undefined
        ? []
        : [rowOf(name, 'last minutes', recent), rowOf('', 'since start', sinceStart)];
    });
    return measured.map((row, index) => [index === 0 ? service : '', ...row]);
  });
  return rows.length === 0 ? 'nothing was measured yet\n' : formatTable(COLUMNS, rows, output);
}

function rowOf(step: string, over: string, summary: SummaryView | undefined): readonly Cell[] {
  const figures = PERCENTILES.map((key) => (summary === undefined ? '–' : formatMs(summary[key] / 1000)));
  return [step, { text: over, style: 'dim' }, String(summary?.count ?? 0), ...figures];
}
