/** What happens in the service, for whoever keeps its log and its counters. */
import type { RefusalCode } from './service-requests.js';

/** `address` is the client's, host and port. */
export type ServiceEvent =
  | {
      readonly kind: 'issued';
      readonly address: string;
      readonly identity: string;
      readonly serial: string;
      /** Milliseconds since 1970. */
      readonly notAfter: number;
      /** `token ID` or `certificate SERIAL`. */
      readonly by: string;
    }
  | {
      readonly kind: 'refused';
      readonly address: string;
      readonly code: RefusalCode;
      readonly why: string;
      /** Whom it was for, where that could be told. Not proven. */
      readonly identity: string | undefined;
    }
  /** A connection that never came to a request. */
  | { readonly kind: 'turned-away'; readonly address: string; readonly why: string }
  /** The authority could not do what it should: a disk, an issuer that has expired, or a bug. */
  | { readonly kind: 'failed'; readonly what: string; readonly error: unknown }
  /** The certificate that the service shows is another. */
  | { readonly kind: 'renewed'; readonly notAfter: number };
