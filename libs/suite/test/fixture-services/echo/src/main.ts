/**
 * The smallest thing the supervisor can run: ready when it listens, tells its environment, ends when its supervisor
 * does. ECHO_FAIL=1, or a file `broken` in its data folder, makes it crash before it is ready; GET /unready makes it
 * answer 503 from then on.
 */
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';

const log = (level: string, msg: string, fields: object = {}) =>
  console.log(JSON.stringify({ time: new Date().toISOString(), level, msg, service: 'echo', ...fields }));

if (process.env.ECHO_FAIL || existsSync(`${process.env.ECHO_DATA_DIR}/broken`)) {
  log('error', 'told to fail');
  process.exit(1);
}

const port = Number(process.env.ECHO_PORT ?? 7490);
let isReady = true;
const server = createServer((request, response) => {
  if (request.url === '/unready') isReady = false;
  if (request.url === '/readyz' && !isReady) {
    response.writeHead(503).end(JSON.stringify({ detail: 'NATS is away' }));
    return;
  }
  const { NATS_URL, REDIS_URL, ECHO_DATA_DIR, OTEL_EXPORTER_OTLP_ENDPOINT, TRACE_URL } = process.env;
  response.end(JSON.stringify({ NATS_URL, REDIS_URL, ECHO_DATA_DIR, OTEL_EXPORTER_OTLP_ENDPOINT, TRACE_URL }));
});
server.listen(port, '127.0.0.1', () => log('info', 'listening', { port }));

const end = () => {
  server.closeAllConnections();
  server.close();
};
process.once('SIGTERM', end);
process.once('disconnect', end);
// The supervisor's channel must not keep a stopped service alive.
process.once('SIGTERM', () => process.connected && process.disconnect());
