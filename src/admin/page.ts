/** The page for people at `/`: one document, nothing fetched from anywhere else, and a policy that holds it to that. */
import { createHash } from 'node:crypto';
import { SCRIPT } from './page-script.js';
import { STYLE } from './page-style.js';

function tile(id: string, name: string): string {
  return `<section class="tile" id="${id}"><div class="name">${name}</div><div class="value">–</div>
<svg viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true"></svg></section>`;
}

function section(id: string, name: string, kind: string, controls = ''): string {
  return `<section class="${kind}"><div class="head"><h2>${name}</h2>${controls}</div><div id="${id}"></div></section>`;
}

export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>meshproxy</title>
<style>${STYLE}</style>
</head>
<body>
<header><h1>mesh<b>proxy</b></h1><span id="state"></span><div class="facts" id="facts"></div></header>
<main>
<section class="banner" id="banner" role="status" hidden></section>
${tile('tile-active', 'connections')}
${tile('tile-opened', 'new connections')}
${tile('tile-received', 'from clients')}
${tile('tile-sent', 'to clients')}
${section('listeners', 'Listeners', '')}
${section('services', 'Services', 'narrow')}
${section('latency', 'Latency', 'wide', '<span class="quiet"><select id="measured" aria-label="service"></select></span>')}
${section('connections', 'Connections', '', '<select id="filter" aria-label="service"></select><span class="quiet" id="shown"></span>')}
</main>
<footer><a href="/metrics">metrics</a><a href="/config">configuration</a><a href="/connections">connections</a><a
href="/services">services</a><a href="/latency">latency</a><a href="/status">status</a></footer>
<noscript>This page needs JavaScript; the paths above answer without it.</noscript>
<script>${SCRIPT}</script>
</body>
</html>
`;

function hash(content: string): string {
  return `'sha256-${createHash('sha256').update(content).digest('base64')}'`;
}

/** Content-Security-Policy: this script and this style, requests to this listener, and nothing else at all. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `script-src ${hash(SCRIPT)}`,
  `style-src ${hash(STYLE)}`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
