import { streamsTransport } from '../../../src/l4/streams/transport.js';
import { describeTlsRefusals } from '../tls-refusals.conformance.js';

describeTlsRefusals(streamsTransport, streamsTransport);
