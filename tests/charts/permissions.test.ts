/**
 * The users of the bus as the charts write them, on a real nats-server: services do all they do under these permissions,
 * and none does the work of another.
 */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { kvService } from '@plinth/kv';
import { Ledger, policyOf, processClock } from '@plinth/limiter';
import { ratelimitService } from '@plinth/ratelimit';
import { type RunningService, startService } from '@plinth/service-kit';
import { eventually, tempDir } from '@plinth/testkit';
import { openQuotaJournal } from '../../services/ratelimit/src/store/quota-journal.ts';
import { BusUsers } from './bus-users.ts';
import { HAS_HELM } from './helm.ts';
import { toldMetrics } from './told-metrics.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const PARTNER = 'plk_partner-0123456789abcdef';
const OWNERS = {
  RATELIMIT_BACKEND: 'owners',
  // A late answer on a busy machine is no outage.
  RATELIMIT_OWNER_TIMEOUT_MS: '1s',
  RATELIMIT_RLS_PORT: '0',
  RATELIMIT_RESP_PORT: '0',
};
const rule = (domain: string, name: string, limit: number) =>
  `domain: ${domain}\nrules:\n  - {name: ${name}, match: {key: "*"}, limit: ${limit}, window: 1h, algorithm: strict}\n`;

const given = HAS_HELM ? describe : describe.skip;

given('with the permissions of the charts', () => {
  let users: BusUsers;
  let violations: string[];
  let kv: RunningService;
  let limiters: RunningService[] = [];

  beforeAll(async () => {
    users = await BusUsers.start();
    ({ violations } = users);
    const keys = join(tempDir('keys'), 'keys');
    const hash = createHash('sha256').update(PARTNER).digest('hex');
    writeFileSync(keys, `partner ${hash} * limit=partner\n`);
    kv = await startService(kvService, {
      port: 0,
      env: { ...users.credentials('kv'), KV_DATA_DIR: tempDir('kv'), API_KEYS_FILE: keys },
      kit: { log: silent },
    });
    const env = { ...users.credentials('ratelimit'), ...OWNERS };
    const start = () => startService(ratelimitService, { port: 0, env, kit: { log: silent } });
    limiters = [await start(), await start()];
    await eventually(async () => expect(await Promise.all(limiters.map(slots))).toEqual([2, 2]), { timeoutMs: 20_000 });
  }, 120_000);
  afterAll(async () => {
    await users?.close();
    for (const service of [...limiters, kv]) await service?.stop();
    await users?.nats.stop();
  });

  /** How many replicas one of them knows of. */
  async function slots({ url }: RunningService): Promise<number> {
    return Number(/^plinth_ratelimit_replicas (\d+)$/m.exec(await textOf(`${url}/metrics`))?.[1]);
  }

  async function allowed({ url }: RunningService, key: string, limit: number): Promise<boolean> {
    const body = JSON.stringify({ key, limit: { limit, windowMs: 3_600_000, algorithm: 'strict' } });
    const headers = { 'content-type': 'application/json' };
    const answer = (await (await fetch(`${url}/v1/limits/check`, { method: 'POST', headers, body })).json()) as {
      allowed: boolean;
      degraded?: string;
    };
    expect(answer.degraded).toBeUndefined();
    return answer.allowed;
  }

  test('replicas of the limiter share keys out, and admit of each exactly what its limit says', async () => {
    const keys = Array.from({ length: 40 }, (_, at) => `shared-${at}`);
    const admitted = await Promise.all(
      keys.map(async (key) => {
        const asked = Array.from({ length: 8 }, (_, at) => allowed(limiters[at % 2]!, key, 5));
        return (await Promise.all(asked)).filter(Boolean).length;
      }),
    );
    expect(admitted).toEqual(keys.map(() => 5));
    expect(violations).toEqual([]);
  });

  test('rules that are put through one replica are in force on the other, and may be removed', async () => {
    const [one, other] = limiters as [RunningService, RunningService];
    const text = rule('api', 'few', 3);
    expect((await fetch(`${one.url}/v1/rules/api`, { method: 'PUT', body: text })).status).toBe(204);
    await eventually(async () => expect(await textOf(`${other.url}/v1/rules/api`)).toBe(text));
    expect((await fetch(`${other.url}/v1/rules/api`, { method: 'DELETE' })).status).toBe(204);
    await eventually(async () => expect((await fetch(`${one.url}/v1/rules/api`)).status).toBe(404));
    expect(violations).toEqual([]);
  });

  test('the store asks the limiter about API keys that have a limit', async () => {
    const [{ url }] = limiters as [RunningService];
    expect(
      (await fetch(`${url}/v1/rules/api-keys`, { method: 'PUT', body: rule('api-keys', 'partner', 4) })).status,
    ).toBe(204);
    const headers = { authorization: `Bearer ${PARTNER}` };
    const put = () => fetch(`${kv.url}/v1/kv/demo/x`, { method: 'PUT', body: 'v', headers });
    // What takes longer than the guard waits for is let in.
    await eventually(async () => expect((await put()).status).toBe(429), { timeoutMs: 20_000, intervalMs: 50 });
    expect(violations).toEqual([]);
  });

  test('long quotas are written to their stream, and read again', async () => {
    const { connection, refused } = await users.as('ratelimit');
    const charge = { key: 'month', policy: policyOf({ limit: 10, windowMs: 86_400_000 }), cost: 4 };
    const ledger = new Ledger({ clock: processClock() });
    ledger.decide([charge], 'take');
    const journal = await openQuotaJournal({ nats: connection, ledger, everyMs: 60_000 });
    journal.note(charge);
    await journal.flush();
    await journal.stop();
    const fresh = new Ledger({ clock: processClock() });
    const reader = await openQuotaJournal({ nats: connection, ledger: fresh, everyMs: 60_000 });
    expect(await reader.replay()).toBeGreaterThanOrEqual(1);
    expect(fresh.decide([{ ...charge, cost: 0 }], 'look').outcomes[0]!.remaining).toBe(6);
    // Another one writes over it, which has to find out first what is there.
    journal.note(charge);
    const other = await openQuotaJournal({ nats: connection, ledger, everyMs: 60_000 });
    other.note(charge);
    await other.flush();
    expect([other.lag, other.metrics().includes('outcome="written"} 1')]).toEqual([0, true]);
    await Promise.all([reader.stop(), other.stop()]);
    expect([refused, violations]).toEqual([[], []]);
  });

  test('metrics that alerts and the dashboard name are those that pods tell', async () => {
    const { named, ...faults } = toldMetrics('ratelimit', await textOf(`${limiters[0]!.url}/metrics`));
    expect(faults).toEqual({ malformed: [], untyped: [], unknown: [] });
    expect(Math.min(...named)).toBeGreaterThan(3);
  });

  test('a replica that leaves hands over what it owns, and its keys stay used up', async () => {
    const [stays, leaves] = limiters as [RunningService, RunningService];
    const keys = Array.from({ length: 20 }, (_, at) => `handed-${at}`);
    for (const key of keys)
      expect([await allowed(leaves, key, 1), await allowed(leaves, key, 1)]).toEqual([true, false]);
    await leaves.stop();
    expect(await Promise.all(keys.map((key) => allowed(stays, key, 1)))).toEqual(keys.map(() => false));
    expect(violations).toEqual([]);
  });

  test('nobody else speaks for the limiter, reads its members or its calls', async () => {
    const { connection, refused } = await users.as('kv');
    const subjects = [
      'plinth.ratelimit.v1.owner.x.call',
      'plinth.ratelimit.v1.quotas.1.x',
      'plinth.ratelimit.v1.reset',
      'plinth.ratelimit.v1.putRules',
      '$KV.plinth-ratelimit-members.x',
      '$JS.API.STREAM.DELETE.KV_plinth-ratelimit-members',
    ];
    for (const subject of subjects) connection.publish(subject, '{}');
    for (const subject of ['plinth.ratelimit.v1.owner.>', '$KV.>', '_INBOX_ratelimit.>'])
      connection.subscribe(subject, { callback: () => {} });
    await connection.flush();
    await eventually(() => expect(refused).toEqual(expect.arrayContaining(subjects)));
    await eventually(() => expect(violations.filter((line) => /Subscription/.test(line))).toHaveLength(3));
  });

  test('the limiter reaches its own two streams and no other', async () => {
    const { connection, refused } = await users.as('ratelimit');
    const subjects = [
      '$JS.API.STREAM.CREATE.KV_other',
      '$JS.API.STREAM.DELETE.plinth-ratelimit-quotas',
      '$JS.API.STREAM.PURGE.KV_plinth-ratelimit-members',
      '$KV.other.key',
      'plinth.kv.v1.deleteBucket',
    ];
    for (const subject of subjects) connection.publish(subject, '{}');
    await connection.flush();
    await eventually(() => expect(refused).toEqual(expect.arrayContaining(subjects)));
  });
});

async function textOf(url: string): Promise<string> {
  return (await fetch(url)).text();
}
