/** What holds for every chart, however it is set up. Rendered only: tests/k8s installs them. */
import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, test } from '@jest/globals';
import {
  CHARTS,
  HAS_HELM,
  IMAGES,
  type KubeObject,
  lint,
  MAILS,
  NEEDED,
  notes,
  objects,
  type Rendering,
  refusal,
  STATELESS,
} from './helm.ts';

const ALL = [...CHARTS, STATELESS];
const HA = ['charts/plinth/values-ha.yaml'];
const KEYS = [`ann ${'a'.repeat(64)} kv:read`];
const OPEN = {
  metrics: { serviceMonitor: { enabled: true }, prometheusRule: { enabled: true }, dashboard: { enabled: true } },
};

/** Every place in a pod that is the user's. */
const POD = {
  priorityClassName: 'high',
  nodeSelector: { disk: 'fast' },
  tolerations: [{ key: 'own', operator: 'Exists', effect: 'NoSchedule' }],
  affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [] } },
  topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'rack', whenUnsatisfiable: 'DoNotSchedule' }],
  podLabels: { team: 'a' },
  podAnnotations: { note: 'b' },
  commonLabels: { cost: 'c' },
  commonAnnotations: { owner: 'd' },
  networkPolicy: { enabled: true, from: [{ namespaceSelector: { matchLabels: { name: 'infra' } } }] },
  service: { type: 'NodePort', nodePort: 30_000, annotations: { e: 'f' } },
};
const BUS = { global: { nats: { url: 'nats://a:4222' } } };
const REDIS = NEEDED['charts/queue']!;
const RULES = { 'api.yaml': 'domain: api\nrules: []\n' };
const RESTRICTED = {
  image: 'x:1',
  resources: { requests: { memory: '1Mi' }, limits: { memory: '1Mi' } },
  securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
};
const EXTRA = {
  name: '{{ .Release.Name }}-more',
  namespace: 'default',
  labels: Object.fromEntries(
    ['name', 'instance', 'version', 'part-of', 'managed-by'].map((label) => [`app.kubernetes.io/${label}`, 'x']),
  ),
};
const SERVICE = {
  ...POD,
  preStopSeconds: 5,
  extraVolumes: [{ name: 'more', emptyDir: {} }],
  extraVolumeMounts: [{ name: 'more', mountPath: '/more' }],
  extraContainers: [{ name: 'beside', ...RESTRICTED }],
  initContainers: [{ name: 'before', ...RESTRICTED }],
  envFrom: [{ configMapRef: { name: 'more' } }],
  networkPolicy: { ...POD.networkPolicy, extraEgress: [{ ports: [{ port: 5432 }] }] },
  service: { ...POD.service, trafficDistribution: 'PreferClose' },
  serviceAccount: { name: 'own', annotations: { g: 'h' } },
  ingress: {
    enabled: true,
    hosts: ['a.example'],
    className: 'nginx',
    tls: [{ hosts: ['a.example'], secretName: 't' }],
  },
  metrics: { scrapeAnnotations: true },
  global: { image: { registry: 'mirror', pullSecrets: ['one'] }, storageClass: 'fast' },
  image: { pullSecrets: ['one', 'two'] },
};

/** Ways to set a chart up, each by what it is for. */
const VARIANTS: Record<string, [chart: string, rendering: Rendering][]> = {
  defaults: ALL.map((chart) => [chart, { values: NEEDED[chart] }]),
  'the profile ha': ALL.map((chart) => [chart, { values: { global: { profile: 'ha', ...NEEDED[chart]?.global } } }]),
  'the values for ha': [['charts/plinth', { files: HA }]],
  'engines of your own': [
    [
      'charts/plinth',
      {
        values: {
          global: {
            nats: { bundled: false, url: 'nats://a:4222,nats://b:4222', existingSecret: 'bus' },
            redis: { bundled: false, url: 'redis://c:6379', existingSecret: 'redis' },
            jaeger: { bundled: false },
            otel: { endpoint: 'https://collector:4318' },
            apiKeys: { existingSecret: 'keys', hashed: KEYS },
          },
        },
      },
    ],
  ],
  'all that can be seen': [
    [
      'charts/kv',
      {
        values: {
          ...OPEN,
          ingress: { enabled: true, hosts: ['a.example'] },
          httpRoute: { enabled: true, parentRefs: [{ name: 'gateway' }], hostnames: ['b.example'] },
        },
      },
    ],
    ['charts/ratelimit', { values: { ...OPEN, ingress: { enabled: true, hosts: ['a.example'] } } }],
    ['charts/queue', { values: { ...OPEN, ...REDIS, ingress: { enabled: true, hosts: ['a.example'] } } }],
    [STATELESS, { values: { ...OPEN, autoscaling: { enabled: true }, pdb: { enabled: true } } }],
    [STATELESS, { values: { keda: { enabled: true, triggers: [{ type: 'cron', metadata: {} }] } } }],
  ],
  "all that is the user's": [
    ...['charts/nats', 'charts/valkey', 'charts/jaeger'].map((chart): [string, Rendering] => [chart, { values: POD }]),
    ['charts/kv', { values: { ...SERVICE, persistence: { annotations: { i: 'j' } } } }],
    ['charts/kv', { values: { persistence: { existingClaim: 'mine' } } }],
    ['charts/ratelimit', { values: SERVICE }],
    ['charts/queue', { values: { ...SERVICE, global: { ...SERVICE.global, ...REDIS.global } } }],
    [STATELESS, { values: { ...SERVICE, extraObjects: [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: EXTRA }] } }],
  ],
  'no data, no keys': [
    [
      'charts/plinth',
      {
        values: {
          global: { apiKeys: { enabled: false } },
          kv: { persistence: { enabled: false } },
          nats: { persistence: { enabled: false } },
          valkey: { persistence: { enabled: false } },
        },
      },
    ],
  ],
  'a limiter of several pods': [
    ['charts/ratelimit', { values: { replicas: 3, ...BUS, rules: RULES, ports: { resp: { port: 7422 } } } }],
    ['charts/ratelimit', { values: { autoscaling: { enabled: true }, pdb: { enabled: true }, ...BUS } }],
    [
      'charts/ratelimit',
      { values: { replicas: 2, settings: { backend: 'redis' }, global: { redis: { url: 'redis://c:6379' } } } },
    ],
    ['charts/plinth', { values: { ratelimit: { replicas: 3, settings: { backend: 'redis' } } } }],
  ],
  'a limiter with its doors closed': [['charts/ratelimit', { values: { ports: { rls: { port: null } } } }]],
  'queues of several pods': [
    ['charts/queue', { values: { replicas: 2, pdb: { enabled: true }, ...REDIS } }],
    ['charts/queue', { values: { autoscaling: { enabled: true }, pdb: { enabled: true }, ...REDIS } }],
    ['charts/plinth', { values: { queue: { replicas: 2, networkPolicy: { enabled: true, webhooks: false } } } }],
  ],
  'workers that KEDA scales': [
    ['charts/queue', { values: { keda: { scaledObjects: [MAILS, IMAGES] }, ...REDIS } }],
    ['charts/plinth', { values: { queue: { keda: { scaledObjects: [MAILS] } } } }],
  ],
  'environment set thrice': [
    [
      'charts/kv',
      {
        values: {
          settings: { logLevel: 'debug', cacheBytes: 67_108_864, allowedHosts: ['a', 'b'], autoCreateBuckets: false },
          env: { KV_LOG_LEVEL: 'warn', NATS_TOKEN: { valueFrom: { secretKeyRef: { name: 'x', key: 'y' } } } },
        },
      },
    ],
  ],
};
const CASES = Object.entries(VARIANTS).flatMap(([name, list]) =>
  list.map(([chart, rendering]): [string, string, Rendering] => [name, chart, rendering]),
);

if (!HAS_HELM) process.stderr.write('charts: skipped, helm is not on PATH\n');
const given = HAS_HELM ? describe : describe.skip;

given('every chart', () => {
  const rendered = new Map<string, KubeObject[]>();
  beforeAll(async () => {
    for (const [name, chart, rendering] of CASES)
      rendered.set(`${name} ${chart} ${JSON.stringify(rendering)}`, await objects(chart, rendering));
  }, 180_000);
  const all = () => [...rendered].flatMap(([variant, list]) => list.map((object) => ({ variant, object })));
  const faults = (check: (object: KubeObject) => string[]) =>
    all().flatMap(({ variant, object }) =>
      check(object).map((fault) => `${variant}: ${object.kind} ${object.metadata.name} ${fault}`),
    );

  test.each(ALL)('%s is clean by helm lint --strict', async (chart) => {
    expect(await lint(chart)).toContain('0 chart(s) failed');
  });

  test('no container has a variable twice: the API server refuses that', () => {
    const twice = (container: { env?: { name: string }[] }) => {
      const names = (container.env ?? []).map(({ name }) => name);
      return names.filter((name, at) => names.indexOf(name) !== at);
    };
    expect(faults((object) => containersOf(object).flatMap(twice))).toEqual([]);
  });

  test('pods conform to the Pod Security level restricted, may write only to volumes, and hold no token', () => {
    expect(faults(restrictedFaults)).toEqual([]);
  });

  test('every container asks for memory and has a limit of it, and none of the processor', () => {
    const missing = (object: KubeObject) =>
      containersOf(object).flatMap(({ resources = {} }) => [
        ...(resources.requests?.memory && resources.limits?.memory ? [] : ['has no request or limit of memory']),
        ...(resources.limits?.cpu === undefined ? [] : ['has a limit of the processor']),
      ]);
    expect(faults(missing)).toEqual([]);
  });

  test('a workload with an autoscaler has no number of replicas, every other has one', () => {
    for (const list of rendered.values()) {
      const scaled = list.filter(({ kind }) => /HorizontalPodAutoscaler|ScaledObject/.test(kind));
      const targets = scaled.map(({ spec }) => spec.scaleTargetRef.name);
      for (const { kind, metadata, spec } of list.filter(({ kind }) => /StatefulSet|Deployment/.test(kind))) {
        expect([kind, metadata.name, 'replicas' in spec]).toEqual([
          kind,
          metadata.name,
          !targets.includes(metadata.name),
        ]);
      }
    }
  });

  test('a disruption budget stands only where there is more than one replica', async () => {
    const names = (list: KubeObject[]) =>
      list
        .filter(({ kind }) => kind === 'PodDisruptionBudget')
        .map(({ metadata }) => metadata.name)
        .sort();
    expect(names(await objects('charts/plinth', { files: HA }))).toEqual(['r-nats', 'r-queue', 'r-ratelimit']);
    expect(names(await objects('charts/nats', { values: { pdb: { enabled: true } } }))).toEqual([]);
    expect(names(await objects(STATELESS, { values: { pdb: { enabled: true }, replicas: 1 } }))).toEqual([]);
  });

  test('objects have the recommended labels, and what selects pods selects them', () => {
    const unlabelled = ({ metadata: { labels = {} } }: KubeObject) =>
      ['name', 'instance', 'version', 'part-of', 'managed-by']
        .map((label) => `app.kubernetes.io/${label}`)
        .filter((label) => !labels[label]);
    expect(faults(unlabelled)).toEqual([]);
    const selecting = faults((object) => {
      const selector = object.spec?.selector?.matchLabels;
      const labels = object.spec?.template?.metadata.labels;
      if (selector === undefined || labels === undefined) return [];
      return Object.entries(selector)
        .filter(([label, value]) => labels[label] !== value)
        .map(([label]) => `does not select by ${label}`);
    });
    expect(selecting).toEqual([]);
  });

  test('two releases in one namespace share no name', async () => {
    for (const chart of ALL) {
      const names = async (release: string) =>
        (await objects(chart, { release, values: { global: { profile: 'ha', ...NEEDED[chart]?.global } } })).map(
          ({ kind, metadata }) => `${kind} ${metadata.name}`,
        );
      const [one, other] = [await names('one'), await names('other')];
      expect(one.filter((name) => other.includes(name))).toEqual([]);
      expect(one.filter((name, at) => one.indexOf(name) !== at)).toEqual([]);
    }
  });

  test('all objects of a suite go where namespaceOverride says', async () => {
    const list = await objects('charts/plinth', { values: { global: { namespaceOverride: 'elsewhere' } }, files: HA });
    expect(list.filter(({ metadata }) => metadata.namespace !== 'elsewhere')).toEqual([]);
  });

  test('the whole suite asks for at most 1 GiB of memory', async () => {
    const list = await objects('charts/plinth');
    const workloads = list.filter(({ kind }) => /StatefulSet|Deployment/.test(kind));
    const mebibytes = workloads.flatMap((object) =>
      containersOf(object).map(
        ({ resources }) => Number.parseInt(resources.requests.memory, 10) * (object.spec.replicas ?? 1),
      ),
    );
    expect(mebibytes.reduce((sum, each) => sum + each, 0)).toBe(576);
  });

  const KUBECONFORM = spawnSync('kubeconform', ['-v']).status === 0;
  (KUBECONFORM ? test : test.skip)('kubeconform -strict finds nothing', () => {
    // biome-ignore lint/suspicious/noUndeclaredEnvVars: turbo runs no test.
    const schemas = process.env.KUBECONFORM_SCHEMAS?.split(' ') ?? ['default'];
    const args = [
      '-strict',
      '-summary',
      '-skip',
      'ServiceMonitor,PrometheusRule,HTTPRoute,ScaledObject,TriggerAuthentication',
      ...schemas.flatMap((place) => ['-schema-location', place]),
    ];
    const input = all()
      .map(({ object }) => JSON.stringify(object))
      .join('\n---\n');
    // Its schemas come from the network unless somebody has them, and it tries for minutes where there is none.
    const limits = { maxBuffer: 2 ** 24, timeout: 20_000 };
    const { stdout, signal } = spawnSync('kubeconform', args, { input, encoding: 'utf8', ...limits });
    if (signal !== null || /failed downloading schema|could not find schema/.test(stdout)) {
      process.stderr.write('charts: kubeconform has no schemas; KUBECONFORM_SCHEMAS says where they are\n');
      return;
    }
    expect(stdout).toContain('Invalid: 0, Errors: 0');
  });
});

given('a service', () => {
  test('has the environment of its chart, its settings and its env, the later over the earlier', async () => {
    const env = await environmentOf('charts/kv', VARIANTS['environment set thrice']![0]![1]);
    expect(env).toMatchObject({
      KV_HOST: '0.0.0.0',
      KV_PORT: '7401',
      KV_DATA_DIR: '/data',
      KV_LOG_LEVEL: 'warn',
      KV_CACHE_BYTES: '67108864',
      KV_ALLOWED_HOSTS: 'a,b',
      KV_AUTO_CREATE_BUCKETS: 'false',
      NATS_TOKEN: { secretKeyRef: { name: 'x', key: 'y' } },
    });
    expect(env).not.toHaveProperty('NATS_URL');
  });

  test('in the suite, finds the bus, its user and the collector', async () => {
    expect(await environmentOf('charts/plinth', {})).toMatchObject({
      NATS_URL: 'nats://r-nats:4222',
      NATS_USER: 'kv',
      NATS_PASSWORD: { secretKeyRef: { name: 'r-nats-auth', key: 'kv-password' } },
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://r-jaeger:4318',
      OTEL_TRACES_SAMPLER_ARG: '1',
      API_ROOT_KEY_FILE: '/run/secrets/plinth/root-key',
    });
    const [, own] = VARIANTS['engines of your own']![0]!;
    expect(await environmentOf('charts/plinth', own)).toMatchObject({
      NATS_URL: 'nats://a:4222,nats://b:4222',
      NATS_PASSWORD: { secretKeyRef: { name: 'bus', key: 'kv-password' } },
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector:4318',
      API_KEYS_FILE: '/run/secrets/plinth/keys',
    });
  });

  test('names what a reference in its environment needs before it', async () => {
    const names = Object.keys(await environmentOf('charts/plinth', {}));
    expect(names.indexOf('K8S_POD_NAME')).toBeLessThan(names.indexOf('OTEL_RESOURCE_ATTRIBUTES'));
  });

  test('is tested through its Service, with its key, by a pod that gets no requests', async () => {
    const list = await objects('charts/kv');
    const pod = list.find(({ kind }) => kind === 'Pod')!;
    const service = list.find(({ kind, spec }) => kind === 'Service' && spec.clusterIP !== 'None')!;
    expect(pod.metadata.annotations).toMatchObject({ 'helm.sh/hook': 'test' });
    expect(pod.spec.containers[0].env).toContainEqual({ name: 'KV_URL', value: 'http://r-kv:7401' });
    expect(pod.metadata.labels!['app.kubernetes.io/name']).not.toBe(service.spec.selector['app.kubernetes.io/name']);
  });

  test('keeps hashed keys of the values in the Secret, beside a root key of your own', async () => {
    const values = { global: { apiKeys: { existingSecret: 'mine', hashed: KEYS } } };
    const list = await objects('charts/kv', { values });
    const secret = list.find(({ kind }) => kind === 'Secret')!;
    expect(secret.data).toEqual({ keys: Buffer.from(`${KEYS[0]}\n`).toString('base64') });
    const set = list.find(({ kind }) => kind === 'StatefulSet')!;
    const volume = set.spec.template.spec.volumes.find(({ name }: { name: string }) => name === 'api-keys');
    expect(volume.projected.sources.map(({ secret }: KubeObject) => secret.name)).toEqual(['mine', 'r-api-keys']);
  });
});

given('the rate limiter', () => {
  const backend = async (chart: string, values: object = {}) =>
    (await environmentOf(chart, { values }, 'ratelimit')).RATELIMIT_BACKEND;

  test('keeps states in its pod alone, with the other pods where there is a bus, and where it is told to', async () => {
    expect(await backend('charts/ratelimit')).toBe('memory');
    expect(await backend('charts/ratelimit', BUS)).toBe('owners');
    expect(await backend('charts/plinth')).toBe('owners');
    expect(await backend('charts/plinth', { ratelimit: { settings: { backend: 'memory' } } })).toBe('memory');
  });

  test('knows Redis when it keeps states there, and only then', async () => {
    const values = { ratelimit: { settings: { backend: 'redis' } } };
    expect(await environmentOf('charts/plinth', { values }, 'ratelimit')).toMatchObject({
      RATELIMIT_BACKEND: 'redis',
      REDIS_URL: 'redis://r-valkey:6379',
      REDIS_PASSWORD: { secretKeyRef: { name: 'r-valkey-auth', key: 'password' } },
    });
    expect(await environmentOf('charts/plinth', {}, 'ratelimit')).not.toHaveProperty('REDIS_URL');
  });

  test('opens the doors that have a port: in the pod, in the Service, in the policy, for the test', async () => {
    const doors = async (ports: object) => {
      const values = { ports, networkPolicy: { enabled: true } };
      const list = await objects('charts/ratelimit', { values });
      const of = (kind: string) => list.find((object) => object.kind === kind)!.spec;
      const env = await environmentOf('charts/ratelimit', { values }, 'ratelimit');
      const names = (ports: { name?: string; port?: unknown }[]) => ports.map(({ name, port }) => name ?? port);
      return {
        pod: names(of('Deployment').template.spec.containers[0].ports),
        service: names(of('Service').ports),
        policy: names(of('NetworkPolicy').ingress[0].ports),
        test: names(of('Pod').containers[0].env).filter((name) => /_ADDRESS$/.test(String(name))),
        env: Object.keys(env).filter((name) => /_(RLS|RESP)_/.test(name)),
      };
    };
    const both = { rls: { port: 7412 }, resp: { port: 7422 } };
    const names = ['http', 'resp', 'rls'];
    expect(await doors(both)).toEqual({
      pod: names,
      service: names,
      policy: names,
      test: ['RATELIMIT_RESP_ADDRESS', 'RATELIMIT_RLS_ADDRESS'],
      env: ['RATELIMIT_RESP_HOST', 'RATELIMIT_RESP_PORT', 'RATELIMIT_RLS_HOST', 'RATELIMIT_RLS_PORT'],
    });
    expect(await doors({ rls: { port: null } })).toEqual({
      ...Object.fromEntries(['pod', 'service', 'policy'].map((place) => [place, ['http']])),
      test: [],
      env: [],
    });
  });

  test('is told of changed rules by their files: the pod stays what it was', async () => {
    const rendered = async (rules: object) => {
      const list = await objects('charts/ratelimit', { values: { rules } });
      const of = (kind: string) => list.find((object) => object.kind === kind)!;
      return { pod: of('Deployment').spec.template, files: of('ConfigMap').data };
    };
    const [none, some] = [await rendered({}), await rendered(RULES)];
    expect(some.files).toEqual(RULES);
    expect(none.files).toEqual({});
    expect(some.pod).toEqual(none.pod);
  });
});

given('what cannot work is refused', () => {
  const REFUSED: [about: string, chart: string, values: object, says: RegExp][] = [
    [
      'a setting that does not exist',
      'charts/kv',
      { settings: { chekpointBytes: '1MiB' } },
      /'\/settings'.*'chekpointBytes' not allowed/s,
    ],
    [
      'a unit that a setting does not have',
      'charts/kv',
      { settings: { checkpointBytes: '1MB' } },
      /settings\/checkpointBytes.*KiB\|MiB/s,
    ],
    [
      'a number out of range',
      'charts/kv',
      { settings: { commitTimeoutMs: 99 } },
      /settings\/commitTimeoutMs.*minimum.*99.*100/s,
    ],
    [
      'a word that is none of the choice',
      'charts/kv',
      { settings: { logLevel: 'loud' } },
      /settings\/logLevel.*'debug', 'info'/s,
    ],
    ['a second replica of an embedded engine', 'charts/kv', { replicas: 2 }, /\/replicas.*maximum.*2.*1/s],
    ['a misspelt value', 'charts/kv', { resorces: {} }, /'resorces' not allowed/],
    ['a misspelt value of a part', 'charts/plinth', { kv: { images: {} } }, /'images' not allowed/],
    ['a misspelt global value', 'charts/plinth', { global: { nat: {} } }, /'\/global'.*'nat' not allowed/s],
    ['a key that is not hashed', 'charts/kv', { global: { apiKeys: { hashed: ['plk_secret'] } } }, /apiKeys\/hashed/],
    [
      'a grace period that is not above the stop',
      'charts/kv',
      { terminationGracePeriodSeconds: 25 },
      /25 s.*shutdownTimeoutMs \(25000 ms\).*30 or more/s,
    ],
    [
      'a grace period that preStop uses up',
      'charts/kv',
      { preStopSeconds: 20 },
      /45 s.*preStopSeconds \(20 s\).*25000 ms/s,
    ],
    [
      'a delay as long as the stop',
      'charts/kv',
      { settings: { shutdownDelayMs: '25s' } },
      /shutdownDelayMs is 25000 ms.*25000 ms/s,
    ],
    ['two servers of NATS', 'charts/nats', { replicas: 2 }, /'\/replicas'.*1, 3/s],
    [
      'services without a bus',
      'charts/plinth',
      { global: { nats: { bundled: false } } },
      /need NATS.*bundled=true.*nats.url/s,
    ],
    ['two kinds of NATS', 'charts/plinth', { global: { nats: { url: 'nats://x' } } }, /set one of them/],
    [
      'a service that needs Redis without one',
      STATELESS,
      { global: { redis: { bundled: false } } },
      /stateless needs Redis/,
    ],
    [
      'two autoscalers',
      STATELESS,
      { autoscaling: { enabled: true }, keda: { enabled: true, triggers: [{ type: 'x', metadata: {} }] } },
      /one autoscaler/,
    ],
    ['a second limiter that counts for itself', 'charts/ratelimit', { replicas: 2 }, /replicas is 2.*memory/s],
    [
      'an autoscaler of limiters that count for themselves',
      'charts/plinth',
      { ratelimit: { autoscaling: { enabled: true }, settings: { backend: 'memory' } } },
      /autoscaling.enabled is true.*memory/s,
    ],
    [
      'owners that cannot find each other',
      'charts/ratelimit',
      { settings: { backend: 'owners' } },
      /owners.*global.nats.url/s,
    ],
    [
      'a limiter that keeps its states in no Redis',
      'charts/ratelimit',
      { settings: { backend: 'redis' } },
      /needs Redis/,
    ],
    ['a backend that does not exist', 'charts/ratelimit', { settings: { backend: 'etcd' } }, /'memory', 'owners'/],
    [
      'rules in a file that is not read',
      'charts/ratelimit',
      { rules: { api: 'domain: api' } },
      /propertyName 'api'.*yaml\|yml/s,
    ],
    ['a door that the chart opens itself', 'charts/ratelimit', { settings: { rlsPort: 1 } }, /'rlsPort' not allowed/],
    ['an Ingress without a host', 'charts/kv', { ingress: { enabled: true } }, /ingress.hosts is empty/],
    ['a route without a Gateway', 'charts/kv', { httpRoute: { enabled: true } }, /httpRoute.parentRefs is empty/],
    ['KEDA without a trigger', STATELESS, { keda: { enabled: true } }, /keda.triggers is empty/],
  ];

  test.each(REFUSED)('%s', async (_, chart, values, says) => {
    expect(await refusal(chart, values)).toMatch(says);
  });

  test('but a stop that just fits is taken', async () => {
    await expect(objects('charts/kv', { values: { terminationGracePeriodSeconds: 26 } })).resolves.toBeDefined();
  });
});

given('NOTES.txt', () => {
  const PUT = "-X PUT http://127.0.0.1:7401/v1/kv/hello/world -d 'it works'";
  const ENQUEUE = `http://127.0.0.1:7403/v1/queues/mails/jobs -d '{"name":"welcome","data":{"to":"ann@example.com"}}'`;
  const CHECK = `http://127.0.0.1:7402/v1/limits/check -d '{"key":"ann","limit":{"limit":3,"windowMs":60000}}'`;

  test.each([
    ['charts/kv', 'kv 7401:7401', PUT],
    ['charts/ratelimit', 'ratelimit 7402:7402', CHECK],
    ['charts/queue', 'queue 7403:7403', ENQUEUE],
    ['charts/plinth', 'kv 7401:7401', PUT],
  ])('of %s begins with three commands that work as they stand', async (chart, forwarded, call) => {
    const lines = (await notes(chart, { release: 'p', namespace: 'n', values: NEEDED[chart] })).trim().split('\n');
    expect(lines.slice(0, 3)).toEqual([
      `kubectl -n n port-forward svc/p-${forwarded} &`,
      "KEY=$(kubectl -n n get secret p-api-keys -o jsonpath='{.data.root-key}' | base64 -d)",
      `curl -H "Authorization: Bearer $KEY" ${call}`,
    ]);
    expect(lines.join('\n')).not.toContain('WARNING');
  });

  test('of the suite begins with the limiter where there is no store', async () => {
    const lines = (await notes('charts/plinth', { values: { kv: { enabled: false } } })).trim().split('\n');
    expect(lines[0]).toBe('kubectl -n default port-forward svc/r-ratelimit 7402:7402 &');
  });

  test('warns of every value that is less safe than the default', async () => {
    const values = {
      global: { apiKeys: { enabled: false }, profile: 'ha' },
      kv: { persistence: { enabled: false }, securityContext: { readOnlyRootFilesystem: false } },
      nats: { persistence: { enabled: false }, jetstream: { syncInterval: '2m' } },
      valkey: { persistence: { enabled: false } },
    };
    const warnings = (await notes('charts/plinth', { values })).match(/^WARNING.*$/gm) ?? [];
    expect(warnings.map((line) => /^WARNING (\w+): (?:([\w.]+)=)?/.exec(line)!.slice(1))).toEqual([
      ['kv', 'global.apiKeys.enabled'],
      ['kv', 'persistence.enabled'],
      ['kv', 'securityContext.readOnlyRootFilesystem'],
      ['ratelimit', 'global.apiKeys.enabled'],
      ['queue', 'global.apiKeys.enabled'],
      ['nats', 'jetstream.syncInterval'],
      ['nats', 'persistence.enabled'],
      ['valkey', 'persistence.enabled'],
      ['jaeger', undefined],
    ]);
    const plain = await notes('charts/kv', {
      values: { ingress: { enabled: true, hosts: ['a'] }, service: { type: 'NodePort' } },
    });
    expect(plain.match(/plain text/g)).toHaveLength(2);
    const door = await notes('charts/ratelimit', { values: { service: { type: 'NodePort' } } });
    expect(door).toMatch(/WARNING ratelimit: .*the port rls, where callers are asked for no key/);
  });
});

// biome-ignore lint/suspicious/noExplicitAny: the shape is Kubernetes', and a missing member is what is looked for.
function podOf(object: KubeObject): any {
  if (object.kind === 'Pod') return object.spec;
  return object.spec?.template?.spec;
}

// biome-ignore lint/suspicious/noExplicitAny: as above.
function containersOf(object: KubeObject): any[] {
  const pod = podOf(object);
  return [...(pod?.initContainers ?? []), ...(pod?.containers ?? [])];
}

function restrictedFaults(object: KubeObject): string[] {
  const pod = podOf(object);
  if (pod === undefined) return [];
  const { securityContext: own = {} } = pod;
  const ofPod = [
    own.runAsNonRoot === true && own.runAsUser > 0 ? '' : 'may run as root',
    own.seccompProfile?.type === 'RuntimeDefault' ? '' : 'has no seccomp profile',
    pod.automountServiceAccountToken === false ? '' : 'holds a token',
    pod.enableServiceLinks === false ? '' : 'takes service links',
    pod.hostNetwork || pod.hostPID || pod.hostIPC ? 'shares the host' : '',
  ];
  const ofContainers = containersOf(object).flatMap(({ securityContext: context = {} }) => [
    context.allowPrivilegeEscalation === false ? '' : 'may escalate',
    context.readOnlyRootFilesystem === true ? '' : 'may write to its image',
    context.capabilities?.drop?.includes('ALL') ? '' : 'keeps capabilities',
  ]);
  return [...ofPod, ...ofContainers].filter((fault) => fault !== '');
}

async function environmentOf(chart: string, rendering: Rendering, part = 'kv'): Promise<Record<string, unknown>> {
  const list = await objects(chart, rendering);
  const set = list.find(({ kind, metadata }) => /StatefulSet|Deployment/.test(kind) && metadata.name === `r-${part}`)!;
  const env: { name: string; value?: string; valueFrom?: unknown }[] = set.spec.template.spec.containers[0].env;
  return Object.fromEntries(env.map(({ name, value, valueFrom }) => [name, value ?? valueFrom]));
}
