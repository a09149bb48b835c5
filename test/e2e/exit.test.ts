import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Program } from './program.js';

it('leaves when it is told to, though a thread of it waits for what never comes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'meshproxy-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'meshproxy.yaml');
  writeFileSync(
    file,
    'listeners: {web: {address: "127.0.0.1:0"}}\nservices: {web: {upstreams: ["127.0.0.1:1"]}}\nadmin: off\n',
  );
  const program = new Program(['--config', file]);
  await program.port('web');
  // Opening a pipe that nobody writes to blocks the thread that does it.
  unlinkSync(file);
  execFileSync('mkfifo', [file]);
  program.kill('SIGHUP');
  program.kill('SIGTERM');
  expect(await program.exit()).toBe(0);
});
