import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AFTER } from '../../src/cli/help.js';
import { configJsonSchema } from '../../src/config/json-schema.js';
import { parseConfig } from '../../src/config/load.js';
import { parseText } from '../../src/config/text.js';
import { MAIN, NODE, Program } from '../e2e/program.js';

async function run(...args: string[]): Promise<{ code: number | string; stdout: string; stderr: string }> {
  const program = new Program(args);
  const code = await program.exit();
  return { code, stdout: program.stdout, stderr: program.stderr };
}

function fileWith(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'meshproxy-cli-')), 'meshproxy.yaml');
  writeFileSync(path, text);
  return path;
}

const VALID = `
listeners:
  web: {address: "127.0.0.1:8080"}
services:
  web: {upstreams: ["10.0.0.1:80", "10.0.0.2:80"]}
  spare: {upstreams: ["10.0.0.3:80"]}
`;

describe('meshproxy', () => {
  it('without arguments shows how it is used, and fails', async () => {
    const { code, stdout, stderr } = await run();
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^Usage: meshproxy --listen ADDRESS --upstream ADDRESS/);
    expect(stderr).toContain('meshproxy demo');
    expect(stderr.split('\n').length).toBeLessThan(15);
  });

  it('--version prints the version', async () => {
    expect(await run('--version')).toEqual({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), stderr: '' });
  });

  it('--help explains every option with its default, every command, values, signals and exit codes', async () => {
    const { code, stdout } = await run('--help');
    expect(code).toBe(0);
    for (const words of [
      '--config <file>',
      '--listen <address>',
      '--dns-fallback-ttl <duration>',
      'Default: 127.0.0.1:9901.',
      'check',
      'demo',
      'connections',
      'latency',
      'schema',
      'SIGHUP',
      'Exit codes',
    ]) {
      expect(stdout).toContain(words);
    }
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(115);
    expect(stdout).not.toContain('\u001b');
  });

  it.each([
    [['--lisen', ':1'], "meshproxy: unknown option '--lisen'\n  (did you mean --listen?)"],
    [['--listen'], "meshproxy: option '--listen <address>' argument missing"],
    [['chek', 'x.yaml'], 'meshproxy: "chek" is not expected here\n  (did you mean check?)'],
    [['meshproxy.yaml'], 'meshproxy: "meshproxy.yaml" is not expected here\n  (did you mean --config meshproxy.yaml?)'],
    [
      ['--admin', 'off', 'latency'],
      'meshproxy: "latency" is not expected here\n  (the name of a command comes first: meshproxy latency ...)',
    ],
    [['--listen', 'foo', '--upstream', 'a:1'], 'meshproxy: --listen "foo": the port is missing'],
    [['--listen', ':0'], 'meshproxy: --listen without --upstream'],
    [['--upstream', ':1'], 'meshproxy: --upstream without --listen'],
    [['--drain-timeout', '5s'], 'meshproxy: there is nothing to listen on'],
    [
      ['--listen', ':0', '--upstream', 'a:1', '--connect-timeout', '5'],
      'meshproxy: --connect-timeout "5" is not a duration; write 5s or 5ms',
    ],
    [['check'], "meshproxy: missing required argument 'file'"],
    [['check', 'a', '--jsn'], "meshproxy: unknown option '--jsn'"],
    [['demo', '--listen', '1'], 'meshproxy: --listen "1": the port is missing'],
  ])('%j is a usage error, in words and without a stack', async (args, words) => {
    const { code, stdout, stderr } = await run(...args);
    expect(stderr.startsWith(words), stderr).toBe(true);
    expect(stderr).not.toContain('    at ');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  it('--log-level debug brings the stack', async () => {
    expect((await run('--log-level', 'debug')).stderr).toContain('    at ');
  });

  it('a file that cannot be read is an error of run time', async () => {
    expect(await run('--config', '/nowhere/meshproxy.yaml')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'meshproxy: cannot read /nowhere/meshproxy.yaml: no such file (ENOENT)',
    });
  });

  it('a file without a listener is refused, for there would be nothing to do', async () => {
    const path = fileWith('admin: off');
    const { code, stderr } = await run('--config', path);
    expect(code).toBe(2);
    expect(stderr).toContain(`meshproxy: ${path}: there is no listener, so there is nothing to do\n`);
  });

  it('whose reader has had enough ends without an error', async () => {
    const child = spawn(NODE, [MAIN, 'schema'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    const [code] = await once(child, 'close');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});

describe('meshproxy check', () => {
  it('sums up what a valid file comes to', async () => {
    const path = fileWith(VALID);
    const { code, stdout, stderr } = await run('check', path);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe(`${path} is valid: 1 listener, 2 services

listener  address         service
web       127.0.0.1:8080  web

service  upstreams
web      10.0.0.1:80, 10.0.0.2:80
spare    10.0.0.3:80

No listener uses spare.

admin: 127.0.0.1:9901
`);
  });

  it('lists every problem of a file that is not', async () => {
    const path = fileWith('drainTimeout: 5x\nlisteners:\n  web: 5\n');
    expect(await run('check', path)).toEqual({
      code: 2,
      stdout: '',
      stderr: [
        `meshproxy: ${path}:1:15: drainTimeout: "5x" is not a duration; write 250ms, 2s, 1m30s or 1h`,
        `meshproxy: ${path}:3:8: listeners.web: this is 5; a mapping of keys to values is needed`,
        '  (`meshproxy schema` prints everything that a configuration may contain)',
      ].join('\n'),
    });
  });

  it('--json prints the whole configuration, or the problems, for programs', async () => {
    const good = await run('check', '--json', fileWith(VALID));
    expect(good.code).toBe(0);
    const { valid, config } = JSON.parse(good.stdout);
    expect(valid).toBe(true);
    expect(parseConfig(config)).toEqual(parseConfig(parseText(VALID, 'f').value));
    const path = fileWith('drainTimeout: 5x');
    const bad = await run('check', '--json', path);
    expect({ ...bad, stdout: JSON.parse(bad.stdout) }).toEqual({
      code: 2,
      stderr: '',
      stdout: { valid: false, problems: [expect.stringContaining(`${path}:1:15: drainTimeout`)] },
    });
  });
});

describe('meshproxy schema', () => {
  it('prints the JSON Schema', async () => {
    const { code, stdout, stderr } = await run('schema');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual(configJsonSchema());
  });
});

describe('the file that the help shows', () => {
  it('is a valid one', () => {
    const lines = AFTER.split('\n');
    const start = lines.indexOf('  listeners:');
    const end = lines.findIndex((line, index) => index > start && line.startsWith('  meshproxy'));
    const config = parseConfig(parseText(lines.slice(start, end).join('\n'), 'help').value);
    expect(Object.keys(config.listeners)).toEqual(['web', 'postgres']);
    expect(config.services['web']?.connectAttempts).toBe(3);
  });
});
