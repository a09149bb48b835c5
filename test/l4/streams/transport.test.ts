import { streamsTransport } from '../../../src/l4/streams/transport.js';
import { describeTransport } from '../transport.conformance.js';

describeTransport(streamsTransport);
