/** Why each default is what it is; the values themselves are below, in the schema's own terms. */
export const DEFAULTS = {
  /** Twice a slow cross-continent handshake with one lost SYN (1 s until Linux sends it again). */
  connectTimeout: '2s',
  /** As ztunnel has it for one attempt; here for all attempts of one connection together. */
  connectDeadline: '10s',
  /** Enough to get past a rack that is gone; a bound, so that one connection cannot try a thousand endpoints. */
  connectAttempts: 8,
  /** As Finagle, linkerd2 and Envoy have it. */
  retryBudget: '20%',
  /** As Envoy has it: a service with few connections can still get past a few dead endpoints. */
  retryMinRate: 3,
  /** As Envoy has it: who waits costs a socket and a little memory. */
  maxPending: 1024,
  /** As long as HAProxy's users wait by its documentation's examples, and longer than clients of most services are patient. */
  queueTimeout: '5s',
  /** Less than a person notices; ten times what CoDel allows a router, for connections are made less often than packets sent. */
  queueTarget: '50ms',
  /** Off: a proxy that does not know the protocol cannot know whether a request may arrive twice. */
  replay: 'off',
  /** RFC 8305 section 8: the recommended Connection Attempt Delay. */
  raceDelay: '250ms',
  /** As linkerd2 has it: of all that were measured the one that a slow or hanging endpoint harms least. */
  balance: 'ewma',
  /** As HAProxy's `source` and Envoy's source IP hash policy. */
  hashKey: 'source-ip',
  /** Off, as in Envoy and HAProxy: with it, keys move when others are busy. */
  hashBalanceFactor: 'off',
  /** As tower, linkerd2 and Finagle have it. */
  ewmaDecay: '10s',
  /** As linkerd2 has it: a little more than a good endpoint of the same region takes. */
  ewmaInitial: '30ms',
  /** Off, as in Envoy and HAProxy: most programs are as fast in their first second as later. */
  slowStart: 'off',
  /** As Envoy has it. */
  panicThreshold: '50%',
  /** As Envoy has it. */
  ejectAfter: 5,
  /**
   * Ten times the median of the zone, and never under 100 ms: no load makes that of a server that is well. Envoy has no such
   * ejection; but who balances by turns has no other defence against one that accepts a second late.
   */
  ejectLatency: 10,
  ejectTime: '30s',
  ejectMaxTime: '5m',
  /** Envoy's 10 % leaves two of three dead ones in a fleet of ten to be found out by each connection anew. */
  ejectMaxShare: '50%',
  /** Connections themselves find out most, and every proxy of a mesh asks every endpoint: who wants that says what to ask. */
  healthCheck: 'off',
  /** As nginx has it. HAProxy's 2 s are for the one balancer before its servers; here each proxy of a mesh asks. */
  healthInterval: '5s',
  /** As long as connecting may take (above). */
  healthTimeout: '2s',
  /** As HAProxy has them: one answer that was lost takes nobody out, and one that came by chance lets nobody in. */
  healthRise: 2,
  healthFall: 3,
  /** As HAProxy has it: a redirect shows that somebody is at work. */
  healthStatus: '200-399',
  /** None: databases keep connections idle for hours (Istio's default of one hour breaks their pools). */
  idleTimeout: 'off',
  /** As long as a person might wait for the answer to a finished request; bytes that move start it again. */
  halfCloseTimeout: '5m',
  /**
   * Ten times what a busy thread takes for a turn, so that no burst is refused that would drain by itself; and well below the
   * second after which clients give up, and what is done for them is done for nobody.
   */
  shedTarget: '100ms',
  /** Finds a dead peer in about a minute, and stays under the 350 s at which cloud load balancers forget a flow. */
  keepalive: '60s',
  /** A load balancer sends the header at once; this is for one lost packet and its retransmission, twice over. */
  proxyProtocolTimeout: '5s',
  /** A client that speaks first does so at once; one that waits for the server to speak loses so much, and no more. */
  detectTimeout: '250ms',
  /** A handshake is two round trips and a signature; this is for a client on a bad line, with packets lost. */
  tlsHandshakeTimeout: '10s',
  /** Longer than an authority takes to restart; whoever runs the proxy starts it again after that. */
  joinTimeout: '30s',
  /** As HAProxy's and Docker's users are used to; Kubernetes kills at 30 s as well. */
  drainTimeout: '30s',
  /** One Node read at most; the bound on bytes in flight per direction is about two of these beside the kernel's. */
  bufferSize: '64KiB',
  /** A TTL of 0 must not mean a query per connection. */
  dnsMinTtl: '1s',
  /** A name whose owner forgot its TTL of a week still moves within minutes. */
  dnsMaxTtl: '5m',
  /** As long as system caches (nscd, systemd-resolved) hold an answer that names no TTL. */
  dnsFallbackTtl: '30s',
  /** On the loopback interface: what it shows and does is for the machine's operator. */
  admin: '127.0.0.1:9901',
} as const;
