/** `meshproxy ca …`: the certificate authority of a mesh. Each command is a file of its own in `ca/`. */
import type { Command } from 'commander';
import * as init from './ca/init.js';
import * as inspect from './ca/inspect.js';
import * as issue from './ca/issue.js';
import * as join from './ca/join.js';
import * as revoke from './ca/revoke.js';
import * as rotate from './ca/rotate.js';
import * as serve from './ca/serve.js';
import * as status from './ca/status.js';
import * as token from './ca/token.js';

const EXAMPLES = `
Examples:
  meshproxy ca init --trust-domain example.org
  meshproxy ca issue --identity ns/default/sa/orders --out orders/
  meshproxy ca serve --listen :8443
  meshproxy ca token --identity ns/default/sa/orders --ca ca.internal:8443

The folder of the authority is certs/ where --dir names no other. The root's key signs nothing but issuers: move
root-*.key to a safe place, and bring it back for 'meshproxy ca rotate'.
`;

export function register(program: Command): void {
  const ca = program
    .command('ca')
    .summary('the certificate authority of the mesh')
    .description('Makes and runs the authority that gives workloads their short-lived identities.')
    .addHelpText('after', EXAMPLES);
  for (const command of [init, serve, token, join, issue, status, inspect, rotate, revoke]) command.register(ca);
}
