/** `meshproxy ca token`: makes join tokens, lists and revokes them. */
import { X509Certificate } from 'node:crypto';
import type { Command } from 'commander';
import { parseAddress } from '../../core/address.js';
import { MeshproxyError } from '../../core/errors.js';
import { formatSpiffeId, isAuthorityIdentity, parseIdentity, type SpiffeId } from '../../core/identity.js';
import type { CaStore } from '../../pki/store.js';
import type { TokenRecord, TokenStore } from '../../pki/token-store.js';
import { type Column, formatTable, standardOutput } from '../table.js';
import { openFolder } from './folder.js';
import { durationOf } from './values.js';

interface CreateOptions {
  readonly dir: string;
  readonly identity?: string;
  readonly ttl: string;
  readonly ca?: string;
  readonly out?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

const EXAMPLES = `
Examples:
  meshproxy ca token --identity ns/default/sa/orders --ca ca.internal:8443
  meshproxy ca token --identity ns/default/sa/orders --ttl 10m --out orders.token
  meshproxy ca token --identity ns/default/sa/orders | ssh host 'umask 077; cat > orders.token'
  meshproxy ca token list
  meshproxy ca token revoke 1f0c5e1d2a3b4c5d

A token is a secret until it is used: whoever has it first gets the identity. Only the token itself is printed on
standard output, and everything else on standard error.
`;

export function register(ca: Command): void {
  const token = withDirectory(ca.command('token'))
    .summary('make a join token, for the first certificate of a workload')
    .description(
      'Makes a join token: it is worth one identity, once, for a short time, and brings the fingerprints of the roots, so that the workload knows the authority when it first meets it.',
    )
    .option('--identity <spiffe-id>', 'whose: spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/NAME, or ns/NAMESPACE/sa/NAME')
    .option('--ttl <duration>', 'how long it can be used, 1m to 1d', '1h')
    .option('--ca <address>', 'where the authority is served, for the workload to know: host:port')
    .option('--out <file>', 'write it there, for its owner alone, in place of printing it')
    .option('--force', 'replace the file where there is one')
    .option('--json', 'print the token and what it is for as JSON')
    .addHelpText('after', EXAMPLES)
    .action(create);
  // Commander gives options that both have to the parent, wherever they are written: hence `optsWithGlobals`.
  withDirectory(token.command('list'))
    .description('Lists the tokens that can be used, and those that were used or expired less than an hour ago.')
    .option('--json', 'print them as JSON')
    .action((_options, command: Command) => list(command.optsWithGlobals()));
  withDirectory(token.command('revoke'))
    .description('Makes a token worthless. Certificates that it was used for are not touched: meshproxy ca revoke.')
    .argument('<id>', 'as meshproxy ca token list shows it')
    .action((id: string, _options, command: Command) => revoke(id, command.optsWithGlobals()));
}

function withDirectory(command: Command): Command {
  return command.option('--dir <folder>', 'the folder of the authority', 'certs');
}

async function create(options: CreateOptions): Promise<void> {
  const { TokenStore, MIN_TOKEN_TTL_MS, MAX_TOKEN_TTL_MS } = await import('../../pki/token-store.js');
  const { fingerprintOf } = await import('../../pki/join-token.js');
  const ttlMs = durationOf('--ttl', options.ttl, { least: MIN_TOKEN_TTL_MS, most: MAX_TOKEN_TTL_MS });
  if (options.ca !== undefined) parseAddress(options.ca);
  const store = await openFolder(options);
  const state = await store.readState();
  const identity = readIdentity(options.identity, state.trustDomain);
  await refuseRevoked(store, identity);
  const roots = certificatesIn(await store.bundleOf(state)).map(fingerprintOf);
  const tokens = new TokenStore(store.directory);
  const now = Date.now();
  await tokens.sweep(now);
  const made = await tokens.create(
    { identity, ttlMs, roots, ...(options.ca !== undefined && { ca: options.ca }) },
    now,
  );
  const facts = { ...made, identity: formatSpiffeId(identity), expires: new Date(now + ttlMs).toISOString() };
  await hand(options, facts, tokens);
}

function readIdentity(text: string | undefined, trustDomain: string): SpiffeId {
  if (text === undefined) {
    throw new MeshproxyError('usage', 'whom the token is for is missing', {
      hint: 'give --identity ns/NAMESPACE/sa/NAME; meshproxy ca token --help shows examples',
    });
  }
  const identity = parseIdentity(text, trustDomain);
  if (identity.trustDomain !== trustDomain) {
    throw new MeshproxyError('bad-identity', `this authority is of ${trustDomain}, not of ${identity.trustDomain}`);
  }
  if (isAuthorityIdentity(identity)) {
    throw new MeshproxyError('bad-identity', `${text} is the authority's own name, which no workload gets`);
  }
  return identity;
}

async function refuseRevoked(store: CaStore, identity: SpiffeId): Promise<void> {
  const id = formatSpiffeId(identity);
  const { identities } = await store.readRevoked();
  if (!identities.some((revoked) => revoked.id === id)) return;
  throw new MeshproxyError('bad-identity', `${id} is revoked: nothing is issued for it any more`);
}

interface Made {
  readonly id: string;
  readonly token: string;
  readonly identity: string;
  readonly expires: string;
}

async function hand({ out, json, force }: CreateOptions, made: Made, tokens: TokenStore): Promise<void> {
  const { id, token, identity, expires } = made;
  if (out !== undefined) {
    try {
      const { SECRET_MODE, writeWhole } = await import('../../pki/safe-files.js');
      await writeWhole(out, `${token}\n`, { mode: SECRET_MODE, how: force === true ? 'replace' : 'create' });
    } catch (error) {
      // Nobody will ever have it.
      await tokens.revoke(id);
      throw error;
    }
  }
  if (json === true) {
    const { token: _, ...rest } = made;
    standardOutput().write(`${JSON.stringify(out === undefined ? made : { ...rest, file: out }, undefined, 2)}\n`);
    return;
  }
  process.stderr.write(`join token ${id} for ${identity}, to be used once, until ${expires}\n`);
  if (out === undefined) standardOutput().write(`${token}\n`);
  else process.stderr.write(`  in ${out}\n`);
}

const COLUMNS: readonly Column[] = [
  { name: 'id' },
  { name: 'identity', shrinks: true },
  { name: 'state' },
  { name: 'expires' },
  { name: 'used' },
];

async function list({ dir, json }: { readonly dir: string; readonly json?: boolean }): Promise<void> {
  const tokens = await openTokens(dir);
  const now = Date.now();
  const records = await tokens.list();
  const output = standardOutput();
  if (json === true) {
    const plain = records.map(({ claim, ...record }) => ({
      ...record,
      createdAt: isoTime(record.createdAt),
      expires: isoTime(record.expires),
      state: stateOf({ ...record, claim }, now),
      usedAt: claim && isoTime(claim.at),
    }));
    return output.write(`${JSON.stringify(plain, undefined, 2)}\n`);
  }
  if (records.length === 0) return output.write('there are no join tokens\n');
  const rows = records.map((record) => [
    record.id,
    record.identity,
    stateOf(record, now),
    isoTime(record.expires),
    record.claim === undefined ? '–' : isoTime(record.claim.at),
  ]);
  output.write(formatTable(COLUMNS, rows, output));
}

async function revoke(id: string, { dir }: { readonly dir: string }): Promise<void> {
  const tokens = await openTokens(dir);
  const record = (await tokens.list()).find((one) => one.id === id);
  if (!(await tokens.revoke(id))) {
    throw new MeshproxyError('usage', `there is no join token ${JSON.stringify(id)} in ${dir}`, {
      hint: 'meshproxy ca token list shows them',
    });
  }
  const used = record?.claim === undefined ? '' : '; it had been used, and what it was used for stays valid';
  standardOutput().write(`join token ${id} is revoked${used}\n`);
}

/** Rejects where there is no authority: an empty list would be no answer. */
async function openTokens(dir: string): Promise<TokenStore> {
  const { TokenStore } = await import('../../pki/token-store.js');
  await (await openFolder({ dir })).readState();
  return new TokenStore(dir);
}

function stateOf({ claim, expires }: TokenRecord, now: number): 'open' | 'used' | 'expired' {
  if (claim !== undefined) return 'used';
  return expires <= now ? 'expired' : 'open';
}

function certificatesIn(pem: string): X509Certificate[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (one) => new X509Certificate(one),
  );
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
