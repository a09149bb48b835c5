import { streamsTransport } from '../../../src/l4/streams/transport.js';
import { describeTls } from '../tls.conformance.js';

describeTls(streamsTransport, streamsTransport);
