/** `meshproxy ca rotate`: replaces the issuer or the root, a step at a time. */
import { Argument, type Command, Option } from 'commander';
import { MeshproxyError } from '../../core/errors.js';
import { formatDuration } from '../../core/units.js';
import type { Rotated } from '../../pki/rotate.js';
import type { RotationKind, RotationStep, StepDecision } from '../../pki/rotation.js';
import { inWords } from '../announce.js';
import { EXIT } from '../report.js';
import { formatTable, paint, standardOutput } from '../table.js';
import { type FolderOptions, openFolder, withFolder } from './folder.js';

interface RotateOptions extends FolderOptions {
  readonly step?: RotationStep;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

const STEPS = `
Each call does the next step:
  prepare    a new one is made and made known: a new root is in the trust bundle from now on
  activate   it signs from now on; refused for a root while certificates live that were issued before it was known
  finish     the old one goes; refused while certificates live that chain to it
Workloads that get their certificates from 'meshproxy ca serve' follow by themselves.

Examples:
  meshproxy ca rotate issuer
  meshproxy ca rotate root --dry-run
  meshproxy ca rotate root --step activate
`;

export function register(ca: Command): void {
  withFolder(ca.command('rotate'))
    .summary('replace the issuer or the root, step by step')
    .description('Replaces the issuer or the root in three steps, and refuses any that would cut somebody off.')
    .addArgument(new Argument('<what>', 'what is replaced').choices(['issuer', 'root']))
    .addOption(new Option('--step <step>', 'do this step or none').choices(['prepare', 'activate', 'finish']))
    .option('--dry-run', 'only say what would be done')
    .option('--force', 'do it also where it cuts somebody off')
    .option('--json', 'print what was decided as JSON, with all certificates that stand against it')
    .addHelpText('after', STEPS)
    .action(async (kind: RotationKind, options: RotateOptions) => {
      const store = await openFolder(options);
      const { rotate } = await import('../../pki/rotate.js');
      const { step, force = false, dryRun = false, json = false } = options;
      const rotated = await rotate(store, { kind, step, force, dryRun }, Date.now());
      if (json) printJson(rotated);
      else tell(kind, rotated, dryRun);
      const { decision, done } = rotated;
      if (!done && (!dryRun || decision.kind !== 'clear')) process.exitCode = EXIT.failed;
    });
}

function printJson({ decision, done, state }: Rotated): void {
  standardOutput().write(`${JSON.stringify({ done, decision, ...state }, undefined, 2)}\n`);
}

function tell(kind: RotationKind, { decision, done }: Rotated, dryRun: boolean): void {
  if (decision.kind === 'impossible') throw new MeshproxyError('usage', decision.why);
  const output = standardOutput();
  if (decision.kind === 'blocked') output.write(blocked(kind, decision, done));
  if (decision.kind === 'clear' && dryRun) output.write(`${decision.step} would be done: nothing stands against it\n`);
  if (done) output.write(`${DONE[kind][decision.step]}\n`);
}

function blocked(kind: RotationKind, decision: StepDecision & { kind: 'blocked' }, done: boolean): string {
  const output = standardOutput();
  const { step, why, count, leaves, until } = decision;
  const now = Date.now();
  const rows = leaves.slice(0, SHOWN).map(({ identity, serial, notAfter }) => [identity, serial, left(notAfter, now)]);
  const columns = [
    { name: 'identity', shrinks: true },
    { name: 'serial' },
    { name: 'expires in', align: 'right' },
  ] as const;
  const more = count > rows.length ? `and ${count - rows.length} more (--json lists them)\n` : '';
  const verdict = done ? paint('done all the same, by --force', 'red', output.colour) : 'refused; nothing was changed';
  return (
    `${step} of the ${kind}: ${verdict}\n${inWords(count, 'certificate')} ${why}\n\n` +
    `${formatTable(columns, rows, output)}${more}\n` +
    (done
      ? ''
      : `The last of them expires in ${left(until, now)}; until then they are renewed where their owners run.\n`)
  );
}

/** So many say enough on a screen. */
const SHOWN = 20;

function left(moment: number, now: number): string {
  return formatDuration(Math.max(0, Math.ceil((moment - now) / 1000) * 1000));
}

const DONE: Readonly<Record<RotationKind, Readonly<Record<RotationStep, string>>>> = {
  issuer: {
    prepare: 'A new issuer is known, and signs nothing yet. Next: meshproxy ca rotate issuer',
    activate:
      'The new issuer signs from now on. When what the old one has signed has been renewed: meshproxy ca rotate issuer',
    finish: 'The old issuer has gone, and its key with it.',
  },
  root: {
    prepare:
      'A new root is in the trust bundle, and nothing chains to it yet. When everybody has the bundle: meshproxy ca rotate root',
    activate:
      'A new issuer below the new root signs from now on. When what the old one has signed has been renewed: meshproxy ca rotate root',
    finish: 'The old root has left the trust bundle, and its key the folder. What was opened before stays open.',
  },
};
