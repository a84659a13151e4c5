/**
 * The rate limiter as a Deployment of three pods that share the keys out: limits stay exact while pods are rolled, killed
 * and added, and rules reach all of them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { deleteNamespace, describePods, get, type KubeObject, kubectl, restrictedNamespace, until } from './cluster.ts';
import { excess, LimitLoad, type LimitReport, summary, total } from './limit-load.ts';
import { isReady, LimiterPods, PARTS, seenMs } from './limiter-pods.ts';
import { Release } from './release.ts';

const NAMESPACE = 'plinth-limits';
const NODE_PORT = 30_474;
const urlOf = (nodePort: number) => `http://127.0.0.1:${nodePort}`;
const URL_OF_NODE = urlOf(NODE_PORT);
const DEPLOYMENT = 'deployment/plinth-ratelimit';
/** Changes reach the next owner of a key this often; the rest is the message and this machine's other work. */
const COPY_MS = 100 + 300;
/** How long a pod decides what it owns without having heard of the others. */
const LEASE_MS = 1_800;

const rules = (limit: number) =>
  `domain: shop\nrules:\n  - {name: buyers, match: {buyer: "*"}, limit: ${limit}, window: 24h, algorithm: strict}\n`;
const SETTINGS = {
  'global.redis.bundled': false,
  'queue.enabled': false,
  'global.jaeger.bundled': false,
  'ratelimit.replicas': 3,
  'ratelimit.rules': { 'shop.yaml': rules(7) },
  'ratelimit.service.type': 'NodePort',
  'ratelimit.service.nodePort': NODE_PORT,
  // A late answer of another pod on a busy machine is no outage.
  'ratelimit.settings.ownerTimeoutMs': '1s',
};

const release = new Release('plinth', NAMESPACE);
const pods = new LimiterPods(release);
const say = (line: string) => process.stderr.write(`  ${line}\n`);
let key = '';
const authorized = () => ({ authorization: `Bearer ${key}` });

beforeAll(async () => {
  await deleteNamespace(NAMESPACE);
  await restrictedNamespace(NAMESPACE);
  await release.install(SETTINGS).catch(async (error: Error) => {
    throw new Error(`${error.message}\n${await describePods(NAMESPACE)}`);
  });
  key = await release.rootKey();
});
afterAll(() => deleteNamespace(NAMESPACE));

describe('three pods', () => {
  test('pass the tests of the chart', async () => {
    const { stdout } = await release.test();
    expect(stdout.match(/Phase:\s+Succeeded/g)).toHaveLength(2);
    expect(stdout).toMatch(/limit: ok.*rls: ok/s);
  });

  test('divide all keys between them, and say so', async () => {
    await eachDecidesItsPart(3);
  });

  test('let 64 clients together take from a fresh key exactly what its limit says', async () => {
    const load = startLoad({ subjects: ['hot'], limit: 1_000, clients: 64, pauseMs: 0 });
    await load.usedUp();
    const report = await load.stop();
    say(`64 clients, one key, limit 1000: ${summary(report)}`);
    expect([report.failed, report.unknown, total(report.degradedAdmitted)]).toEqual([[], 0, 0]);
    expect(total(report.admitted)).toBe(1_000);
  });
});

describe('under load,', () => {
  test('a rollout fails no request and admits nothing twice: what pods own is handed over', async () => {
    const { report, subjects, limit } = await during('rollout restart of 3 pods', {}, async () => {
      await kubectl('-n', NAMESPACE, 'rollout', 'restart', DEPLOYMENT);
      await kubectl('-n', NAMESPACE, 'rollout', 'status', DEPLOYMENT, '--timeout=300s');
      await pods.settled();
    });
    expect(excess(report.admitted, limit)).toBe(0);
    expect(total(report.admitted) + report.unknown).toBeGreaterThanOrEqual(subjects.length * limit);
    expect(total(report.degradedAdmitted) + report.degradedDenied).toBe(0);
    await eachDecidesItsPart(3);
  });

  test('a killed pod fails no call that is tried again, and little is admitted twice', async () => {
    let perMs = 0;
    const { report, limit } = await during('kill of 1 of 3 pods', {}, async (load) => {
      const [before, startedMs] = [load.admittedCount, performance.now()];
      const [pod] = await pods.list();
      await kubectl('-n', NAMESPACE, 'delete', 'pod', pod!.metadata.name, '--force', '--grace-period=0');
      await sleep(5_000);
      perMs = (load.admittedCount - before) / (performance.now() - startedMs);
      await kubectl('-n', NAMESPACE, 'rollout', 'status', DEPLOYMENT, '--timeout=180s');
    });
    // A third of the keys, by the pace of all of them.
    const bound = Math.ceil((perMs / 3) * COPY_MS);
    const local = total(report.degradedAdmitted);
    say(`admitted twice: ${excess(report.admitted, limit)}, at most ${bound}; by pods alone meanwhile: ${local}`);
    expect(excess(report.admitted, limit)).toBeLessThanOrEqual(bound);
    await eachDecidesItsPart(3);
  });

  test('while NATS is replaced pods stay ready, and rules decide by their onError', async () => {
    let perMs = 0;
    const { report, limit } = await during('kill of NATS', {}, async (load) => {
      perMs = load.admittedCount / load.ageMs;
      const [{ metadata }] = (await get('-n', NAMESPACE, 'pods', '-l', release.labels('nats'))).items;
      await kubectl('-n', NAMESPACE, 'delete', 'pod', metadata.name, '--force', '--grace-period=0');
      await until('another NATS', 60, async () => (await release.pod('nats')).metadata.uid !== metadata.uid);
      await release.ready('nats');
      const restarts = (await pods.list()).map(({ status }) => status.containerStatuses[0].restartCount);
      expect(restarts).toEqual([0, 0, 0]);
      await eachDecidesItsPart(3);
    });
    expect(Object.keys(report.retried)).toEqual([]);
    // One that reconnects late is taken for dead, and what it decided until its lease was over is not known to others.
    const bound = Math.ceil((perMs * 2 * (LEASE_MS + COPY_MS)) / 3);
    say(`admitted twice: ${excess(report.admitted, limit)}, at most ${bound}`);
    expect(excess(report.admitted, limit)).toBeLessThanOrEqual(bound);
  });
});

describe('rules', () => {
  test('of the values are in force on all pods', async () => {
    for (const text of await pods.rules('shop', authorized())) expect(text).toBe(rules(7));
    expect(await takes('shop', 'ann', 9)).toBe(7);
  });

  test('that are put over the API are live on every pod within a second', async () => {
    await pods.each(async (urls) => {
      const delaysMs: number[] = [];
      for (let limit = 1; limit <= 5; limit++) {
        const text = `domain: live\nrules:\n  - {name: r, match: {a: "*"}, limit: ${limit}, window: 1h}\n`;
        const seen = urls.map((url) => seenMs(`${url}/v1/rules/live`, text, authorized()));
        const sentMs = performance.now();
        const put = await fetch(`${URL_OF_NODE}/v1/rules/live`, { method: 'PUT', body: text, headers: authorized() });
        expect(put.status).toBe(204);
        delaysMs.push(...(await Promise.all(seen)).map((atMs) => atMs - sentMs));
      }
      say(`a rule that is put is on all ${urls.length} pods ${Math.max(...delaysMs).toFixed(0)} ms after it was sent`);
      expect(Math.max(...delaysMs)).toBeLessThan(1_000);
    });
  });

  test('that change in the values are in force on all pods, and no pod is restarted', async () => {
    const names = async () => (await pods.list()).map(({ metadata }) => metadata.name).sort();
    const before = await names();
    const startedMs = performance.now();
    await release.upgrade({ ...SETTINGS, 'ratelimit.rules': { 'shop.yaml': rules(12) } });
    await until('the new rules on all pods', 180, async () =>
      (await pods.rules('shop', authorized())).every((text) => text === rules(12)),
    );
    say(`changed values on all pods after ${((performance.now() - startedMs) / 1_000).toFixed(0)} s`);
    expect(await names()).toEqual(before);
    expect(await takes('shop', 'bob', 14)).toBe(12);
  });
});

test('an autoscaler adds pods under load, and what is admitted stays exact', async () => {
  await release.upgrade({
    ...SETTINGS,
    'ratelimit.autoscaling': { enabled: true, minReplicas: 2, maxReplicas: 4, targetCpuPercent: 60 },
  });
  const hasMetrics = await kubectl('top', 'nodes').then(
    () => true,
    () => false,
  );
  if (!hasMetrics) {
    say('scaling: skipped, the cluster has no metrics API');
    return;
  }
  const { report, subjects, limit } = await during('scaled by the autoscaler', { limit: 400 }, async () => {
    await until('a fourth pod', 240, async () => (await pods.list()).filter(isReady).length === 4);
  });
  expect(excess(report.admitted, limit)).toBe(0);
  const short = subjects.filter((subject) => (report.admitted.get(subject) ?? 0) < limit);
  if (short.length > report.unknown)
    say(`below their limit: ${short.map((one) => `${one} ${report.admitted.get(one)}`)}`);
  expect(total(report.admitted) + report.unknown).toBeGreaterThanOrEqual(subjects.length * limit);
  await eachDecidesItsPart(4);
});

test('with three servers of NATS each may be killed: no call fails, and nothing is admitted twice', async () => {
  const three = new Release('three', NAMESPACE);
  await release.uninstall();
  // Pods that stop go on serving the connections that they have: not at this port.
  const nodePort = NODE_PORT + 1;
  await three.install({
    ...SETTINGS,
    'kv.enabled': false,
    'nats.replicas': 3,
    'ratelimit.service.nodePort': nodePort,
    'ratelimit.settings.natsReplicas': 3,
  });
  try {
    key = await three.rootKey();
    const subjects = ['three'];
    const load = startLoad({ subjects, limit: 2_000, clients: 16, pauseMs: 40, url: urlOf(nodePort) });
    for (const at of [0, 1, 2]) {
      await kubectl('-n', NAMESPACE, 'delete', 'pod', `three-nats-${at}`, '--force', '--grace-period=0');
      await kubectl('-n', NAMESPACE, 'rollout', 'status', 'statefulset/three-nats', '--timeout=120s');
      await sleep(3_000);
    }
    load.pace(0);
    await load.usedUp();
    const report = await load.stop();
    say(`each of 3 NATS servers killed: ${summary(report)}`);
    expect(report.failed).toEqual([]);
    expect(excess(report.admitted, 2_000)).toBe(0);
  } finally {
    await three.uninstall();
  }
});

test('states that lie in Valkey are shared by two pods, exactly', async () => {
  const valkey = new Release('lent', NAMESPACE);
  const nodePort = NODE_PORT + 2;
  await valkey.install({
    ...SETTINGS,
    'global.redis.bundled': true,
    'kv.enabled': false,
    'ratelimit.replicas': 2,
    'ratelimit.service.nodePort': nodePort,
    'ratelimit.settings.backend': 'redis',
    'ratelimit.settings.redisTimeoutMs': '1s',
  });
  key = await valkey.rootKey();
  const load = startLoad({ subjects: ['hot'], limit: 1_000, clients: 64, pauseMs: 0, url: urlOf(nodePort) });
  await load.usedUp();
  const report = await load.stop();
  say(`64 clients, one key in Valkey, limit 1000: ${summary(report)}`);
  expect([report.failed, total(report.admitted), total(report.degradedAdmitted)]).toEqual([[], 1_000, 0]);
  await valkey.uninstall();
});

interface Wish {
  subjects: string[];
  limit: number;
  clients: number;
  pauseMs: number;
  url?: string;
}

function startLoad({ subjects, limit, clients, pauseMs, url = URL_OF_NODE }: Wish): LimitLoad {
  const policy = { limit, windowMs: 86_400_000, algorithm: 'strict' };
  const check = (subject: string) => ({ key: subject, limit: policy });
  return new LimitLoad({ url, key, check, subjects, clients, pauseMs }).start();
}

let loads = 0;

/** Takes from a hundred fresh keys while something happens, and until nothing is left of them. */
async function during(
  what: string,
  { limit = 100 }: { limit?: number },
  disturb: (load: LimitLoad) => Promise<void>,
): Promise<{ report: LimitReport; subjects: string[]; limit: number }> {
  loads += 1;
  const subjects = Array.from({ length: 100 }, (_, at) => `load-${loads}-${at}`);
  const load = startLoad({ subjects, limit, clients: 16, pauseMs: 40 });
  await sleep(2_000);
  await disturb(load);
  await sleep(2_000);
  load.pace(0);
  await load.usedUp();
  const report = await load.stop();
  say(`${what}: ${summary(report)}`);
  expect(report.failed).toEqual([]);
  return { report, subjects, limit };
}

async function eachDecidesItsPart(count: number): Promise<void> {
  say(`parts of ${PARTS} that each pod decides: ${(await pods.divided(count)).join(', ')}`);
}

/** How many of so many calls a rule lets through. */
async function takes(domain: string, buyer: string, calls: number): Promise<number> {
  let allowed = 0;
  for (let call = 0; call < calls; call++) {
    const response = await fetch(`${URL_OF_NODE}/v1/limits/check`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...authorized() },
      body: JSON.stringify({ domain, descriptors: [{ buyer }] }),
    });
    if (((await response.json()) as KubeObject).allowed) allowed += 1;
  }
  return allowed;
}
