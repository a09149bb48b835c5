import { describe, expect, it } from 'vitest';
import type { ServicesView } from '../../src/admin/views.js';
import { nativeSupport } from '../../src/l4/native/support.js';
import { ChildUpstream, EndpointsFile, Load, LocalUpstream, type Upstream } from './fleet.js';
import { Program } from './program.js';

const ENGINES = nativeSupport().ok ? ['native', 'streams'] : ['streams'];
const CLIENTS = 24;
/** Clients give up after so long; far longer than anything here takes that works, ms. */
const PATIENCE_MS = 2_000;
/** Long beside what a busy machine adds, so that ten times as long is told from it. */
const DELAY_MS = 40;
/** Shares are those of so many connections. */
const WINDOW = 500;
/** Its default. */
const EJECT_AFTER = 5;

async function startFleet() {
  const answers = { kind: 'answers', delayMs: DELAY_MS } as const;
  const local = (name: string) => LocalUpstream.start(name, answers);
  const [killed, hung] = await Promise.all([
    ChildUpstream.start('killed', DELAY_MS),
    ChildUpstream.start('hung', DELAY_MS),
  ]);
  const resetting = await local('resetting');
  const slow = await local('slow');
  const [drained, removed] = [await local('drained'), await local('removed')];
  const steady = await Promise.all(['s1', 's2', 's3', 's4'].map(local));
  const added = await Promise.all(['n1', 'n2', 'n3'].map(local));
  return { killed, hung, resetting, slow, drained, removed, steady, added };
}

/** On a machine that has too much else to do, connections wait longer than they may, and are turned away: not what is asked here. */
const TAKE_ALL = ['--shed-target', '0'];

/** Until so many more have been served, or lost. */
async function further(load: Load, count: number): Promise<void> {
  const from = load.asked.length;
  await expect.poll(() => load.asked.length - from).toBeGreaterThanOrEqual(count);
}

describe.each(ENGINES)('on %s, of ten endpoints under steady load', (engine) => {
  it('one is killed, one hangs, one resets, one is slow, three are added and two drained: nobody is lost whom another could have served', async () => {
    const { killed, hung, resetting, slow, drained, removed, steady, added } = await startFleet();
    const remaining = [killed, hung, resetting, slow, ...steady];
    const file = new EndpointsFile([...remaining, drained, removed]);
    const program = Program.inFrontOf(
      [`file://${file.path}`],
      ['--engine', engine, '--balance', 'ewma', '--ewma-decay', '2s', '--eject-time', '1s', ...TAKE_ALL],
    );
    const load = new Load(await program.loopback(), CLIENTS, PATIENCE_MS);
    await further(load, WINDOW);
    for (const { name } of remaining) expect(load.shareOf(name, WINDOW)).toBeGreaterThan(0);

    slow.behaviour = { kind: 'answers', delayMs: 10 * DELAY_MS };
    resetting.behaviour = { kind: 'resets' };
    await killed.kill();
    hung.signal('SIGSTOP');
    const troubled = Date.now();
    file.write([...remaining, drained, ...added], [drained]);
    await expect
      .poll(async () => (await program.json<ServicesView>('/services')).services[0]?.endpoints.length)
      .toBe(remaining.length + 1 + added.length);
    // Who answers this has been told of the endpoints.
    await program.text('/metrics');
    // And what it had picked before that has been accepted.
    await further(load, 4 * CLIENTS);
    const before = [drained.accepted, removed.accepted];

    const fair = 1 / (remaining.length + added.length);
    await further(load, WINDOW);
    await expect.poll(() => load.shareOf(slow.name, WINDOW), { timeout: 10_000 }).toBeLessThan(fair / 3);
    expect(Date.now() - troubled).toBeLessThan(10_000);
    for (const { name } of added) expect(load.shareOf(name, WINDOW)).toBeGreaterThan(fair / 2);

    await killed.startAgain();
    hung.signal('SIGCONT');
    resetting.behaviour = { kind: 'answers', delayMs: DELAY_MS };
    for (const { name } of [killed, resetting, hung]) {
      await expect.poll(() => load.shareOf(name, WINDOW), { timeout: 20_000 }).toBeGreaterThan(fair / 2);
    }

    const lost = (await load.stop()).filter(({ problem }) => problem !== undefined);
    expect([drained.accepted, removed.accepted]).toEqual(before);
    await program.text('/metrics');
    const lines = new Map(program.accessLines.map((line) => [line.client.split(':')[0], line]));
    const lostTo = ({ name }: Upstream) => lost.filter(({ client }) => lines.get(client)?.endpoint === name);
    // Whose bytes were on their way to one of these, which must not be sent twice.
    for (const { client } of lost) expect(lines.get(client)?.bytesReceived).toBeGreaterThan(0);
    expect(lostTo(killed).length).toBeLessThanOrEqual(CLIENTS);
    expect(lostTo(hung).length).toBeLessThanOrEqual(CLIENTS);
    expect(lostTo(resetting).length).toBeLessThanOrEqual(EJECT_AFTER + CLIENTS);
    const explained = new Set([killed, hung, resetting].flatMap(lostTo));
    const others = lost.filter((asked) => !explained.has(asked));
    expect(others.map((asked) => ({ ...asked, line: lines.get(asked.client) }))).toEqual([]);
  });

  it('nobody is lost to one that is killed and one that resets where requests may be sent twice', async () => {
    const killed = await ChildUpstream.start('killed', DELAY_MS);
    const answers = { kind: 'answers', delayMs: DELAY_MS } as const;
    const locals = await Promise.all(['resetting', 's1', 's2', 's3'].map((name) => LocalUpstream.start(name, answers)));
    const file = new EndpointsFile([killed, ...locals]);
    const program = Program.inFrontOf([`file://${file.path}`], ['--engine', engine, '--replay', '4KiB', ...TAKE_ALL]);
    const load = new Load(await program.loopback(), CLIENTS, PATIENCE_MS);
    await further(load, WINDOW / 4);
    const [resetting] = locals;
    if (resetting !== undefined) resetting.behaviour = { kind: 'resets' };
    await killed.kill();
    await further(load, WINDOW);
    const lost = (await load.stop()).filter(({ problem }) => problem !== undefined);
    expect(lost).toEqual([]);
    expect(load.asked.slice(0, WINDOW / 4).some(({ answeredBy }) => answeredBy === 'killed')).toBe(true);
    expect(load.shareOf('killed', WINDOW / 2)).toBe(0);
  });
});
