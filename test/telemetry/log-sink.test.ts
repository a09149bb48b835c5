import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { open as openLater } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LogSink } from '../../src/telemetry/log-sink.js';

/** More than a sink collects lines for. */
const GATHER_MS = 50;

const { O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

let folder: string;
let open: number[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meshproxy-log-'));
  open = [];
});

afterEach(() => {
  for (const fd of open) closeSync(fd);
  rmSync(folder, { recursive: true });
});

function file(name: string): { path: string; fd: number } {
  const path = join(folder, name);
  const fd = openSync(path, 'w');
  open.push(fd);
  return { path, fd };
}

/** A pipe whose ends do not block. */
function pipe(): { reader: number; writer: number } {
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, O_RDONLY | O_NONBLOCK);
  const writer = openSync(path, O_WRONLY | O_NONBLOCK);
  open.push(writer);
  return { reader, writer };
}

/** What can be read from a pipe now. */
function drain(reader: number): string {
  const buffer = Buffer.alloc(1024 ** 2);
  let text = '';
  for (;;) {
    try {
      const count = readSync(reader, buffer);
      if (count === 0) return text;
      text += buffer.toString('latin1', 0, count);
    } catch {
      return text;
    }
  }
}

const line = (index: number): string => `${String(index).padStart(9, '0')} ${'x'.repeat(989)}\n`;

test('lines are written in order, a little later and without being asked', async () => {
  const { path, fd } = file('log');
  const sink = new LogSink(fd);
  sink.write('one\n');
  sink.write('two\n');
  expect(readFileSync(path, 'utf8')).toBe('');
  await vi.waitFor(() => expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n'));
  sink.write('three\n');
  await vi.waitFor(() => expect(readFileSync(path, 'utf8')).toBe('one\ntwo\nthree\n'));
});

test('flushSync has written everything when it returns', () => {
  const { path, fd } = file('log');
  const sink = new LogSink(fd);
  const lines = Array.from({ length: 500 }, (_, index) => line(index));
  for (const text of lines) sink.write(text);
  sink.flushSync();
  expect(readFileSync(path, 'utf8')).toBe(lines.join(''));
  expect(sink.dropped).toBe(0);
});

test('closing loses nothing that a thread has yet to write', async () => {
  const { path, fd } = file('log');
  const sink = new LogSink(fd);
  // With each of Node's threads waiting for who writes to this pipe, what is handed to them has to wait.
  const gate = join(folder, 'gate');
  execFileSync('mkfifo', [gate]);
  const held = Promise.all(Array.from({ length: 16 }, () => openLater(gate, O_RDONLY)));
  sink.write('handed to a thread\n');
  await new Promise((resolve) => setTimeout(resolve, 2 * GATHER_MS));
  sink.write('said last\n');
  const closed = sink.close();
  open.push(await vi.waitFor(() => openSync(gate, O_WRONLY | O_NONBLOCK)));
  await closed;
  expect(readFileSync(path, 'utf8')).toBe('handed to a thread\nsaid last\n');
  for (const handle of await held) await handle.close();
});

test('a reader that stalls costs lines, which are counted, and neither memory nor time', async () => {
  const { reader, writer } = pipe();
  const sink = new LogSink(writer);
  const total = 20_000;
  for (let index = 0; index < total; index += 1) sink.write(line(index));
  // 20 MB were offered to 4 MiB of queue.
  expect(sink.dropped).toBe(total - Math.floor((4 * 1024 ** 2) / line(0).length));
  let text = '';
  await vi.waitFor(
    () => {
      text += drain(reader);
      expect(text.length / line(0).length).toBe(total - sink.dropped);
    },
    { timeout: 30_000, interval: 5 },
  );
  const indexes = text
    .trimEnd()
    .split('\n')
    .map((row) => Number(row.slice(0, 9)));
  expect(indexes).toEqual(Array.from({ length: total - sink.dropped }, (_, index) => index));
  sink.write('and it goes on\n');
  await vi.waitFor(() => expect(drain(reader)).toBe('and it goes on\n'));
  closeSync(reader);
});

test('flushSync gives up on a reader that does not read', () => {
  const { reader, writer } = pipe();
  const sink = new LogSink(writer);
  for (let index = 0; index < 200; index += 1) sink.write(line(index));
  sink.flushSync();
  expect(drain(reader).length).toBeGreaterThan(0);
  closeSync(reader);
});

test('a reader that has gone is survived: its lines are counted as lost', async () => {
  const { reader, writer } = pipe();
  const sink = new LogSink(writer);
  closeSync(reader);
  sink.write('to nobody\n');
  sink.write('to nobody\n');
  await vi.waitFor(() => expect(sink.dropped).toBe(2));
  sink.write('to nobody\n');
  sink.flushSync();
  expect(sink.dropped).toBe(3);
});

test('a full disk is survived, at the exit too', async () => {
  const fd = openSync('/dev/full', 'w');
  open.push(fd);
  const sink = new LogSink(fd);
  sink.write('one\n');
  await vi.waitFor(() => expect(sink.dropped).toBe(1));
  sink.write('two\n');
  sink.flushSync();
  expect(sink.dropped).toBe(2);
});
