/**
 * Certificates that peers have shown, parsed: a workload shows the same one in each of its handshakes, for an hour, and parsing it
 * costs a tenth of a handshake. Of what it is nothing is remembered but what it says: each handshake verifies its chain anew.
 */
import { X509Certificate } from 'node:crypto';

/** Peers of one proxy that are told apart at a time; past that, the one that was parsed first is forgotten. About 4 KB each. */
const MOST = 256;

const seen = new Map<string, X509Certificate>();

export function parsedCertificate(der: Buffer): X509Certificate {
  const key = der.toString('latin1');
  const known = seen.get(key);
  if (known !== undefined) return known;
  const certificate = new X509Certificate(der);
  const [oldest] = seen.keys();
  if (seen.size >= MOST && oldest !== undefined) seen.delete(oldest);
  seen.set(key, certificate);
  return certificate;
}
