/**
 * The least a Node server can do: no route, no parsing, no store. A GET is answered with 128 bytes from memory, a PUT
 * with 204 once its body is read.
 *
 *     node echo-server.ts <port> <JSON array of raw headers, name and value in turn>
 */
import { createServer } from 'node:http';
import { valueFor } from './workload.ts';

const [port, headers] = process.argv.slice(2);
const rawHeaders = JSON.parse(headers!) as string[];
// A 204 with a length would make clients wait for a body.
const headersWithoutBody = rawHeaders.filter((_, index) => !/^content-/i.test(rawHeaders[index - (index % 2)]!));
const value = Buffer.from(valueFor(0, 'filled'));

createServer((request, response) => {
  if (request.method === 'GET') {
    response.writeHead(200, rawHeaders);
    response.end(value);
    return;
  }
  request.resume().on('end', () => {
    response.writeHead(204, headersWithoutBody);
    response.end();
  });
}).listen(Number(port), '127.0.0.1');
