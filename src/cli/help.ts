/** What the help says beside the list of options, which comes from the schema. */

export const USAGE = `--listen ADDRESS --upstream ADDRESS [options]
       meshproxy --config FILE [options]
       meshproxy COMMAND [options]`;

export const DESCRIPTION =
  'A service mesh for TCP: accepts connections and carries their bytes to the upstreams of a service, whatever protocol they speak.';

const EXAMPLES = `Examples:
  meshproxy --listen 127.0.0.1:8080 --upstream 127.0.0.1:9001 --upstream 127.0.0.1:9002
  meshproxy --listen :5432 --upstream db.internal:5432 --max-connections 500
  meshproxy --config meshproxy.yaml
  meshproxy demo
`;

/** For who types the name of the program to see what it is. */
export const SHORT_HELP = `Usage: meshproxy ${USAGE}

${EXAMPLES}
meshproxy --help explains all options and commands.
`;

export const AFTER = `
Values:
  address   127.0.0.1:8080, example.org:80, :8080 (all addresses of this machine), [::1]:8080,
            unix:/run/app.sock, unix:@name (abstract, Linux)
  upstream  an address, or tcp://example.org:80, dns://example.org:80 (all its A and AAAA records),
            srv://_app._tcp.example.org (SRV records), file:///etc/app.yaml (a list of endpoints, watched)
  duration  250ms, 2s, 1m30s, 1h; a number needs its unit; off where the option says so
  size      65536, 64KiB, 16MiB, 2GiB

A file for --config:
  listeners:
    web:      {address: ":8080"}                 # to the service of the same name
    postgres: {address: "127.0.0.1:5432", service: db, maxConnections: 500}
  services:
    web: {upstreams: ["10.0.0.1:9000", "app.internal:9000"]}
    db:  {upstreams: ["10.0.0.7:5432"], connectTimeout: 500ms, sendProxyProtocol: v2}
  defaults:
    service: {connectAttempts: 3}                # for each service that does not say otherwise
  meshproxy check FILE validates one; meshproxy schema describes every key. Flags of the groups Clients and
  Upstreams are defaults for the listeners and services of the file; all others win over what it says.

Signals:
  SIGHUP            reads the file again, as a change to it does. No open connection is touched; a file with
                    errors is refused, and the configuration before it stays in force.
  SIGTERM, SIGINT   accept no more, let connections finish until --drain-timeout, reset what is left, exit with 0
  a second one      resets everything at once, and exits with 1

Exit codes: 0 done or drained, 1 failed at run time, 2 wrong usage, address or configuration.

${EXAMPLES}`;
