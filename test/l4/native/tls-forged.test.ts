import { createNativeTransport } from '../../../src/l4/native/transport.js';
import { describeForgedTls } from '../tls-forged.conformance.js';

describeForgedTls(
  createNativeTransport({
    onBug(error) {
      throw error;
    },
  }),
);
