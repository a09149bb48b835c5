import { expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.js';

function configure(listener: string, upstream: string): () => void {
  return () =>
    void parseConfig({ listeners: { a: { address: listener } }, services: { a: { upstreams: [upstream] } } });
}

test.each([
  ['127.0.0.1:1', '127.0.0.1:1'],
  ['127.0.0.1:1', 'localhost:1'],
  ['127.0.0.1:1', ':1'],
  ['[::1]:1', 'localhost:1'],
  ['localhost:1', '127.0.0.1:1'],
  ['0.0.0.0:1', '127.0.0.1:1'],
  ['[::]:1', '[::1]:1'],
  [':1', '127.9.9.9:1'],
  ['example.org:1', 'example.org:1'],
  ['unix:/run/a', 'unix:/run/a'],
  ['127.0.0.1:1', 'tcp://127.0.0.1:1'],
  ['127.0.0.1:1', 'dns://localhost:1'],
])('a listener on %s takes what is sent to the upstream %s, and that is told', (listener, upstream) => {
  expect(configure(listener, upstream)).toThrow('its connections would come back to it without end');
});

test.each([
  ['127.0.0.1:1', '127.0.0.1:2'],
  ['127.0.0.1:1', '127.0.0.2:1'],
  ['127.0.0.1:1', '[::1]:1'],
  ['0.0.0.0:1', '[::1]:1'],
  ['localhost:1', '[::1]:1'],
  [':1', '10.0.0.1:1'],
  ['127.0.0.1:0', 'localhost:1'],
  ['127.0.0.1:1', 'unix:/run/a'],
  ['127.0.0.1:1', 'srv://_a._tcp.example.org'],
  ['unix:/run/a', 'file:/run/a'],
])('a listener on %s has nothing to do with the upstream %s', (listener, upstream) => {
  expect(configure(listener, upstream)).not.toThrow();
});
