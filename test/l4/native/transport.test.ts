import { createNativeTransport } from '../../../src/l4/native/transport.js';
import { describeTransport } from '../transport.conformance.js';

describeTransport(
  createNativeTransport({
    onBug(error) {
      throw error;
    },
  }),
);
