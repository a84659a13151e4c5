/** bull-board over HTTP: which queues it has, what it may do, and that it needs nothing from elsewhere. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type RunningService, startService } from '@plinth/service-kit';
import { eventually, tempDir, withRedis } from '@plinth/testkit';
import { Redis } from 'ioredis';
import { queueService } from '../service.ts';

const KEYS = { root: 'r'.repeat(64), reader: 'q'.repeat(43) };
const redis = withRedis();
let service: RunningService;

async function hashOf(key: string): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(key))).toString('hex');
}

beforeAll(async () => {
  const [rootFile, keysFile] = ['root', 'keys'].map((name) => join(tempDir('keys'), name));
  writeFileSync(rootFile!, KEYS.root);
  writeFileSync(keysFile!, `reader ${await hashOf(KEYS.reader)} queue:read\n`);
  const env = {
    API_ROOT_KEY_FILE: rootFile!,
    API_KEYS_FILE: keysFile!,
    QUEUE_LOG_LEVEL: 'error',
    QUEUE_LANE: 'standard',
  };
  service = await startService(queueService, { env: { ...env, REDIS_URL: redis.url }, port: 0 });
});
afterAll(() => service.stop());

interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects, or fails.
  body: any;
}

async function ask(method: string, path: string, body?: unknown, key = KEYS.root): Promise<Answer> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
  const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) };
  const answer = await fetch(service.url + path, init);
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
}

/** A standard queue with a job that is dead. */
async function deadIn(queue: string): Promise<string> {
  await ask('PUT', `/v1/queues/${queue}`, { lane: 'standard' });
  const { body } = await ask('POST', `/v1/queues/${queue}/jobs`, { name: 'mail', data: { to: 'ann' } });
  const leased = await ask('POST', `/v1/queues/${queue}:lease`, {});
  const [{ id, token }] = leased.body.jobs;
  await ask('POST', `/v1/queues/${queue}:ack`, { fails: [{ id, token, error: { message: 'no' }, final: true }] });
  return body.id;
}

const board = (path: string) => `/board/api/queues${path}`;
const native = (queue: string) => encodeURIComponent(`{${queue}}`);

async function shown(key = KEYS.root) {
  const { body } = await ask('GET', board('?page=1&jobsPerPage=10'), undefined, key);
  return Object.fromEntries(body.queues.map((queue: { name: string }) => [queue.name, queue]));
}

describe('the board', () => {
  test('has the standard queues that there are, as they come and go, and no others', async () => {
    await ask('PUT', '/v1/queues/quick', { lane: 'fast' });
    await ask('PUT', '/v1/queues/comes', { lane: 'standard' });
    expect(Object.keys(await shown())).toEqual(expect.arrayContaining(['{comes}']));
    expect(Object.keys(await shown())).not.toContain('{quick}');
    await ask('DELETE', '/v1/queues/comes');
    await eventually(async () => expect(Object.keys(await shown())).not.toContain('{comes}'));
  });

  test('shows jobs as BullMQ has them', async () => {
    const id = await deadIn('looked');
    const { body } = await ask('GET', board(`/${native('looked')}/${id}`));
    expect(body).toMatchObject({ status: 'failed', job: { name: 'mail', data: { to: 'ann' }, failedReason: 'no' } });
    expect((await shown())['{looked}']).toMatchObject({ displayName: 'looked', counts: { failed: 1 } });
  });

  test('is there to look at with a key that may only read', async () => {
    const id = await deadIn('only');
    expect((await shown(KEYS.reader))['{only}']).toMatchObject({ readOnlyMode: true });
    expect((await shown())['{only}']).toMatchObject({ readOnlyMode: false });
    const retry = board(`/${native('only')}/${id}/retry`);
    expect((await ask('PUT', retry, undefined, KEYS.reader)).status).toBe(403);
    expect((await ask('GET', `/v1/queues/only/jobs/${id}`)).body.state).toBe('dead');
  });

  test('works on the jobs of the lane: what it retries, a worker of ours gets', async () => {
    const id = await deadIn('retried');
    expect((await ask('PUT', board(`/${native('retried')}/${id}/retry`))).status).toBe(204);
    const { body } = await ask('POST', '/v1/queues/retried:lease', { waitMs: 5_000 });
    expect(body.jobs).toMatchObject([{ id, name: 'mail' }]);
    const [{ token }] = body.jobs;
    await ask('POST', '/v1/queues/retried:ack', { acks: [{ id, token }] });
    expect((await ask('GET', `/v1/queues/retried/jobs/${id}`)).body.state).toBe('completed');
  });

  test('does nothing behind the back of the service that the service has a word for', async () => {
    await deadIn('kept');
    const change = (what: string, body: object) => ask('PUT', board(`/${native('kept')}/${what}`), body);
    const answers = [
      await change('obliterate', { force: true }),
      await change('concurrency', { concurrency: 1 }),
      await change('rate-limit', { max: 1, duration: 1 }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([403, 403, 403]);
    expect(JSON.stringify(answers)).toContain('DELETE /v1/queues/{queue}');
    expect((await ask('GET', '/v1/queues/kept/stats')).body.counts.dead).toBe(1);
  });

  test('has no queue of the service itself, in which nobody should put anything', async () => {
    const { queues } = (await ask('GET', '/v1/queues')).body;
    const own = queues
      .map(({ queue }: { queue: string }) => queue)
      .find((queue: string) => queue.startsWith('plinth-'));
    expect(own).toBeDefined();
    expect(Object.keys(await shown())).not.toContain(`{${own}}`);
    const add = board(`/${native(own)}/add`);
    expect((await ask('POST', add, { name: 'forged', data: {}, options: {} })).status).toBe(404);
  });

  test('asks for nothing from elsewhere, and may not', async () => {
    for (const path of ['/board', '/board/', `/board/queue/${native('looked')}`]) {
      const page = await fetch(service.url + path, { headers: { authorization: `Bearer ${KEYS.reader}` } });
      expect(page.status).toBe(200);
      expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'self';/);
      expect(page.headers.get('content-security-policy')).not.toMatch(/script-src|unsafe-eval|https?:|\*/);
      const html = await page.text();
      expect(html).toContain('<base href="/board/"');
      expect(html).not.toMatch(/(src|href)="(https?:)?\/\//);
    }
  });

  test('makes no connection of its own', async () => {
    const client = new Redis(redis.url);
    const clients = async () =>
      String(await client.client('LIST'))
        .trim()
        .split('\n').length;
    const before = await clients();
    for (let n = 0; n < 12; n++) await ask('PUT', `/v1/queues/many-${n}`, { lane: 'standard' });
    await shown();
    await shown(KEYS.reader);
    expect(await clients()).toBe(before);
    client.disconnect();
  });
});
