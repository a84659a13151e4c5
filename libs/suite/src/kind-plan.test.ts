import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { digestIn, digestQuestion, firstSteps, planCluster, planRelease, planRemoval } from './kind-plan.ts';
import { REPOSITORY } from './layout.ts';
import { discoverServices } from './services.ts';

const read = (file: string) => readFileSync(join(REPOSITORY, file), 'utf8');
const plan = (file: string) => planCluster({ file, config: read(file) });

describe('the cluster', () => {
  test('comes before its registry, which is born in its network, before the nodes are told, before the tools are', () => {
    expect(plan('k8s/kind.yaml').map(({ command }) => command.slice(0, 3).join(' '))).toEqual([
      'kind create cluster',
      'docker run --detach',
      'docker exec -i',
      'kubectl --context kind-plinth',
    ]);
  });

  test('of several nodes has every node told, by the name that kind gives it', () => {
    const told = plan('k8s/kind-workers.yaml').filter(({ command }) => command[1] === 'exec');
    expect(told.map(({ command }) => command[3])).toEqual(['plinth-control-plane', 'plinth-worker', 'plinth-worker2']);
    expect(told[0]?.input).toBe('[host."http://plinth-registry:5000"]\n');
  });

  test('that is there is started, not made: also its registry', () => {
    expect(plan('k8s/kind.yaml').map(({ unless }) => unless?.join(' '))).toEqual([
      'docker start plinth-control-plane',
      'docker start plinth-registry',
      undefined,
      undefined,
    ]);
  });

  test('is removed with its registry', () => {
    expect(planRemoval().map(({ command }) => command.slice(-1)[0])).toEqual(['plinth', 'plinth-registry']);
  });
});

describe('the release', () => {
  test('runs the images that were pushed, by their digests, and never in the cluster that kubectl points to', () => {
    const command = planRelease({ kv: 'sha256:1', logs: 'sha256:2' }).command.join(' ');
    expect(command).toContain('--set kv.image.digest=sha256:1 --set logs.image.digest=sha256:2');
    expect(command).toContain('--kube-context kind-plinth --namespace plinth');
  });

  test('a digest is that of the registry, not of another place the image was pushed to', () => {
    const image = 'localhost:5001/plinth/kv:0.1.0';
    const answer = '["example.com/plinth/kv@sha256:other","localhost:5001/plinth/kv@sha256:ours"]\n';
    expect(digestIn(answer, image)).toBe('sha256:ours');
    expect(() => digestIn('[]', image)).toThrow(`docker knows no digest of ${image}: it was not pushed`);
    expect(digestQuestion(image)).toContain(image);
  });
});

describe('the doors', () => {
  const mapped = (file: string) =>
    [...read(file).matchAll(/hostPort: (\d+), containerPort: (\d+)/g)].map(([, host, node]) => [Number(node), host]);
  const nodePorts = [...read('k8s/values-local.yaml').matchAll(/nodePort: (\d+)/g)].map(([, port]) => Number(port));

  test.each(['k8s/kind.yaml', 'k8s/kind-workers.yaml'])('%s opens every NodePort of values-local.yaml', (file) => {
    expect(mapped(file).map(([node]) => node)).toEqual(expect.arrayContaining(nodePorts));
    expect(nodePorts).toHaveLength(mapped(file).length);
    expect(read(file).match(/listenAddress: 127\.0\.0\.1/g)).toHaveLength(nodePorts.length);
  });

  test('every service has one, at the port it has under `npm run up`', () => {
    const services = discoverServices({ servicesDir: join(REPOSITORY, 'services'), dataDir: '', env: {} });
    const hostPorts = mapped('k8s/kind.yaml').map(([, host]) => Number(host));
    expect(hostPorts).toEqual(expect.arrayContaining(services.map(({ port }) => port)));
  });

  test('what kind:up says at its end is what is open', () => {
    const said = firstSteps().flatMap((line) => /^\w+ +\w+:\/\/localhost:(\d+)$/.exec(line)?.[1] ?? []);
    expect(said.sort()).toEqual(
      mapped('k8s/kind.yaml')
        .map(([, host]) => host)
        .sort(),
    );
  });
});
