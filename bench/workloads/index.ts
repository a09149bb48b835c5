/** All workloads, in the order in which they run. To add one: a file beside this, and a line here. */
import { bulk } from './bulk.js';
import { connectPerRequest } from './connect.js';
import { http } from './http.js';
import { idle } from './idle.js';
import { iperf3 } from './iperf3.js';
import { mtlsBulk, mtlsConnect, mtlsRequestResponse } from './mtls.js';
import { openLoop } from './open-loop.js';
import { requestResponse } from './request-response.js';
import { twoWorkers } from './workers.js';
import type { Workload } from './workload.js';
import { wrk } from './wrk.js';

export const workloads: readonly Workload[] = [
  bulk,
  requestResponse(1),
  requestResponse(32),
  requestResponse(256),
  connectPerRequest,
  openLoop,
  http,
  idle,
  twoWorkers,
  mtlsBulk,
  mtlsRequestResponse,
  mtlsConnect,
  iperf3,
  wrk,
];
