import { streamsTransport } from '../../../src/l4/streams/transport.js';
import { describeSpared } from '../spared.conformance.js';
import { describeTransport } from '../transport.conformance.js';

describeTransport(streamsTransport);
describeSpared(streamsTransport);
