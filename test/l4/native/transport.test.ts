import { createNativeTransport } from '../../../src/l4/native/transport.js';
import { describeSpared } from '../spared.conformance.js';
import { describeTransport } from '../transport.conformance.js';

const transport = createNativeTransport({
  onBug(error) {
    throw error;
  },
});

describeTransport(transport);
describeSpared(transport);
