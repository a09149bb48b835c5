import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseEndpoints, readEndpoints } from '../../src/config/endpoints-file.js';
import { MeshproxyError } from '../../src/core/errors.js';

describe('a file of endpoints', () => {
  it('is YAML', () => {
    const text = `
- address: 10.0.0.1:80
- {address: "[::1]:80", weight: 5, zone: eu-1, priority: 1, id: two, metadata: {rack: r7}}
- address: unix:/run/app.sock
  weight: 0
`;
    expect(parseEndpoints(text, 'f')).toEqual([
      { id: '10.0.0.1:80', addresses: [{ kind: 'ip', host: '10.0.0.1', port: 80 }] },
      {
        id: 'two',
        addresses: [{ kind: 'ip', host: '::1', port: 80 }],
        weight: 5,
        zone: 'eu-1',
        priority: 1,
        metadata: { rack: 'r7' },
      },
      { id: 'unix:/run/app.sock', addresses: [{ kind: 'unix', path: '/run/app.sock' }], weight: 0 },
    ]);
  });

  it('is JSON, and leaves out what has its default', () => {
    const text = JSON.stringify([{ address: '10.0.0.1:80', weight: 1, priority: 0 }]);
    expect(parseEndpoints(text, 'f')).toEqual([
      { id: '10.0.0.1:80', addresses: [{ kind: 'ip', host: '10.0.0.1', port: 80 }] },
    ]);
  });

  it('may be an empty list, which is not an empty file', () => {
    expect(parseEndpoints('[]', 'f')).toEqual([]);
    expect(() => parseEndpoints('', 'f')).toThrow('f: the file is empty');
    expect(() => parseEndpoints('# none\n', 'f')).toThrow('f: the file is empty');
  });

  it.each([
    ['- adress: 10.0.0.1:80', 'f:1:3: [0]: unknown key "adress"; did you mean "address"?'],
    ['- address: 10.0.0.1:80\n  weight: 2000', 'f:2:11: [0].weight: 2000 is too large; the most is 1000'],
    ['- address: 10.0.0.1:80\n  weight: -1', 'f:2:11: [0].weight: -1 is too small; the least is 0'],
    ['- address: 10.0.0.1:80\n  weight: 1.5', 'f:2:11: [0].weight: '],
    ['- address: app.test:80', 'f:1:12: [0].address: "app.test:80" is not the address of one endpoint'],
    ['- address: :80', 'f:1:12: [0].address: ":80" is not the address of one endpoint'],
    ['- address: 10.0.0.1:0', 'f:1:12: [0].address: "10.0.0.1:0" is not the address of one endpoint'],
    ['- 10.0.0.1:80', 'f:1:3: [0]: this is "10.0.0.1:80"; a mapping of keys to values is needed'],
    ['{"endpoints": []}', 'f:1:1: this is a mapping; a list is needed'],
    [
      '- address: 10.0.0.1:80\n- address: 10.0.0.1:80',
      'f:2:12: [1].address: "10.0.0.1:80" is here for the second time',
    ],
    [
      '- {address: "10.0.0.1:80", id: a}\n- {address: "10.0.0.2:80", id: a}',
      'f:2:32: [1].id: "a" is here for the second',
    ],
    ['- {address: "10.0.0.1:80", weight: 1, weight: 2}', 'f:1:39: the key "weight" is here for the second time'],
    ['[{"address": "10.0.0.1:80"', 'f:1:27: '],
    ['- address: 10.0.0.1:80\n  metadata: {a: {b: c}}', 'f:2:17: [0].metadata.a: this is a mapping; text is needed'],
    ['- address: 10.0.0.1:80\n  zone: "a b"', 'f:2:9: [0].zone: '],
    ['- address: 10.0.0.1:80\n  id: ""', 'f:2:7: [0].id: '],
  ])('%j is refused: %s', (text, message) => {
    const refusal = refusalOf(text);
    expect(refusal?.message).toContain(message);
    expect(refusal).toMatchObject({ code: 'bad-config', hint: expect.stringContaining('it is a list') });
  });

  it('of tens of thousands of endpoints is read as JSON, and refused with the path in it', () => {
    const all = Array.from({ length: 20_000 }, (_, index) => ({
      address: `10.0.${index >> 8}.${index & 255}:80`,
      zone: 'a',
    }));
    expect(parseEndpoints(JSON.stringify(all), 'f').length).toBe(20_000);
    const broken = JSON.stringify([...all, { address: '10.1.0.1:80', weight: -1 }]);
    expect(() => parseEndpoints(broken, 'f')).toThrow('f: [20000].weight: -1 is too small');
    const yaml = all.map(({ address }) => `- address: ${address}\n  zone: a\n`).join('');
    expect(() => parseEndpoints(yaml, 'f')).toThrow('f: more than 512 KiB is read as JSON alone, and this is none');
  });

  it('has at most a hundred thousand', () => {
    const all = Array.from({ length: 100_001 }, (_, index) => ({ address: `unix:/${index}` }));
    expect(() => parseEndpoints(JSON.stringify(all), 'f')).toThrow('more than 100000 endpoints');
  });

  it('is not a pipe, which could keep its reader waiting for ever', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meshproxy-endpoints-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    await expect(readEndpoints(pipe)).rejects.toMatchObject({
      code: 'file',
      message: `cannot read ${pipe}: it is not a file`,
    });
    await expect(readEndpoints(join(folder, 'none'))).rejects.toMatchObject({
      code: 'file',
      message: expect.stringContaining('ENOENT'),
    });
  });

  it('is read or refused with words, whatever is in it', () => {
    const value = fc.oneof(
      fc.json(),
      fc.string(),
      fc
        .array(
          fc.record(
            { address: fc.constantFrom('10.0.0.1:80', ':', 'x'), weight: fc.jsonValue() },
            { requiredKeys: [] },
          ),
        )
        .map((all) => JSON.stringify(all)),
    );
    fc.assert(
      fc.property(value, (text) => {
        const refusal = refusalOf(text);
        if (refusal !== undefined)
          expect(refusal.message.split('\n').every((line) => line.startsWith('f:'))).toBe(true);
      }),
    );
  });
});

/** Anything else that is thrown fails the test. */
function refusalOf(text: string): MeshproxyError | undefined {
  try {
    parseEndpoints(text, 'f');
    return undefined;
  } catch (error) {
    if (error instanceof MeshproxyError) return error;
    throw error;
  }
}
