/**
 * No value is dead: every leaf of every values.yaml is changed, one at a time, and what is rendered must differ. A value
 * that means something only beside another is changed beside it.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { CHARTS, HAS_HELM, MAILS, manifest, NEEDED, ROOT, STATELESS } from './helm.ts';

type Tree = { [key: string]: unknown };

/** How a leaf is changed, where its type does not say it; and what must be set for it to mean anything. */
interface Flip {
  to?: unknown;
  beside?: Tree;
}

const HASHED = `ann ${'0'.repeat(64)} kv:read`;
const INGRESS = { ingress: { enabled: true, hosts: ['a.example'] } };
const ROUTE = { httpRoute: { enabled: true, parentRefs: [{ name: 'gateway' }] } };
const POLICY = { networkPolicy: { enabled: true } };
const SCALED = { autoscaling: { enabled: true } };
const KEDA = { keda: { enabled: true, triggers: [{ type: 'cron', metadata: {} }] } };
const BUS = { global: { nats: { url: 'nats://x:4222' } } };
const REDIS = { settings: { backend: 'redis' }, global: { redis: { url: 'redis://x:6379' } } };
const ON = (member: string) => ({ metrics: { [member]: { enabled: true } } });

/** By the path of a leaf, or of what is above it; the longest wins, member by member. */
const FLIPS: Record<string, Flip> = {
  autoscaling: { beside: SCALED },
  'autoscaling.enabled': { beside: {} },
  'autoscaling.targetMemoryPercent': { to: 80 },
  extraContainers: { to: [{ name: 'x', image: 'x' }] },
  extraObjects: { to: [{ apiVersion: 'v1', kind: 'ConfigMap' }] },
  extraVolumeMounts: { to: [{ name: 'x', mountPath: '/x' }] },
  extraVolumes: { to: [{ name: 'x' }] },
  envFrom: { to: [{ secretRef: { name: 'x' } }] },
  'global.apiKeys.hashed': { to: [HASHED] },
  'global.bus': { to: { app: { publish: ['a'] } } },
  'global.nats.url': { to: 'nats://x:4222' },
  'global.otel.endpoint': { to: 'http://x:4318' },
  'global.otel.sampleRatio': { to: 0.5, beside: { global: { otel: { endpoint: 'http://x:4318' } } } },
  'global.profile': { to: 'ha' },
  'global.redis.url': { to: 'redis://x:6379' },
  httpRoute: { beside: ROUTE },
  'httpRoute.parentRefs': { to: [{ name: 'other' }] },
  'httpRoute.enabled': { to: false },
  'image.digest': { to: `sha256:${'0'.repeat(64)}` },
  'image.pullPolicy': { to: 'Always' },
  ingress: { beside: INGRESS },
  'ingress.enabled': { to: false },
  'ingress.tls': { to: [{ secretName: 'x' }] },
  initContainers: { to: [{ name: 'x', image: 'x' }] },
  keda: { beside: KEDA },
  'keda.enabled': { to: false },
  'keda.triggers': { to: [{ type: 'cpu', metadata: {} }] },
  'metrics.dashboard': { beside: ON('dashboard') },
  'metrics.dashboard.enabled': { to: false },
  'metrics.prometheusRule': { beside: ON('prometheusRule') },
  'metrics.prometheusRule.enabled': { to: false },
  'metrics.prometheusRule.extraRules': { to: [{ alert: 'x', expr: 'x' }] },
  'metrics.serviceMonitor': { beside: ON('serviceMonitor') },
  'metrics.serviceMonitor.enabled': { to: false },
  'metrics.serviceMonitor.interval': { to: '7s' },
  networkPolicy: { beside: POLICY },
  'networkPolicy.enabled': { to: false },
  'networkPolicy.extraEgress': { to: [{}] },
  'networkPolicy.from': { to: [{ namespaceSelector: {} }] },
  pdb: { beside: { pdb: { enabled: true } } },
  'pdb.enabled': { to: false },
  'persistence.accessModes': { to: ['ReadWriteMany'] },
  'persistence.retention': { to: 'Delete' },
  'persistence.size': { to: '999Gi' },
  resources: { to: '7' },
  'helmTest.resources': { to: '7' },
  'service.nodePort': { to: 30_000 },
  'service.trafficDistribution': { to: 'PreferClose' },
  'service.type': { to: 'NodePort' },
  'settings.shutdownDelayMs': { to: '6s' },
  'settings.shutdownTimeoutMs': { to: '26s' },
  tolerations: { to: [{ operator: 'Exists' }] },
  topologySpreadConstraints: { to: [{ topologyKey: 'x' }] },
};

/** What only one chart has, or has in another way. */
const OWN_FLIPS: Record<string, Record<string, Flip>> = {
  'charts/kv': { replicas: { to: 0 } },
  'charts/ratelimit': {
    // Pods that scale find each other over the bus.
    autoscaling: { beside: { ...SCALED, ...BUS } },
    'autoscaling.enabled': { beside: BUS },
    replicas: { to: 2, beside: BUS },
    pdb: { beside: { replicas: 2, pdb: { enabled: true }, ...BUS } },
    'global.redis': { beside: REDIS },
    'global.redis.url': { to: 'redis://y:6379' },
    'ports.resp': { beside: { ports: { resp: { port: 7422 } } } },
    'ports.resp.port': { to: 7423 },
    'ports.rls.port': { to: null },
    'ports.rls.nodePort': { to: 30_001 },
    'ports.resp.nodePort': { to: 30_001 },
    rules: { to: { 'a.yaml': 'domain: a' } },
    'settings.backend': { to: 'redis', beside: { global: { redis: { url: 'redis://x:6379' } } } },
  },
  'charts/queue': {
    pdb: { beside: { replicas: 2, pdb: { enabled: true } } },
    keda: { beside: { keda: { scaledObjects: [MAILS] } } },
    'keda.scaledObjects': { to: [MAILS], beside: {} },
  },
  'charts/nats': {
    replicas: { to: 3 },
    pdb: { beside: { replicas: 3, pdb: { enabled: true } } },
    maxPayload: { to: '2MB' },
    jetstream: { to: '9MB' },
    'jetstream.syncInterval': { to: '2m' },
  },
  'charts/valkey': {
    appendfsync: { to: 'always' },
    maxmemory: { to: '9mb' },
    command: { to: 'redis-server' },
  },
  'charts/plinth': {
    'global.nats.url': { to: 'nats://y:4222', beside: { global: { nats: { bundled: false, url: 'nats://x:4222' } } } },
    'global.nats.bundled': {
      beside: { kv: { enabled: false }, ratelimit: { enabled: false }, queue: { enabled: false } },
    },
    'global.redis.url': {
      to: 'redis://y:6379',
      beside: { global: { redis: { bundled: false, url: 'redis://x:6379' } } },
    },
    'global.redis.bundled': { beside: { queue: { enabled: false } } },
    nats: { to: { maxPayload: '2MB' } },
    valkey: { to: { appendfsync: 'always' } },
    jaeger: { to: { args: [] } },
  },
};

/** Read by another chart than the one whose values they are; flipped there. */
const ELSEWHERE: Record<string, string[]> = {
  'charts/kv': ['global.bus.kv.publish', 'global.bus.kv.subscribe'],
  'charts/ratelimit': ['global.bus.ratelimit.publish', 'global.bus.ratelimit.subscribe'],
  'charts/queue': ['global.bus.queue.publish', 'global.bus.queue.subscribe'],
  'charts/plinth': ['global.nats.bundled'],
  [STATELESS]: [
    'global.bus.stateless.publish',
    'global.bus.stateless.subscribe',
    'global.redis.bundled',
    'global.redis.url',
  ],
};

const given = HAS_HELM ? describe : describe.skip;

given('no value is dead', () => {
  test.each([...CHARTS, STATELESS])(
    '%s',
    async (chart) => {
      const dead: string[] = [];
      const rest = leavesOf(valuesOf(chart)).filter(({ path }) => !ELSEWHERE[chart]?.includes(path.join('.')));
      const work = async () => {
        for (let leaf = rest.pop(); leaf !== undefined; leaf = rest.pop()) {
          if (!(await matters(chart, leaf))) dead.push(leaf.path.join('.'));
        }
      };
      await Promise.all([work(), work()]);
      expect(dead).toEqual([]);
    },
    300_000,
  );

  test('engines of your own, in the place of the bundled ones', async () => {
    const own = { nats: { bundled: false, url: 'nats://a:1' }, redis: { bundled: false, url: 'redis://b:2' } };
    expect(await manifest('charts/plinth', { values: { global: own } })).toContain('nats://a:1');
    expect(await manifest(STATELESS, { values: { global: own } })).toContain('redis://b:2');
  });

  test('what a service may do on the bus is in the configuration of NATS', async () => {
    const bus = { kv: { publish: ['plinth.queue.v1.>'], subscribe: ['news.>'] } };
    const auth = legible(await manifest('charts/plinth', { values: { global: { bus } } }));
    expect(auth).toContain('publish: { allow: ["plinth.kv.v1.events.>","plinth.queue.v1.>"] }');
    expect(auth).toContain('subscribe: { allow: ["plinth.kv.v1.>","$SRV.>","_INBOX_kv.>","news.>"] }');
    expect(legible(await manifest('charts/plinth', { values: { kv: { enabled: false } } }))).not.toContain('user: kv');
  });
});

interface Leaf {
  path: string[];
  value: unknown;
}

async function matters(chart: string, { path, value }: Leaf): Promise<boolean> {
  const { to = changed(value), beside = {} } = flipOf(chart, path);
  const base = merged((NEEDED[chart] ?? {}) as unknown as Tree, beside);
  const values = merged(base, nested(path, to));
  return (await rendering(chart, base)) !== (await rendering(chart, values));
}

const rendered = new Map<string, Promise<string>>();

async function rendering(chart: string, values: Tree): Promise<string> {
  const key = `${chart} ${JSON.stringify(values)}`;
  const text = rendered.get(key) ?? manifest(chart, { values }).then(legible);
  rendered.set(key, text);
  return text.catch((fault: Error) => {
    throw new Error(`${key}: ${fault.message}`);
  });
}

function flipOf(chart: string, path: readonly string[]): Flip {
  const tables = [FLIPS, OWN_FLIPS[chart] ?? {}];
  const prefixes = path.map((_, at) => path.slice(0, at + 1).join('.'));
  return Object.assign({}, ...prefixes.flatMap((prefix) => tables.map((table) => table[prefix] ?? {})));
}

function changed(value: unknown): unknown {
  if (typeof value === 'boolean') return !value;
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'string') return `${value}flipped`;
  if (Array.isArray(value)) return [...value, 'flipped'];
  return { flipped: 'flipped' };
}

function leavesOf(tree: Tree, above: readonly string[] = []): Leaf[] {
  return Object.entries(tree).flatMap(([key, value]) => {
    const path = [...above, key];
    const isGroup =
      typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0;
    return isGroup ? leavesOf(value as Tree, path) : [{ path, value }];
  });
}

function valuesOf(chart: string): Tree {
  return parse(readFileSync(join(ROOT, chart, 'values.yaml'), 'utf8')) as Tree;
}

function nested(path: readonly string[], value: unknown): Tree {
  return path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Tree;
}

function merged(base: Tree, over: Tree): Tree {
  const isTree = (value: unknown): value is Tree =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const entries = Object.entries(over).map(([key, value]) => {
    const below = base[key];
    return [key, isTree(below) && isTree(value) ? merged(below, value) : value];
  });
  return { ...base, ...Object.fromEntries(entries) };
}

/** Without what is random, and with what is in base64 as text. */
function legible(text: string): string {
  return text
    .replace(/^ {2}(\S*password|root-key): .*$/gm, '  $1: random')
    .replace(/^ {2}(auth\.conf|keys): (.*)$/gm, (_, name: string, data: string) => {
      const plain = Buffer.from(data, 'base64').toString();
      return `  ${name}: ${plain.replace(/password: "[^"]*"/g, 'password: random')}`;
    });
}
