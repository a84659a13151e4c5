/**
 * Something to look at: a thousand users in a bucket, sessions that end by themselves, a counter. Tilt's button `seed`.
 *
 *     KV_URL=http://127.0.0.1:7401 API_ROOT_KEY_FILE=… node smoke/seed.ts
 */
import { readFileSync } from 'node:fs';
import { createClient } from '@plinth/client';

const USERS = 1_000;
const SESSIONS = 100;
const NAMES = ['Ann', 'Bob', 'Chi', 'Dan', 'Eve', 'Fay', 'Gus', 'Hua'];

const { KV_URL = 'http://127.0.0.1:7401', API_ROOT_KEY_FILE } = process.env;
const apiKey = API_ROOT_KEY_FILE && readFileSync(API_ROOT_KEY_FILE, 'utf8').trim();
const client = createClient({ url: KV_URL, ...(apiKey && { apiKey }) });

const users = Array.from({ length: USERS }, (_, id) => ({
  op: 'put' as const,
  key: `user/${String(id).padStart(4, '0')}`,
  json: { name: NAMES[id % NAMES.length], visits: id % 17 },
}));
const sessions = users.slice(0, SESSIONS).map(({ key, json }) => ({
  op: 'put' as const,
  key: key.replace('user', 'session'),
  value: `token of ${json.name}`,
  ttl: '10m',
}));
const bucket = client.kv.bucket('demo');
await bucket.batch(users);
await bucket.batch(sessions);
const { value } = await bucket.incr('seeded');
await client.close();
console.log(`demo: ${USERS} users, ${SESSIONS} sessions that end in 10 minutes; seeded ${value} times`);
