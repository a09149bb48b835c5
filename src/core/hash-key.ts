/** What consistent hashing goes by, as people write it: `source-ip`, or `proxy-tlv:0xEA` for a field of the PROXY protocol. */

const NAMES = ['source-ip', 'source-ip-port', 'sni', 'destination', 'identity'] as const;

export type HashKey =
  | { readonly kind: (typeof NAMES)[number] }
  /** `type`: 0 to 255, as on the wire. */
  | { readonly kind: 'proxy-tlv'; readonly type: number };

/** For messages. */
export const HASH_KEYS = `${NAMES.join(', ')} or proxy-tlv:0xEA`;

/** `undefined` where it is none of them. */
export function parseHashKey(text: string): HashKey | undefined {
  const name = NAMES.find((known) => known === text);
  if (name !== undefined) return { kind: name };
  const type = /^proxy-tlv:0x([0-9a-f]{2})$/i.exec(text)?.[1];
  return type === undefined ? undefined : { kind: 'proxy-tlv', type: Number.parseInt(type, 16) };
}

/** The form that `parseHashKey` reads back. */
export function formatHashKey(key: HashKey): string {
  return key.kind === 'proxy-tlv' ? `proxy-tlv:0x${key.type.toString(16).toUpperCase().padStart(2, '0')}` : key.kind;
}
