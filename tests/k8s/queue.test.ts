/**
 * The task queue as a Deployment: jobs are enqueued and worked off without a loss while its pods are rolled and killed, and
 * while Redis is.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { deleteNamespace, describePods, get, type KubeObject, kubectl, restrictedNamespace, until } from './cluster.ts';
import { AT_WORK_MAX, QueueLoad, type QueueLoadReport, summary } from './queue-load.ts';
import { Release } from './release.ts';

const NAMESPACE = 'plinth-queue';
const NODE_PORT = 30_480;
const URL_OF_NODE = `http://127.0.0.1:${NODE_PORT}`;
const DEPLOYMENT = 'deployment/plinth-queue';
const LEASE_MS = 30_000;
const SETTINGS = {
  'global.jaeger.bundled': false,
  'kv.enabled': false,
  'ratelimit.enabled': false,
  'queue.replicas': 2,
  'queue.service.type': 'NodePort',
  'queue.service.nodePort': NODE_PORT,
};

/** From inside a container nobody may kill its first process but the kernel: here for the second of processor time it had. */
const ENDS_AT_ONCE = ['prlimit', '--pid', '1', '--cpu=1'];
const SEGFAULT = `
export REDISCLI_AUTH="$(cat /run/secrets/valkey/password)"
$(command -v valkey-cli || command -v redis-cli) debug segfault`;

const release = new Release('plinth', NAMESPACE);
const say = (line: string) => process.stderr.write(`  ${line}\n`);
let key = '';
let runs = 0;

beforeAll(async () => {
  await deleteNamespace(NAMESPACE);
  await restrictedNamespace(NAMESPACE);
  await release.install(SETTINGS).catch(async (error: Error) => {
    throw new Error(`${error.message}\n${await describePods(NAMESPACE)}`);
  });
  key = await release.rootKey();
});
afterAll(() => deleteNamespace(NAMESPACE));

test('two pods pass the tests of the chart, and say how safe jobs are', async () => {
  const { stdout } = await release.test();
  expect(stdout).toMatch(/Phase:\s+Succeeded/);
  expect(stdout).toMatch(/enqueue: ok.*lease: ok.*acknowledge: ok.*retry: ok.*remove: ok/s);
  const version = await fetch(`${URL_OF_NODE}/version`, { headers: { authorization: `Bearer ${key}` } });
  expect(await version.json()).toMatchObject({ backend: 'redis', durability: 'everysec' });
});

describe('under load, nothing that was acknowledged is lost,', () => {
  test('and nothing is done twice, while both pods are replaced', async () => {
    const report = await during('rollout restart of 2 pods', async () => {
      await kubectl('-n', NAMESPACE, 'rollout', 'restart', DEPLOYMENT);
      await kubectl('-n', NAMESPACE, 'rollout', 'status', DEPLOYMENT, '--timeout=300s');
      await settled();
    });
    expect([report.duplicates, report.told]).toEqual([0, {}]);
  });

  test('when one of two pods is deleted by force', async () => {
    const report = await during('1 of 2 pods deleted by force', async () => {
      await deleted('queue');
      await kubectl('-n', NAMESPACE, 'rollout', 'status', DEPLOYMENT, '--timeout=180s');
    });
    expect(report.duplicates).toBeLessThanOrEqual(AT_WORK_MAX);
  });

  test('when the process of one of two pods is killed without notice', async () => {
    const report = await during('1 of 2 pods killed', async () => {
      await crashed('queue', ENDS_AT_ONCE);
      await release.ready('queue');
    });
    expect(report.duplicates).toBeLessThanOrEqual(AT_WORK_MAX);
  });

  test('when the pod of Redis is deleted by force, and the queue goes on by itself', async () => {
    const report = await during('Redis deleted by force', async () => {
      const before = await restarts();
      await deleted('valkey');
      await release.ready('valkey');
      await release.ready('queue');
      expect(await restarts()).toEqual(before);
    });
    expect(report.duplicates).toBeLessThanOrEqual(AT_WORK_MAX);
  });

  test('when Redis crashes, with appendfsync always', async () => {
    const valkey = { 'valkey.appendfsync': 'always', 'valkey.extraConfig': 'enable-debug-command local' };
    await release.upgrade({ ...SETTINGS, ...valkey });
    const report = await during('crash of Redis', async () => {
      const before = await restarts();
      await crashed('valkey', ['sh', '-c', SEGFAULT]);
      await release.ready('valkey');
      await release.ready('queue');
      expect(await restarts()).toEqual(before);
    });
    expect(report.duplicates).toBeLessThanOrEqual(AT_WORK_MAX);
  });

  test('while the only pod is replaced', async () => {
    await release.upgrade({ ...SETTINGS, 'queue.replicas': 1 });
    await settled();
    const report = await during('rollout restart of the only pod', async () => {
      await kubectl('-n', NAMESPACE, 'rollout', 'restart', DEPLOYMENT);
      await kubectl('-n', NAMESPACE, 'rollout', 'status', DEPLOYMENT, '--timeout=300s');
      await settled();
    });
    expect([report.duplicates, report.told]).toEqual([0, {}]);
  });
});

/** Enqueues and works while something happens, and until all of it is done. */
async function during(what: string, disturb: () => Promise<void>): Promise<QueueLoadReport> {
  const queue = `load-${++runs}-${Date.now().toString(36)}`;
  const load = new QueueLoad({ url: URL_OF_NODE, key, queue, leaseMs: LEASE_MS }).start();
  await sleep(2_000);
  await disturb();
  await load.flows();
  await sleep(2_000);
  const report = await load.stop();
  say(`${what}: ${summary(report)}`);
  expect([report.failed, report.lost]).toEqual([[], 0]);
  // Each in one place, and all of them where they should be.
  const { counts, totals } = report.stats;
  expect(totals).toMatchObject({ enqueued: report.enqueued, completed: report.enqueued, failed: 0, dead: 0 });
  expect(counts).toMatchObject({ waiting: 0, scheduled: 0, retrying: 0, leased: 0, dead: 0, cancelled: 0 });
  return report;
}

/** Has a process end where it stands, and waits until its container runs anew. */
async function crashed(part: string, command: readonly string[]): Promise<void> {
  const { name } = (await release.pod(part)).metadata;
  const count = async () => (await get('-n', NAMESPACE, 'pod', name)).status.containerStatuses[0].restartCount;
  const before = await count();
  // The command ends with the container that it runs in.
  await kubectl('-n', NAMESPACE, 'exec', name, '--', ...command).catch(() => {});
  await until(`a restart of ${name}`, 60, async () => (await count()) > before);
}

/** Takes a pod of a part away, which gets two seconds at the most, and waits for another. */
async function deleted(part: string): Promise<void> {
  const { name, uid } = (await release.pod(part)).metadata;
  await kubectl('-n', NAMESPACE, 'delete', 'pod', name, '--force', '--grace-period=0');
  await until(
    `another pod of ${part}`,
    60,
    async () => !(await pods(part)).some(({ metadata }) => metadata.uid === uid),
  );
}

async function pods(part: string): Promise<KubeObject[]> {
  return (await get('-n', NAMESPACE, 'pods', '-l', release.labels(part))).items;
}

/** Resolves when pods that stop have stopped. */
async function settled(): Promise<void> {
  await until('the old pods are gone', 90, async () =>
    (await pods('queue')).every(({ metadata }) => metadata.deletionTimestamp === undefined),
  );
}

/** Of the pods of the queue, by name. */
async function restarts(): Promise<Record<string, number>> {
  const list = await pods('queue');
  return Object.fromEntries(
    list.map(({ metadata, status }) => [metadata.name, status.containerStatuses[0].restartCount]),
  );
}
