/** `meshproxy schema`: the JSON Schema of the configuration file, for editors. */
import type { Command } from 'commander';
import { configJsonSchema } from '../config/json-schema.js';
import { standardOutput } from './table.js';

const EDITORS = `
Let your editor check and complete meshproxy.yaml as you type:
  meshproxy schema > meshproxy.schema.json
and put this in the first line of the file, which the YAML extensions of most editors read:
  # yaml-language-server: $schema=./meshproxy.schema.json
or in a JSON file: "$schema": "./meshproxy.schema.json"
`;

export function register(program: Command): void {
  program
    .command('schema')
    .summary('print the JSON Schema of the configuration file')
    .description(
      'Prints the JSON Schema (draft 7) of the configuration file, with what every key means, its default and its form.',
    )
    .addHelpText('after', EDITORS)
    .action(() => standardOutput().write(`${JSON.stringify(configJsonSchema(), undefined, 2)}\n`));
}
