/** Whether what is said of TLS fits together: it needs somebody to be, and somebody to trust. */
import type { Path } from './json-schema.js';
import type { Problem } from './problems.js';
import type { ParsedInput } from './schema.js';
import { show } from './show.js';

type FileKey = Exclude<keyof ParsedInput['identity'], 'ca' | 'revoked'>;
type Listener = ParsedInput['listeners'][string];
type Service = ParsedInput['services'][string];

export function checkTls({ identity, listeners, services }: ParsedInput): Problem[] {
  return [
    ...halves(identity),
    ...authority(identity),
    ...Object.entries(listeners).flatMap(([name, listener]) => accepting(['listeners', name], listener, identity)),
    ...Object.entries(services).flatMap(([name, service]) => dialling(['services', name], service, identity)),
  ];
}

/** Kinds of upstream that name no host which a certificate could be for. */
const NAMELESS = ['unix', 'any', 'srv', 'file'];

function halves({ certificate, key }: ParsedInput['identity']): Problem[] {
  if ((certificate === undefined) === (key === undefined)) return [];
  const [there, lacking] = key === undefined ? ['certificate', 'key'] : ['key', 'certificate'];
  return [problem(['identity', there], `is of no use without identity.${lacking}`)];
}

function authority({ ca, certificate, key, bundle, revoked }: ParsedInput['identity']): Problem[] {
  if (ca === undefined) {
    if (revoked === undefined || bundle !== undefined) return [];
    return [problem(['identity', 'revoked'], 'is of no use without identity.bundle: nobody is trusted')];
  }
  if (ca.addresses.length === 0) {
    const at = ca.tokenFile === undefined ? 'directory' : 'tokenFile';
    return [
      problem(['identity', 'ca', at], 'is of no use without the address of an authority (identity.ca.addresses, --ca)'),
    ];
  }
  if ((certificate ?? key ?? bundle ?? revoked) === undefined) return [];
  return [
    problem(
      ['identity', 'ca'],
      'gives this proxy its certificate, key, bundle and what is revoked: leave out the files (--tls-…), or this',
    ),
  ];
}

function accepting(path: Path, listener: Listener, identity: ParsedInput['identity']): Problem[] {
  const { tlsAccept, clientIdentities } = listener;
  if (clientIdentities !== undefined && tlsAccept !== 'mutual') {
    return [problem([...path, 'clientIdentities'], 'has no meaning without tlsAccept mutual')];
  }
  if (tlsAccept === 'off') return [];
  const files: FileKey[] = tlsAccept === 'mutual' ? ['certificate', 'key', 'bundle'] : ['certificate', 'key'];
  return lackingFiles([...path, 'tlsAccept'], tlsAccept, files, identity);
}

function dialling(path: Path, service: Service, identity: ParsedInput['identity']): Problem[] {
  const { tlsDial, serverIdentity, serverName, upstreams } = service;
  if (serverIdentity !== undefined && tlsDial !== 'mutual') {
    return [problem([...path, 'serverIdentity'], 'has no meaning without tlsDial mutual')];
  }
  const at = [...path, 'tlsDial'];
  switch (tlsDial) {
    case 'off':
      return [];
    case 'originate': {
      const hosts = new Set(upstreams.map((upstream) => (upstream.kind === 'name' ? upstream.name : upstream.kind)));
      if (serverName !== undefined || (hosts.size === 1 && !NAMELESS.some((kind) => hosts.has(kind)))) return [];
      return [
        problem(at, '"originate" needs serverName, the host that the certificates are to be for (--server-name)'),
      ];
    }
    case 'mutual': {
      const lacking = lackingFiles(at, tlsDial, ['certificate', 'key', 'bundle'], identity);
      if (serverIdentity !== undefined) return lacking;
      const message = '"mutual" needs serverIdentity, the SPIFFE ID that the upstreams must prove (--server-identity)';
      return [...lacking, problem(at, message)];
    }
  }
}

function lackingFiles(
  path: Path,
  mode: string,
  keys: readonly FileKey[],
  identity: ParsedInput['identity'],
): Problem[] {
  const lacking = identity.ca === undefined ? keys.filter((key) => identity[key] === undefined) : [];
  if (lacking.length === 0) return [];
  const flags = lacking.map((key) => `--tls-${key}`).join(', ');
  const message = `${show(mode)} needs files that identity does not name: ${lacking.join(', ')} (${flags}, or --ca)`;
  return [problem(path, message)];
}

function problem(path: Path, message: string): Problem {
  return { path, at: 'value', message };
}
