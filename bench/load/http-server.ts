/** An HTTP upstream for where nginx is not installed. Run as `node http-server.js PORT BODY`. */
import { createServer } from 'node:http';

const [port, body] = process.argv.slice(2);
createServer((_request, response) => {
  response.setHeader('content-type', 'text/plain');
  response.end(body);
}).listen(Number(port), '127.0.0.1');
