/**
 * A service whose replicas share nothing: more of them under load, and who may call it. No chart of today's services is
 * one (those of the limiter share the keys out), so this runs the store, each replica with a folder of its own, under a
 * chart made of the same library.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { apply, deleteNamespace, get, helm, kubectl, restrictedNamespace, secretValue, until } from './cluster.ts';
import { Load, summary } from './load.ts';

const NAMESPACE = 'plinth-scaling';
const CHART = 'tests/charts/stateless';
const NODE_PORT = 30_472;
const PORT = 7401;
const { version } = await import('../../package.json', { with: { type: 'json' } }).then((module) => module.default);

const VALUES = {
  global: { redis: { bundled: false, url: 'redis://nobody:6379' } },
  image: { repository: 'plinth/kv', tag: version },
  command: ['node', '--max-semi-space-size=16', '/app/services/kv/src/main.ts'],
  env: { KV_HOST: '0.0.0.0', KV_PORT: String(PORT), KV_DATA_DIR: '/tmp/data' },
  service: { type: 'NodePort', port: PORT, nodePort: NODE_PORT },
  resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } },
  autoscaling: { enabled: true, minReplicas: 1, maxReplicas: 3, targetCpuPercent: 60 },
  networkPolicy: { enabled: true, from: [{ namespaceSelector: { matchLabels: { team: 'friends' } } }] },
};

beforeAll(async () => {
  await deleteNamespace(NAMESPACE);
  await restrictedNamespace(NAMESPACE);
});
afterAll(() => deleteNamespace(NAMESPACE));

test('replicas follow the load where the cluster measures it', async () => {
  const settings = Object.entries(VALUES).flatMap(([name, value]) => [
    '--set-json',
    `${name}=${JSON.stringify(value)}`,
  ]);
  await helm('install', 'scaled', CHART, '--namespace', NAMESPACE, '--wait', '--timeout', '3m', ...settings);
  const { items } = await get('-n', NAMESPACE, 'deployments');
  expect(items[0].spec.replicas).toBe(1);
  if (!(await hasMetrics())) {
    process.stderr.write('  scaling: skipped, the cluster has no metrics API\n');
    return;
  }
  const key = await secretValue(NAMESPACE, 'scaled-api-keys', 'root-key');
  // Every replica has a store of its own, so reads of what another took are 404: only that it answers is asked.
  const load = new Load(`http://127.0.0.1:${NODE_PORT}`, key, { expectsValues: false }).start();
  try {
    await until('more than one replica', 180, async () => {
      const { status } = await get('-n', NAMESPACE, 'horizontalpodautoscaler', 'scaled-stateless');
      return status.currentReplicas > 1;
    });
  } finally {
    process.stderr.write(`  scaled up: ${summary(await load.stop())}\n`);
  }
});

test('a network policy is there; whether it holds is the network’s affair', async () => {
  const policy = await get('-n', NAMESPACE, 'networkpolicy', 'scaled-stateless');
  expect(JSON.stringify(policy.spec.ingress)).toMatch(/friends/);
  const outcome = await callFromStranger();
  process.stderr.write(`  network policy: a pod of another namespace ${outcome}\n`);
});

async function hasMetrics(): Promise<boolean> {
  return kubectl('top', 'nodes').then(
    () => true,
    () => false,
  );
}

/** Calls from a namespace that the policy does not name: refused where the network plugin enforces policies. */
async function callFromStranger(): Promise<string> {
  const namespace = `${NAMESPACE}-stranger`;
  await restrictedNamespace(namespace);
  const script = `fetch('http://scaled-stateless.${NAMESPACE}:${PORT}/healthz',{signal:AbortSignal.timeout(5000)}).then(r=>console.log('reached it: policies are not enforced here'),()=>console.log('was kept out'))`;
  const securityContext = {
    allowPrivilegeEscalation: false,
    runAsNonRoot: true,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  };
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'stranger', namespace },
    spec: {
      restartPolicy: 'Never',
      containers: [{ name: 'call', image: `plinth/kv:${version}`, command: ['node', '-e', script], securityContext }],
    },
  };
  await apply(stringify(pod));
  await kubectl('-n', namespace, 'wait', 'pod/stranger', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=60s');
  const { stdout } = await kubectl('-n', namespace, 'logs', 'stranger');
  await deleteNamespace(namespace);
  return stdout.trim();
}
