import { createNativeTransport } from '../../../src/l4/native/transport.js';
import { streamsTransport } from '../../../src/l4/streams/transport.js';
import { describeTlsRefusals } from '../tls-refusals.conformance.js';

const native = createNativeTransport({
  onBug(error) {
    throw error;
  },
});

describeTlsRefusals(native, native);
describeTlsRefusals(native, streamsTransport);
describeTlsRefusals(streamsTransport, native);
