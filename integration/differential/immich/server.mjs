// Reads requests as Immich's server does, with the same Node, Express and cookie parser, and writes one line of JSON to stdout about
// each: the routes that match and the credentials it carries, in the order in which Immich looks for them.
//
// node server.mjs COUNT listens on so many ports of loopback. The first line names the ports and the operations of the API.
import http from 'node:http';
import { readFileSync } from 'node:fs';
import { parse as parseCookies } from 'cookie';
import express from 'express';

const report = (line) => process.stdout.write(JSON.stringify(line) + '\n'); // synchronous, so it is written before the response

/** The operations of Immich's API, from the client that Immich generates: method, path with {parameters}, and whether links may use it. */
function readOperations() {
  const source = readFileSync(new URL('fetch-client.js', import.meta.resolve('@immich/sdk')), 'utf8');
  return [...source.matchAll(/\nexport function \w+\([^)]*\) \{\n(.*?)\n\}\n/gs)].map(([, body]) => {
    const path = body.match(/oazapfts\.fetch\w+\([`"](\/.*?)(?:\$\{QS|[`"])/)[1];
    const query = body.match(/QS\.explode\(\{.*?\}\)/s)?.[0] ?? '';
    return {
      method: body.match(/\bmethod: "(\w+)"/)?.[1] ?? 'GET',
      path: '/api' + path.replace(/\$\{encodeURIComponent\(\$?(\w+)\)\}/g, '{$1}'),
      linked: /^\s+key,?$/m.test(query) && /^\s+slug,?$/m.test(query),
    };
  });
}

/** All credentials of a request that are not empty. The first is the one that Immich takes. */
function credentials(request) {
  const { headers, query } = request;
  const [scheme, token] = (headers.authorization ?? '').split(' ', 2);
  const places = {
    'header x-immich-share-key': headers['x-immich-share-key'],
    'query key': query.key,
    'header x-immich-share-slug': headers['x-immich-share-slug'],
    'query slug': query.slug,
    'header x-immich-user-token': headers['x-immich-user-token'],
    'header x-immich-session-token': headers['x-immich-session-token'],
    'query sessionKey': query.sessionKey,
    'header authorization': scheme.toLowerCase() === 'bearer' ? token : undefined,
    'cookie immich_access_token': parseCookies(headers.cookie ?? '').immich_access_token,
    'header x-api-key': headers['x-api-key'],
    'query apiKey': query.apiKey,
  };
  return Object.entries(places)
    .filter(([, value]) => value)
    .map(([place, value]) => ({ place, value: String(value) }));
}

const operations = readOperations();
const ports = [];

function understanding(request) {
  return {
    site: ports.indexOf(request.socket.localPort),
    mark: request.headers['x-case'] ?? '',
    method: request.method,
    url: request.url,
    headers: request.rawHeaders,
  };
}

const app = express();
app.set('trust proxy', ['loopback', 'linklocal', 'uniquelocal']);
app.use((request, _, next) => {
  request.operations = [];
  next();
});
for (const { method, path } of [...operations, { method: 'GET', path: '/.well-known/immich' }]) {
  // All that match are reported, not only the first, so that the result does not depend on the order of Immich's controllers.
  app[method.toLowerCase()](path.replace(/\{(\w+)\}/g, ':$1'), (request, _, next) => {
    request.operations.push({ name: `${method} ${path}`, parameters: Object.values(request.params) });
    next();
  });
}
const answer = (error, request, response) => {
  report({
    ...understanding(request),
    path: request.path,
    operations: request.operations,
    credentials: credentials(request),
    cookies: { ...parseCookies(request.headers.cookie ?? '') },
    client: request.ip,
    error: error?.message,
  });
  request.resume();
  response.json({ took: credentials(request)[0]?.place ?? null });
};
app.use((request, response) => answer(null, request, response));
// eslint-disable-next-line no-unused-vars -- Express knows an error handler by its four parameters.
app.use((error, request, response, _) => answer(error, request, response));

for (let i = 0; i < Number(process.argv[2]); i++) {
  const server = http.createServer(app);
  server.keepAliveTimeout = 600_000; // Immich's 5 s make some requests of Traefik's, which keeps connections longer, fail with 502
  // Immich's WebSocket server accepts upgrades of every path, and checks credentials itself.
  for (const event of ['upgrade', 'connect']) {
    server.on(event, (request, socket) => {
      report({ ...understanding(request), operations: [], credentials: [], cookies: {}, error: event });
      socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n');
    });
  }
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  ports.push(server.address().port);
}
report({ node: process.version, ports, operations });
process.stdin.resume().on('end', () => process.exit()); // so that it does not outlive the test
