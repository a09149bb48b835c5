import { expect, it } from 'vitest';
import type { Built } from '../../bench/authority.js';
import * as clock from '../../src/core/clock.js';
import * as authority from '../../src/pki/authority.js';
import * as client from '../../src/pki/ca-client.js';
import * as csr from '../../src/pki/csr.js';
import * as init from '../../src/pki/init.js';
import * as issuer from '../../src/pki/issuer.js';
import * as renewer from '../../src/pki/renewer.js';
import * as store from '../../src/pki/store.js';

/** The benchmark knows the program as built, and says itself what it uses of it: that this is so, the compiler checks here. */
const built: Built = { ...clock, ...authority, ...client, ...csr, ...init, ...issuer, ...renewer, ...store };

it('measures an authority that is made as the program makes it', () => {
  const now = Date.now();
  const root = built.newRoot('bench.example', now);
  const { certificate, keys } = built.newIssuer('bench.example', root.certificate, root.keys.privateKey, now);
  const identity = { trustDomain: 'bench.example', namespace: 'bench', name: 'leaf' };
  const { spki } = built.readCsr(built.createCsr(built.newKeys()));
  const signing = new built.Issuer(String(certificate), keys.privateKey, identity.trustDomain);
  expect(signing.issue({ spki, identity, lifetimeMs: 3_600_000, now })).toHaveProperty('serial');
});
