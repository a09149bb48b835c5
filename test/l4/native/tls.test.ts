import { createNativeTransport } from '../../../src/l4/native/transport.js';
import { streamsTransport } from '../../../src/l4/streams/transport.js';
import { describeTls } from '../tls.conformance.js';

const native = createNativeTransport({
  onBug(error) {
    throw error;
  },
});

describeTls(native, native);
describeTls(native, streamsTransport);
describeTls(streamsTransport, native);
