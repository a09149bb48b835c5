import { describe, expect, it } from 'vitest';
import { haproxyConfig } from '../../bench/peers/haproxy.js';
import { allPeers } from '../../bench/peers/index.js';
import { nginxStreamConfig, streamModule } from '../../bench/peers/nginx.js';
import { mostConnections } from '../../bench/peers/peer.js';
import { progressLine } from '../../bench/report/progress.js';
import { parseSettings, select } from '../../bench/settings.js';
import { pinningFor } from '../../bench/system/machine.js';
import { parseIperf3 } from '../../bench/workloads/iperf3.js';
import { twoWorkers } from '../../bench/workloads/workers.js';
import { parseWrk } from '../../bench/workloads/wrk.js';

const named = ['bulk', 'rr1', 'rr32', 'idle'].map((name) => ({ name }));

describe('the command line', () => {
  it('names single workloads and groups', () => {
    expect(select(named, ['rr', 'idle'], 'workload').map(({ name }) => name)).toEqual(['rr1', 'rr32', 'idle']);
    expect(select(named, ['rr32'], 'workload')).toHaveLength(1);
    expect(select(named, undefined, 'workload')).toEqual(named);
  });

  it('refuses a name that is none, and says which there are', () => {
    expect(() => select(named, ['rr2'], 'workload')).toThrow(
      'no workload is called "rr2"; there are: bulk, rr1, rr32, idle',
    );
  });

  it('has shorter defaults for a quick run, which single options replace', () => {
    expect(parseSettings([], [], [])).toMatchObject({ quick: false, rounds: 5, idleConnections: 10_000 });
    expect(parseSettings(['--quick', '--rounds', '3'], [], [])).toMatchObject({ rounds: 3, idleConnections: 2_000 });
  });

  it('takes what the targets of the native engine need, and single options replace that too', () => {
    const settings = parseSettings(['--targets'], [], ['direct', 'floor', 'haproxy', 'pipe', 'meshproxy']);
    expect(settings.only).toEqual([
      'rr32',
      'bulk',
      'connect',
      'idle',
      'workers2',
      'mtls-bulk',
      'mtls-rr32',
      'mtls-connect',
    ]);
    expect(settings.peers).toEqual(['floor', 'haproxy', 'meshproxy']);
    expect(settings.rounds).toBe(5);
    expect(parseSettings(['--targets', '--only', 'idle'], [], []).only).toEqual(['idle']);
  });

  it('takes lists, and arguments for meshproxy', () => {
    const settings = parseSettings(['--only', 'rr, bulk', '--meshproxy-args', '--engine native  --workers 2'], [], []);
    expect(settings.only).toEqual(['rr', 'bulk']);
    expect(settings.meshproxyArguments).toEqual(['--engine', 'native', '--workers', '2']);
  });
});

describe('peers', () => {
  const task = {
    listenPort: 1234,
    upstreamPort: 5678,
    directory: '/tmp/x',
    scratch: '/tmp',
    adminPort: 9101,
    descriptors: 20_000,
  };

  it('get as many connections as descriptors allow, and are told so', () => {
    expect(mostConnections(20_000)).toBe(9_500);
    expect(mostConnections(10)).toBe(1);
    expect(haproxyConfig(task)).toContain('maxconn 9500');
    expect(nginxStreamConfig(task, { kind: 'static' })).toContain('worker_connections 19050');
  });

  it('find the stream module of nginx where its build says it is', () => {
    expect(streamModule('--with-http_ssl_module --with-stream --with-stream_ssl_module')).toEqual({ kind: 'static' });
    expect(streamModule('--modules-path=/usr/lib/nginx/modules --with-stream=dynamic')).toEqual({
      kind: 'dynamic',
      path: '/usr/lib/nginx/modules/ngx_stream_module.so',
    });
    expect(streamModule('--with-http_ssl_module --with-stream_ssl_module')).toEqual({ kind: 'none' });
    expect(nginxStreamConfig(task, { kind: 'dynamic', path: '/m/s.so' })).toMatch(/^load_module \/m\/s\.so;/);
  });

  it('have a core of their own where there are two and something to pin with', () => {
    expect(pinningFor(2, true, 1)).toEqual({ proxy: '1', load: '0' });
    expect(pinningFor(8, true, 1)).toEqual({ proxy: '1', load: '0,2,3,4,5,6,7' });
    expect(pinningFor(3, true, 1)).toEqual({ proxy: '1', load: '0,2' });
    expect(pinningFor(1, true, 1).proxy).toBeUndefined();
    expect(pinningFor(8, false, 1).load).toBeUndefined();
  });

  it('have a core for each of their threads, as far as one is left for the load', () => {
    expect(pinningFor(4, true, 2)).toEqual({ proxy: '1,2', load: '0,3' });
    expect(pinningFor(2, true, 2)).toEqual({ proxy: '1', load: '0' });
  });

  it('that are meshproxy get the arguments of the command line, and keep those that make them what they are', async () => {
    const workload = twoWorkers.peers?.(['--buffer-size', '1MiB']) ?? [];
    const engines = allPeers(['--buffer-size', '1MiB']).filter(({ name }) => ['streams', 'meshproxy'].includes(name));
    const commands = await Promise.all([...engines, ...workload].map((peer) => peer.command(task)));
    const lines = commands.map((command) => command?.args.join(' ') ?? '');
    expect(lines.map((line) => line.includes('--buffer-size 1MiB'))).toEqual([true, true, true, true]);
    expect(lines.map((line) => /--engine (\w+)/.exec(line)?.[1])).toEqual(['streams', 'native', 'native', 'native']);
    expect(lines.map((line) => /--workers (\d+)/.exec(line)?.[1])).toEqual([undefined, '1', '1', '2']);
    expect(lines.map((line) => /--admin (\S+)/.exec(line)?.[1])).toEqual([
      'off',
      'off',
      '127.0.0.1:9101',
      '127.0.0.1:9101',
    ]);
  });
});

describe('progress', () => {
  it('shows how far it is and how long it will take', () => {
    expect(progressLine(0, 48, 0, 'rr32 through pipe')).toBe(`[${'-'.repeat(24)}] 0/48: rr32 through pipe`);
    expect(progressLine(12, 48, 30_000, 'x')).toBe('[######------------------] 12/48, about 2 min left: x');
  });
});

describe('other tools', () => {
  it("wrk's report is read with its units and errors", () => {
    const report = `Running 2s test @ http://127.0.0.1:1/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.10ms  400.00us   9.00ms   90.00%
  Latency Distribution
     50%  950.00us
     75%    1.20ms
     90%    1.60ms
     99%    2.50ms
  60000 requests in 2.10s, 9.00MB read
  Socket errors: connect 0, read 2, write 0, timeout 1
Requests/sec:  28571.00
`;
    expect(parseWrk(report)).toMatchObject({ units: 60_000, seconds: 2.1, errors: 3, p50: 950, p99: 2_500 });
    expect(() => parseWrk('unable to connect')).toThrow('unable to connect');
  });

  it("iperf3's report is read, and refused where it is an error", () => {
    expect(parseIperf3('{"end":{"sum_received":{"bytes":1000,"seconds":2}}}')).toMatchObject({
      units: 1000,
      seconds: 2,
    });
    expect(() => parseIperf3('{"end":{},"error":"the server is busy"}')).toThrow('iperf3: the server is busy');
    expect(() => parseIperf3('{}')).toThrow();
  });
});
