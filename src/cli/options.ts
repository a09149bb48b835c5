/** The settings of `config/flags.ts` as options of a command, with the schema's own words and defaults as their help. */
import { type Command, Option } from 'commander';
import { FLAG_NAMES, FLAGS, type FlagName, type FlagSpec, type Flags } from '../config/flags.js';
import { schemaAt } from '../config/json-schema.js';

/** Where a flag's place on the command line asks for other words than its place in a file. */
const OWN_WORDS: Partial<Record<FlagName, string>> = {
  '--listen': 'Where to listen: host:port, :port, [v6]:port or unix:/path. May be given more than once.',
  '--upstream':
    'Where connections go, in turn: host:port, unix:/path, a name, which stands for all of its addresses, srv://_service._tcp.name or file:///path. May be given more than once.',
  '--dns-server':
    "A name server to ask, as address or address:port. May be given more than once. Default: the machine's own.",
};

/** Adds flags to a command: all of them, or those named. `defaults` are the command's own, beside the schema's. */
export function addFlags(
  command: Command,
  names: readonly FlagName[] = FLAG_NAMES,
  defaults: Readonly<Partial<Record<FlagName, string>>> = {},
): void {
  for (const name of names) {
    const { value, group, repeats }: FlagSpec = FLAGS[name];
    const term = value === undefined ? name : `${name} <${value}>`;
    const option = new Option(term, describe(name, defaults[name])).helpGroup(`${group}:`);
    if (repeats) option.argParser((next: string, before: readonly string[] = []) => [...before, next]);
    command.addOption(option);
  }
}

/** What was given of them, unparsed. */
export function readFlags(command: Command): Flags {
  const flags: { -readonly [Name in keyof Flags]: Flags[Name] } = {};
  for (const option of command.options) {
    const name = FLAG_NAMES.find((flag) => flag === option.long);
    const value: unknown = command.getOptionValue(option.attributeName());
    if (name !== undefined && isFlagValue(value)) flags[name] = value;
  }
  return flags;
}

function isFlagValue(value: unknown): value is string | true | readonly string[] {
  return value === true || typeof value === 'string' || Array.isArray(value);
}

function describe(name: FlagName, ownDefault: string | undefined): string {
  const { path }: FlagSpec = FLAGS[name];
  const schema = schemaAt(path);
  const words = OWN_WORDS[name] ?? schema?.description ?? '';
  const choices = schema?.enum === undefined ? '' : ` One of ${schema.enum.join(', ')}.`;
  const standard = ownDefault ?? schema?.default;
  const isSaid = standard === undefined || standard === false;
  return `${words}${choices}${isSaid ? '' : ` Default: ${String(standard)}.`}`;
}
