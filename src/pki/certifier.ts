/** Who gets a certificate: whoever has a join token, or a certificate of ours that is valid or expired not long ago. */
import type { X509Certificate } from 'node:crypto';
import type { Clock } from '../core/clock.js';
import { describeError, MeshproxyError } from '../core/errors.js';
import { formatSpiffeId, isAuthorityIdentity, type SpiffeId } from '../core/identity.js';
import { formatDuration } from '../core/units.js';
import type { Authority, Issued, Recognized } from './authority.js';
import { readCsr } from './csr.js';
import { parseJoinToken } from './join-token.js';
import { type CertificateAsk, type Refusal, refusal } from './service-requests.js';
import type { TokenStore } from './token-store.js';

export interface CertifierOptions {
  readonly authority: Authority;
  readonly tokens: TokenStore;
  /** Of what it issues. */
  readonly lifetimeMs: number;
  /** How long after its end a certificate is still good for getting the next one. */
  readonly graceMs: number;
  readonly clock: Clock;
}

/** Who asks. */
export interface Applicant {
  /** For the log: host and port. */
  readonly address: string;
  /** Shown in the TLS handshake, with the proof that its key is there (RFC 8446 section 4.4.3), and not verified. */
  readonly leaf: X509Certificate | undefined;
}

export interface Certified {
  readonly kind: 'certified';
  readonly issued: Issued;
  readonly identity: SpiffeId;
  /** What it was given for: `token 0123…` or `certificate 4567…`. */
  readonly by: string;
}

type Entitled = { readonly kind: 'entitled'; readonly identity: SpiffeId; readonly by: string };

type Unrecognized = Recognized & { readonly kind: 'refused' };

type Csr = ReturnType<typeof readCsr>;

/** Of a name that nobody has verified. */
const MAX_SHOWN = 200;

const NEW_TOKEN = 'get a new join token: meshproxy ca token --identity ID';

export class Certifier {
  readonly #options: CertifierOptions;

  constructor(options: CertifierOptions) {
    this.#options = options;
  }

  /** Rejects where the authority cannot issue: its own fault, not the applicant's. */
  async certify(ask: CertificateAsk, applicant: Applicant): Promise<Certified | Refusal> {
    const { authority, lifetimeMs } = this.#options;
    const csr = readRequest(ask.csr);
    if ('kind' in csr) return csr;
    const entitled = await this.#entitle(ask, csr, applicant);
    if (entitled.kind === 'refused') return entitled;
    const { identity, by } = entitled;
    const requester = `${applicant.address}, ${by}`;
    const issued = await authority.issue({ spki: csr.spki, identity, lifetimeMs, requester });
    return { kind: 'certified', issued, identity, by };
  }

  #entitle({ token }: CertificateAsk, csr: Csr, { leaf }: Applicant): Promise<Entitled | Refusal> | Entitled | Refusal {
    if (token !== undefined) return this.#byToken(token, csr, leaf);
    if (leaf !== undefined) return this.#byCertificate(leaf);
    return refusal('unauthorized', 'there is neither a join token nor a client certificate', { hint: NEW_TOKEN });
  }

  async #byToken(text: string, { spki }: Csr, leaf: X509Certificate | undefined): Promise<Entitled | Refusal> {
    const { tokens, clock } = this.#options;
    const token = readToken(text);
    if ('kind' in token) return token;
    const identity = formatSpiffeId(token.identity);
    // Before the token is spent.
    const problem = this.#forbidden(token.identity) ?? (leaf && this.#conflict(identity, leaf));
    if (problem !== undefined) return { ...problem, identity };
    const redeemed = await tokens.redeem(token, spki, clock.wall());
    if (redeemed.kind === 'refused') {
      return { ...refusal(redeemed.code, redeemed.why, { hint: NEW_TOKEN }), identity };
    }
    return { kind: 'entitled', identity: redeemed.identity, by: `token ${redeemed.id}` };
  }

  #byCertificate(leaf: X509Certificate): Entitled | Refusal {
    const known = this.#options.authority.recognize(leaf);
    if (known.kind === 'refused') return this.#unrecognized(leaf, known);
    const problem = this.#graceOver(known.notAfter) ?? this.#forbidden(known.identity);
    if (problem !== undefined) return { ...problem, identity: formatSpiffeId(known.identity) };
    return { kind: 'entitled', identity: known.identity, by: `certificate ${known.serial}` };
  }

  #unrecognized({ subjectAltName = '' }: X509Certificate, { revoked, why }: Unrecognized): Refusal {
    const { trustDomain } = this.#options.authority;
    const identity = subjectAltName.replace(/^URI:/, '').slice(0, MAX_SHOWN);
    const domain = /^spiffe:\/\/([^/]*)/.exec(identity)?.[1] ?? trustDomain;
    const isForeign = domain !== trustDomain;
    const words = isForeign ? `it is of the trust domain ${domain}, and this authority is of ${trustDomain}` : why;
    const code = revoked ? 'revoked' : 'unauthorized';
    return { ...refusal(code, `the client certificate: ${words}`, { hint: NEW_TOKEN }), identity };
  }

  #graceOver(notAfter: number): Refusal | undefined {
    const { graceMs, clock } = this.#options;
    if (clock.wall() - notAfter <= graceMs) return undefined;
    const at = new Date(notAfter).toISOString();
    const why = `the client certificate expired at ${at}, and the grace period of ${formatDuration(graceMs)} is over`;
    return refusal('unauthorized', why, { hint: NEW_TOKEN });
  }

  #forbidden(identity: SpiffeId): Refusal | undefined {
    const { authority } = this.#options;
    const id = formatSpiffeId(identity);
    if (identity.trustDomain !== authority.trustDomain) {
      return refusal('unauthorized', `this authority is of ${authority.trustDomain}, not of ${identity.trustDomain}`);
    }
    if (isAuthorityIdentity(identity)) return refusal('unauthorized', `${id} is the authority itself`);
    return authority.isRevoked(identity) ? refusal('revoked', `${id} is revoked`) : undefined;
  }

  /** A token is for who it says; somebody else's certificate beside it is a mistake, or worse. */
  #conflict(id: string, leaf: X509Certificate): Refusal | undefined {
    const known = this.#options.authority.recognize(leaf);
    if (known.kind === 'refused' || formatSpiffeId(known.identity) === id) return undefined;
    const other = formatSpiffeId(known.identity);
    return refusal('unauthorized', `the join token is for ${id}, and the client certificate is of ${other}`, {
      hint: 'send the token without a client certificate',
    });
  }
}

function readRequest(pem: string): Csr | Refusal {
  return orRefusal(() => readCsr(pem));
}

function readToken(text: string): ReturnType<typeof parseJoinToken> | Refusal {
  return orRefusal(() => parseJoinToken(text));
}

function orRefusal<T>(read: () => T): T | Refusal {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof MeshproxyError)) throw error;
    return refusal('bad-request', describeError(error));
  }
}
