import { streamsTransport } from '../../../src/l4/streams/transport.js';
import { describeForgedTls } from '../tls-forged.conformance.js';

describeForgedTls(streamsTransport);
