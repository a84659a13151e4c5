/** The chart of the task queue: its Redis, where its webhooks may go, and workers that KEDA scales. */
import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { HAS_HELM, IMAGES, type KubeObject, MAILS, NEEDED, notes, objects, refusal } from './helm.ts';

const CHART = 'charts/queue';
const REDIS = NEEDED[CHART]!;
const given = HAS_HELM ? describe : describe.skip;

const quantity = z.string().regex(/^[0-9]+(\.[0-9]+)?$/);
const metadata = z.looseObject({ name: z.string(), namespace: z.string() });
/** What KEDA's definition of a ScaledObject allows, as far as the chart goes, and what its scaler `metrics-api` reads. */
const SCALED_OBJECT = z.strictObject({
  apiVersion: z.literal('keda.sh/v1alpha1'),
  kind: z.literal('ScaledObject'),
  metadata,
  spec: z.strictObject({
    scaleTargetRef: z.strictObject({
      name: z.string(),
      kind: z.string().optional(),
      apiVersion: z.string().optional(),
      envSourceContainerName: z.string().optional(),
    }),
    minReplicaCount: z.int().min(0),
    maxReplicaCount: z.int().min(1),
    idleReplicaCount: z.int().min(0).optional(),
    pollingInterval: z.int().min(1),
    cooldownPeriod: z.int().min(0).optional(),
    initialCooldownPeriod: z.int().min(0).optional(),
    fallback: z.strictObject({ failureThreshold: z.int(), replicas: z.int() }).optional(),
    advanced: z.strictObject({ restoreToOriginalReplicaCount: z.boolean() }).optional(),
    triggers: z
      .array(
        z.strictObject({
          type: z.literal('metrics-api'),
          name: z.string(),
          metricType: z.enum(['AverageValue', 'Value']),
          metadata: z.strictObject({
            url: z.url(),
            valueLocation: z.string(),
            targetValue: quantity,
            activationTargetValue: quantity,
            authMode: z.literal('apiKey').optional(),
            method: z.literal('header').optional(),
            keyParamName: z.string().optional(),
          }),
          authenticationRef: z.strictObject({ name: z.string() }).optional(),
        }),
      )
      .min(1),
  }),
});
const TRIGGER_AUTHENTICATION = z.strictObject({
  apiVersion: z.literal('keda.sh/v1alpha1'),
  kind: z.literal('TriggerAuthentication'),
  metadata,
  spec: z.strictObject({
    secretTargetRef: z.array(z.strictObject({ parameter: z.literal('apiKey'), name: z.string(), key: z.string() })),
  }),
});

async function rendered(values: object): Promise<(kind: string) => KubeObject[]> {
  const list = await objects(CHART, { values: { ...REDIS, ...values }, namespace: 'apps' });
  return (kind) => list.filter((object) => object.kind === kind);
}

async function environment(chart: string, values: object): Promise<Record<string, unknown>> {
  const list = await objects(chart, { values });
  const { spec } = list.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'r-queue')!;
  const env: { name: string; value?: string; valueFrom?: unknown }[] = spec.template.spec.containers[0].env;
  return Object.fromEntries(env.map(({ name, value, valueFrom }) => [name, value ?? valueFrom]));
}

given('the queue', () => {
  test('finds Redis: that of the suite with its password, or yours with or without one', async () => {
    expect(await environment('charts/plinth', {})).toMatchObject({
      REDIS_URL: 'redis://r-valkey:6379',
      REDIS_PASSWORD: { secretKeyRef: { name: 'r-valkey-auth', key: 'password' } },
      NATS_USER: 'queue',
      NATS_PASSWORD: { secretKeyRef: { name: 'r-nats-auth', key: 'queue-password' } },
      QUEUE_PORT: '7403',
    });
    const own = { url: 'redis+sentinel://a:26379,b:26379/main' };
    const env = await environment(CHART, { global: { redis: own } });
    expect(env).toMatchObject({ REDIS_URL: own.url });
    expect(env).not.toHaveProperty('REDIS_PASSWORD');
    expect(env).not.toHaveProperty('NATS_URL');
    expect(await environment(CHART, { global: { redis: { ...own, existingSecret: 'mine' } } })).toMatchObject({
      REDIS_PASSWORD: { secretKeyRef: { name: 'mine', key: 'password' } },
    });
  });

  test.each([
    ['redis://h:1', true],
    ['rediss+cluster://h:1,i:2', true],
    ['valkey://h:1', false],
  ])('an address %s is taken: %s', async (url, isTaken) => {
    const outcome = environment(CHART, { global: { redis: { url } } }).then(() => true);
    expect(await outcome.catch((fault: Error) => /redis\/url.*pattern/s.test(fault.message) && false)).toBe(isTaken);
  });

  test('in a policy of its own calls Redis, the bus and public webhooks, and nothing private unless it may', async () => {
    const ways = async (values: object) => {
      const [policy] = (await rendered({ networkPolicy: { enabled: true, ...values } }))('NetworkPolicy');
      const blocks = policy!.spec.egress.flatMap(({ to = [] }: KubeObject) =>
        to.flatMap(({ ipBlock }: KubeObject) => ipBlock ?? []),
      );
      return { blocks, ports: policy!.spec.egress.flatMap(({ ports = [] }: KubeObject) => ports) };
    };
    const { blocks, ports } = await ways({});
    expect(blocks.map(({ cidr }: KubeObject) => cidr)).toEqual(['0.0.0.0/0', '::/0']);
    expect(blocks[0].except).toEqual(expect.arrayContaining(['10.0.0.0/8', '169.254.0.0/16', '192.168.0.0/16']));
    expect(ports).toContainEqual({ port: 6379 });
    expect((await ways({ webhooks: false })).blocks).toEqual([]);
    const [open] = (await rendered({ networkPolicy: { enabled: true }, settings: { allowPrivateTargets: true } }))(
      'NetworkPolicy',
    );
    expect(JSON.stringify(open)).not.toContain('except');
  });
});

given('workers that KEDA scales', () => {
  test('have an object each, of the form that KEDA takes, and one key between them', async () => {
    const of = await rendered({ keda: { scaledObjects: [MAILS, IMAGES] } });
    for (const object of of('ScaledObject')) expect(SCALED_OBJECT.safeParse(object).error).toBeUndefined();
    const [authentication, ...others] = of('TriggerAuthentication');
    expect(TRIGGER_AUTHENTICATION.safeParse(authentication).error).toBeUndefined();
    expect(others).toEqual([]);
    expect(of('ScaledObject').map(({ metadata: { name, namespace } }) => [name, namespace])).toEqual([
      ['r-queue-mails', 'apps'],
      ['r-queue-images', 'apps'],
    ]);
  });

  test('are as many as the jobs that wait or are worked on ask for, from none on', async () => {
    const [mails] = (await rendered({ keda: { scaledObjects: [MAILS] } }))('ScaledObject');
    expect(mails!.spec).toMatchObject({ scaleTargetRef: { name: 'mail-workers' }, minReplicaCount: 0 });
    expect(mails!.spec.triggers).toEqual([
      {
        type: 'metrics-api',
        name: 'load',
        metricType: 'AverageValue',
        metadata: {
          url: 'http://r-queue.apps.svc:7403/v1/queues/mails/stats',
          valueLocation: 'load',
          targetValue: '8',
          activationTargetValue: '0',
          authMode: 'apiKey',
          method: 'header',
          keyParamName: 'Api-Key',
        },
        authenticationRef: { name: 'r-queue-stats' },
      },
    ]);
  });

  test('may be multiplied by the age of the oldest job, which wakes nobody by itself', async () => {
    const [images] = (await rendered({ keda: { scaledObjects: [IMAGES] } }))('ScaledObject');
    const [load, age] = images!.spec.triggers;
    expect(load.metadata).toMatchObject({ targetValue: '0.5', activationTargetValue: '3' });
    expect(age).toMatchObject({
      metricType: 'Value',
      metadata: { valueLocation: 'oldestWaitingMs', targetValue: '60000' },
    });
    expect(Number(age.metadata.activationTargetValue)).toBeGreaterThan(365 * 86_400_000);
    expect(images!.spec.maxReplicaCount).toBe(1_000_000);
    expect(images!.metadata.annotations).toEqual(IMAGES.annotations);
  });

  test('are counted with the root key, or with one that may only read, or with none', async () => {
    const key = async (values: object) => {
      const of = await rendered({ keda: { scaledObjects: [MAILS] }, ...values });
      return of('TriggerAuthentication').map(({ spec }) => spec.secretTargetRef[0]);
    };
    expect(await key({})).toEqual([{ parameter: 'apiKey', name: 'r-api-keys', key: 'root-key' }]);
    expect(await key({ global: { ...REDIS.global, apiKeys: { existingSecret: 'mine' } } })).toMatchObject([
      { name: 'mine', key: 'root-key' },
    ]);
    const own = { scaledObjects: [MAILS], apiKey: { secret: 'keda', key: 'read' } };
    expect(await key({ keda: own })).toMatchObject([{ name: 'keda', key: 'read' }]);
    const without = await rendered({
      keda: { scaledObjects: [MAILS] },
      global: { ...REDIS.global, apiKeys: { enabled: false } },
    });
    expect(without('TriggerAuthentication')).toEqual([]);
    const [{ metadata, authenticationRef }] = without('ScaledObject')[0]!.spec.triggers;
    expect([metadata.authMode, authenticationRef]).toEqual([undefined, undefined]);
  });

  test('are named in NOTES.txt, with what to look at', async () => {
    const text = await notes(CHART, { values: { ...REDIS, keda: { scaledObjects: [MAILS] } } });
    expect(text).toMatch(/KEDA scales Deployment mail-workers by the queue mails: .*scaledobject r-queue-mails/);
  });
});

given('what cannot work is refused', () => {
  const keda = (...scaledObjects: object[]) => ({ ...REDIS, keda: { scaledObjects } });
  const REFUSED: [about: string, chart: string, values: object, says: RegExp][] = [
    ['a queue without Redis', CHART, {}, /queue needs Redis: set global.redis.url to yours/],
    [
      'a suite whose queue has no Redis',
      'charts/plinth',
      { global: { redis: { bundled: false } } },
      /queue needs Redis: set global.redis.bundled=true, or global.redis.url/,
    ],
    ['a lane that does not exist', CHART, { ...REDIS, settings: { lane: 'slow' } }, /'fast', 'standard'/],
    ['too few jobs to commit', CHART, { ...REDIS, settings: { committingMax: 999 } }, /committingMax.*999.*1,?000/s],
    ['an address among the settings', CHART, { ...REDIS, settings: { redisUrl: 'x' } }, /'redisUrl' not allowed/],
    ['workers of no queue', CHART, keda({ ...MAILS, queue: undefined }), /scaledObjects\/0.*missing property 'queue'/s],
    ['workers of a queue that cannot be', CHART, keda({ ...MAILS, queue: 'a/b' }), /scaledObjects\/0\/queue.*pattern/s],
    ['a misspelt member', CHART, keda({ ...MAILS, maxReplicas: 3 }), /'maxReplicas' not allowed/],
    ['two objects of one name', CHART, keda(MAILS, { ...MAILS, queue: 'other' }), /two of the name mails/],
    ['two autoscalers of one Deployment', CHART, keda(MAILS, { ...MAILS, name: 'b' }), /mails and b both scale/],
    ['more at least than at most', CHART, keda({ ...MAILS, minReplicaCount: 11 }), /minReplicaCount is 11.*10/],
  ];

  test.each(REFUSED)('%s', async (_, chart, values, says) => {
    expect(await refusal(chart, values)).toMatch(says);
  });

  test('but a suite without a queue needs no Redis', async () => {
    const values = { queue: { enabled: false }, global: { redis: { bundled: false } } };
    await expect(objects('charts/plinth', { values })).resolves.toBeDefined();
  });
});
