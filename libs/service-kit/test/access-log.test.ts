/** The access log: which requests have a line, and what it tells. */
import { afterEach, expect, test } from '@jest/globals';
import { startOtlpReceiver } from '@plinth/testkit';
import { startFixture } from './fixture-service.ts';
import { until } from './wire.ts';

interface Line {
  level: string;
  msg: string;
  fields: Record<string, unknown>;
}

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function start(scope: string, env: Record<string, string> = {}) {
  const lines: Line[] = [];
  const at = (level: string) => (msg: string, fields?: Record<string, unknown>) => {
    if (msg === 'request') lines.push({ level, msg, fields: JSON.parse(JSON.stringify(fields)) as Line['fields'] });
  };
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const board = {
    name: 'board',
    path: '/board',
    handle: ({ req, res, next }: { req: { url?: string }; res: { end(text: string): void }; next(): void }) =>
      req.url!.startsWith('/seen') ? res.end('seen') : next(),
  };
  const options = { env: { FIXTURE_ACCESS_LOG: scope, ...env }, kit: { log } };
  const running = await startFixture(options, { mounts: [board] });
  ends.push(() => running.stop());
  const ask = async (path: string, init?: RequestInit) => {
    const answer = await fetch(running.url + path, init);
    await answer.arrayBuffer();
    return answer;
  };
  return { running, lines, ask };
}

test('a request is a line: operation, method, path without its query, status, time, peer, id', async () => {
  const { ask, lines } = await start('all');
  await ask('/v1/items/a%2Fb?limit=3&prefix=secret', { headers: { 'request-id': 'mine' } });
  expect(lines).toEqual([
    {
      level: 'info',
      msg: 'request',
      fields: {
        operation: 'get',
        method: 'GET',
        path: '/v1/items/a%2Fb',
        status: 200,
        ms: expect.any(Number),
        peer: '127.0.0.1',
        request: 'mine',
      },
    },
  ]);
  expect(lines[0]!.fields.ms).toBeGreaterThan(0);
});

test('what is refused is told by the code of its problem, behind every guard and on both lanes', async () => {
  const { ask, lines } = await start('all');
  await ask('/v1/none');
  await ask('/v1/items/%zz');
  await ask('/v1/items/a', { method: 'PATCH' });
  await ask('/v1/items/a', { headers: { origin: 'https://evil.example' } });
  await ask('/v1/items/a:echo', { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } });
  expect(lines.map(({ fields: { operation, status, problem } }) => [operation, status, problem])).toEqual([
    [undefined, 404, 'not_found'],
    ['get', 400, 'invalid_key'],
    [undefined, 405, 'method_not_allowed'],
    [undefined, 403, 'foreign_origin'],
    ['echo', 400, 'invalid_request'],
  ]);
});

test('failures of the service are warnings, and the one thing that `errors` tells', async () => {
  const [all, errors] = [await start('all'), await start('errors')];
  for (const { ask } of [all, errors]) {
    await ask('/v1/items/a');
    await ask('/v1/none');
    await ask('/v1/fail/bug');
    await ask('/v1/fail/late-bug');
  }
  expect(all.lines.map(({ level }) => level)).toEqual(['info', 'info', 'warn', 'warn']);
  expect(errors.lines.map(({ fields: { status, problem } }) => [status, problem])).toEqual([
    [500, 'internal'],
    [500, 'internal'],
  ]);
});

test('`none` tells nothing, and the checks of load balancers are never told', async () => {
  const [none, all] = [await start('none'), await start('all')];
  for (const { ask, running } of [none, all]) {
    running.fixture.notReady = 'starting';
    for (const path of ['/healthz', '/readyz', '/metrics', '/version']) await ask(path);
  }
  await none.ask('/v1/items/a');
  expect([...none.lines, ...all.lines]).toEqual([]);
});

test('a stream has its line when it ends, with the time of all of it; a caller that left has 499', async () => {
  const { running, ask, lines } = await start('all');
  const aborted = new AbortController();
  const answer = await fetch(`${running.url}/v1/stream`, { signal: aborted.signal });
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(lines).toEqual([]);
  aborted.abort();
  await answer.text().catch(() => {});
  await until(() => lines.length === 1, 'a line');
  expect(lines[0]!.fields).toMatchObject({ operation: 'stream', status: 200 });
  expect(lines[0]!.fields.ms).toBeGreaterThan(90);

  await ask('/v1/wait', { signal: AbortSignal.timeout(50) }).catch(() => {});
  await until(() => lines.length === 2, 'two lines');
  expect(lines[1]!.fields).toMatchObject({ operation: 'wait', status: 499 });
});

test('what is below a mount has one line, whoever answers it', async () => {
  const { ask, lines } = await start('all');
  await ask('/board/seen?key=secret');
  await ask('/board/nothing');
  await until(() => lines.length === 2, 'two lines');
  expect(lines.map(({ fields: { operation, path, status } }) => [operation, path, status])).toEqual([
    ['board', '/board/seen', 200],
    [undefined, '/board/nothing', 404],
  ]);
});

test('a path as long as a head is cut', async () => {
  const { ask, lines } = await start('all');
  await ask(`/v1/items/${'a'.repeat(5_000)}`);
  expect(lines[0]!.fields.path).toBe(`/v1/items/${'a'.repeat(502)}…`);
});

test('the line leads to the trace, when there is one', async () => {
  const receiver = await startOtlpReceiver();
  ends.push(() => receiver.stop());
  const { ask, lines } = await start('all', { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
  const answer = await ask('/v1/items/a');
  expect(answer.headers.get('trace-id')).toMatch(/^[0-9a-f]{32}$/);
  expect(lines[0]!.fields.trace_id).toBe(answer.headers.get('trace-id'));
});
