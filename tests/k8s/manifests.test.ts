/** Every documented way of installing, as objects that the API server itself has looked at. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { apply, deleteNamespace, helm, restrictedNamespace } from './cluster.ts';
import { CHART } from './release.ts';

const NAMESPACE = 'plinth-manifests';
const OWN_NATS = ['global.nats.bundled=false', 'global.nats.url=nats://nats.infra:4222'];
const OWN_REDIS = ['global.redis.bundled=false', 'global.redis.url=redis://redis.infra:6379'];

const WAYS: Record<string, string[]> = {
  'the defaults': [],
  'the profile ha': ['-f', `${CHART}/values-ha.yaml`],
  'engines of your own': ['--set', [...OWN_NATS, ...OWN_REDIS].join(',')],
  'a collector of your own': ['--set', 'global.jaeger.bundled=false,global.otel.endpoint=http://collector.infra:4318'],
  'no keys': ['--set', 'global.apiKeys.enabled=false'],
  'no volumes': ['--set', 'kv.persistence.enabled=false'],
  'an ingress': ['--set', 'kv.ingress.enabled=true,kv.ingress.hosts[0]=kv.example.com'],
  'a port on every node': ['--set', 'kv.service.type=NodePort,kv.service.nodePort=30499'],
  'network policies': ['--set', 'kv.networkPolicy.enabled=true,nats.networkPolicy.enabled=true'],
  'limiters that scale, with all doors': [
    '--set',
    'ratelimit.autoscaling.enabled=true,ratelimit.pdb.enabled=true,ratelimit.ports.resp.port=7422',
  ],
  'limiters with rules in a policy of their own': [
    '--set-json',
    'ratelimit={"replicas":3,"rules":{"a.yaml":"domain: a"},"networkPolicy":{"enabled":true},"metrics":{"dashboard":{"enabled":true}}}',
  ],
  'queues that scale, in a policy of their own': [
    '--set',
    'queue.autoscaling.enabled=true,queue.pdb.enabled=true,queue.networkPolicy.enabled=true,queue.metrics.dashboard.enabled=true',
  ],
  'no queue, no Redis': ['--set', 'queue.enabled=false,global.redis.bundled=false'],
  'a dashboard and scrape annotations': [
    '--set',
    'kv.metrics.dashboard.enabled=true,kv.metrics.scrapeAnnotations=true',
  ],
};

beforeAll(() => restrictedNamespace(NAMESPACE));
afterAll(() => deleteNamespace(NAMESPACE));

describe('the API server takes, without a warning,', () => {
  test.each(Object.entries(WAYS))('%s', async (_, args) => {
    const { stdout } = await helm('template', 'plinth', CHART, '--namespace', NAMESPACE, '--skip-tests', ...args);
    const { stderr } = await apply(stdout, '--dry-run=server', '--namespace', NAMESPACE);
    expect(stderr).toBe('');
  });
});
