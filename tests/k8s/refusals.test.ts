/** What is wrong is said where people look: by helm, by the schema, or in the reason of the pod. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { apply, deleteNamespace, get, type KubeObject, kubectl, restrictedNamespace, until } from './cluster.ts';
import { Release } from './release.ts';

const NAMESPACE = 'plinth-refusals';
/** Only the store and the bus, so that a test takes seconds. */
const KV_ALONE = {
  'global.redis.bundled': false,
  'global.jaeger.bundled': false,
  'ratelimit.enabled': false,
  'queue.enabled': false,
};
const release = new Release('odd', NAMESPACE);

beforeAll(async () => {
  await deleteNamespace(NAMESPACE);
  await restrictedNamespace(NAMESPACE);
});
afterEach(() => release.uninstall().catch(() => {}));
afterAll(() => deleteNamespace(NAMESPACE));

describe('helm says what is wrong before anything is made', () => {
  test.each([
    ['a missing secret', { 'global.apiKeys.existingSecret': 'nowhere' }, /nowhere/],
    ['a storage class that is not there', { 'kv.persistence.storageClass': 'no-such-class' }, /no-such-class/],
    ['a value that nobody knows', { 'kv.replicaCuont': 1 }, /replicaCuont/],
    ['a setting of the wrong form', { 'kv.settings.checkpointBytes': 'lots' }, /checkpointBytes/],
    [
      'a grace period that ends before the stop',
      { 'kv.terminationGracePeriodSeconds': 3 },
      /terminationGracePeriodSeconds/,
    ],
  ])('%s', async (_, set, words) => {
    await expect(release.install({ ...KV_ALONE, ...set })).rejects.toThrow(words);
    const { items } = await get('-n', NAMESPACE, 'statefulsets,deployments');
    expect(items).toEqual([]);
  });
});

test('a pod that NATS does not let in says so in its reason', async () => {
  const auth = 'authorization { users: [{ user: kv, password: right }] }';
  await apply(
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'own-nats-auth', namespace: NAMESPACE },
      stringData: { 'auth.conf': auth, 'kv-password': 'wrong', 'admin-password': 'right' },
    }),
  );
  await release.begin({ ...KV_ALONE, 'global.nats.existingSecret': 'own-nats-auth' });
  await until('the reason of the pod', 120, async () => {
    const [status] = (await release.pod('kv')).status.containerStatuses;
    const { message } = status.lastState.terminated ?? status.state.terminated ?? {};
    return /NATS refuses the credentials of user kv/.test(message ?? '');
  });
});

test('a queue whose Redis may throw jobs away says so in its reason', async () => {
  await release.begin({
    'global.jaeger.bundled': false,
    'kv.enabled': false,
    'ratelimit.enabled': false,
    'valkey.extraConfig': 'maxmemory-policy allkeys-lru',
  });
  await until('the reason of the pod', 180, async () => {
    const [status] = (await release.pod('queue')).status.containerStatuses;
    const { message } = status.lastState.terminated ?? status.state.terminated ?? {};
    return /allkeys-lru/.test(message ?? '');
  });
});

test('two releases live in one namespace', async () => {
  const [one, two] = [new Release('one', NAMESPACE), new Release('two', NAMESPACE)];
  await one.install(KV_ALONE);
  await two.install(KV_ALONE);
  for (const each of [one, two]) expect((await each.test()).stdout).toMatch(/Phase:\s+Succeeded/);
  expect(await one.rootKey()).not.toBe(await two.rootKey());
  await one.uninstall();
  await two.ready('kv');
  await two.uninstall();
});

test('a claim that cannot be bound is named by the pod', async () => {
  const claim: KubeObject = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'never', namespace: NAMESPACE },
    spec: { accessModes: ['ReadWriteOnce'], storageClassName: '', resources: { requests: { storage: '1Gi' } } },
  };
  await apply(JSON.stringify(claim));
  await release.begin({ ...KV_ALONE, 'kv.persistence.existingClaim': 'never' });
  await until('an event that names the claim', 60, async () => {
    const { stdout } = await kubectl('-n', NAMESPACE, 'get', 'events', '-o', 'jsonpath={.items[*].message}');
    return /unbound|not bound|persistentvolumeclaim/i.test(stdout);
  });
});
