import { join } from 'node:path';
import { parseLoadResult } from '../load/result.js';
import { paths } from '../paths.js';
import { nginxCommand, nginxHttpConfig, nginxVersion } from '../peers/nginx.js';
import type { Command } from '../system/children.js';
import { measure, requestMetrics, requestSample, type UpstreamTask, type Workload } from './workload.js';

export const HTTP_CONNECTIONS = 32;
const BODY = 'Hello from the upstream of the benchmark.';

/** nginx where it is installed, for it costs the load's cores less; otherwise Node's own server. */
export async function httpUpstream({ port, directory }: UpstreamTask): Promise<Command> {
  if ((await nginxVersion()) !== undefined) {
    return nginxCommand(directory, nginxHttpConfig(directory, port, BODY));
  }
  return { file: process.execPath, args: [join(paths.built, 'load', 'http-server.js'), String(port), BODY] };
}

/** HTTP with keep-alive, as an application's clients speak it, by autocannon. */
export const http: Workload = {
  name: 'http',
  title: `HTTP GET over ${HTTP_CONNECTIONS} kept connections, by autocannon`,
  metrics: requestMetrics('request'),
  upstream: httpUpstream,
  run: async (cell) =>
    requestSample(
      await measure(cell, async (seconds) => {
        const client = join(paths.built, 'load', 'http-client.js');
        const args = [client, String(cell.port), String(HTTP_CONNECTIONS), String(seconds)];
        return parseLoadResult(await cell.client({ file: process.execPath, args }, seconds));
      }),
    ),
};
