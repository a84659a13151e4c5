/** The default installation on a real cluster: it comes up, works, survives what breaks, and goes away. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  deleteNamespace,
  describePods,
  type Forward,
  get,
  type KubeObject,
  kubectl,
  portForward,
  restrictedNamespace,
  until,
} from './cluster.ts';
import { Load, type LoadReport, summary } from './load.ts';
import { Release } from './release.ts';

const NAMESPACE = 'plinth-test';
const NODE_PORT = 30_471;
const release = new Release('plinth', NAMESPACE);
/** A port of the node, which outlives every pod behind it. */
const URL_OF_NODE = `http://127.0.0.1:${NODE_PORT}`;
const SETTINGS = { 'kv.service.type': 'NodePort', 'kv.service.nodePort': NODE_PORT };
const MIB = 1_048_576;

const say = (line: string) => process.stderr.write(`  ${line}\n`);
let key = '';
const authorized = () => ({ authorization: `Bearer ${key}` });

beforeAll(async () => {
  await deleteNamespace(NAMESPACE);
  await restrictedNamespace(NAMESPACE);
});
afterAll(() => deleteNamespace(NAMESPACE));

describe('an installation', () => {
  test('comes up in a namespace that allows only what is restricted, without a warning', async () => {
    const startedMs = performance.now();
    const { stderr } = await release.install(SETTINGS).catch(async (error: Error) => {
      throw new Error(`${error.message}\n${await describePods(NAMESPACE)}`);
    });
    say(`helm install to all ready: ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`);
    expect(stderr).not.toMatch(/warn/i);
    key = await release.rootKey();
    const { items: events } = await get('-n', NAMESPACE, 'events');
    const refused = events.filter(({ reason, message }: KubeObject) =>
      /PodSecurity|FailedCreate/.test(reason + message),
    );
    expect(refused).toEqual([]);
  });

  test('asks for no more than 1 GiB of memory, and says what it uses', async () => {
    const { items: pods } = await get('-n', NAMESPACE, 'pods');
    const containers = pods.flatMap(({ spec }: KubeObject) => spec.containers);
    const requested = containers.reduce((sum: number, { resources }: KubeObject) => {
      return sum + bytesOf(resources.requests.memory);
    }, 0);
    say(`memory requested by ${pods.length} pods: ${Math.round(requested / MIB)} MiB`);
    expect(requested).toBeLessThanOrEqual(1_024 * MIB);
    say(`memory used: ${await usedMemory(pods.length).catch(() => 'unknown, the cluster has no metrics API')}`);
  });

  test('passes its own tests', async () => {
    const { stdout } = await release.test();
    expect(stdout).toMatch(/Phase:\s+Succeeded/);
    expect(stdout).not.toMatch(/Phase:\s+Failed/);
  });

  test('serves from outside: a port of the node, and a forwarded one; keys are asked for', async () => {
    const forward = await portForward(NAMESPACE, 'service/plinth-kv', 7401);
    try {
      await fetch(`${URL_OF_NODE}/v1/kv/outside/a`, { method: 'PUT', body: 'from outside', headers: authorized() });
      const read = await fetch(`${forward.url}/v1/kv/outside/a`, { headers: authorized() });
      expect([read.status, await read.text()]).toEqual([200, 'from outside']);
      expect((await fetch(`${forward.url}/v1/kv/outside/a`)).status).toBe(401);
    } finally {
      forward.stop();
    }
  });
});

describe('under load', () => {
  const during = async (what: string, disturb: () => Promise<unknown>): Promise<LoadReport> => {
    const load = new Load(URL_OF_NODE, key).start();
    await sleep(2_000);
    await disturb();
    await load.flows();
    await sleep(2_000);
    const report = await load.stop();
    say(`${what}: ${summary(report)}`);
    expect(report.failed).toEqual([]);
    expect(await load.lost()).toEqual([]);
    return report;
  };

  test('a rollout loses no request and no acknowledged write', async () => {
    await during('rollout restart of kv', async () => {
      await kubectl('-n', NAMESPACE, 'rollout', 'restart', 'statefulset/plinth-kv');
      await kubectl('-n', NAMESPACE, 'rollout', 'status', 'statefulset/plinth-kv', '--timeout=180s');
    });
  });

  test.each(['kv', 'nats', 'valkey'])(
    'a killed %s comes back by itself, and nothing acknowledged is lost',
    async (part) => {
      const before = (await release.pod(part)).metadata.uid;
      await during(`killed ${part}`, async () => {
        const { name } = (await release.pod(part)).metadata;
        await kubectl('-n', NAMESPACE, 'delete', 'pod', name, '--force', '--grace-period=0');
        await until(`another pod of ${part}`, 60, async () => (await release.pod(part)).metadata.uid !== before);
        await release.ready(part);
        await release.ready('kv');
      });
    },
  );
});

describe('a trace', () => {
  let jaeger: Forward;
  beforeAll(async () => {
    jaeger = await portForward(NAMESPACE, 'service/plinth-jaeger', 16_686);
  });
  afterAll(() => jaeger.stop());

  test('of one request is found in Jaeger by the id in its answer', async () => {
    const answer = await fetch(`${URL_OF_NODE}/v1/kv/traced/a`, { method: 'PUT', body: 'x', headers: authorized() });
    const id = answer.headers.get('trace-id')!;
    let spans: KubeObject[] = [];
    await until(`trace ${id}`, 30, async () => {
      const response = await fetch(`${jaeger.url}/api/traces/${id}`);
      const { data } = (await response.json()) as KubeObject;
      spans = data?.[0]?.spans ?? [];
      return spans.length >= 2;
    });
    const names = spans.map(({ operationName }) => operationName);
    expect(names).toEqual(expect.arrayContaining(['PUT /v1/kv/{bucket}/{+key}', 'commit']));
    const services = await (await fetch(`${jaeger.url}/api/services`)).json();
    expect((services as KubeObject).data).toContain('kv');
  });
});

describe('a change', () => {
  test('of a setting reaches the pods; rollback takes it back; the root key stays', async () => {
    await release.upgrade({ ...SETTINGS, 'kv.settings.watchersMax': 77 });
    expect(await environment('KV_WATCHERS_MAX')).toBe('77');
    await release.rollback();
    expect(await environment('KV_WATCHERS_MAX')).toBeUndefined();
    expect(await release.rootKey()).toBe(key);
    await findsWhatWasStored();
  });

  test('uninstalling leaves the volumes and nothing else', async () => {
    await release.uninstall();
    const kinds = 'all,secrets,configmaps,serviceaccounts,poddisruptionbudgets,networkpolicies,ingresses';
    let left: string[] = [];
    // Pods take the time that they were given to stop.
    await until('nothing of the release', 90, async () => {
      const { items } = await get('-n', NAMESPACE, kinds);
      const own = items.filter(({ metadata }: KubeObject) => metadata.name.startsWith('plinth'));
      left = own.map(({ kind, metadata }: KubeObject) => `${kind}/${metadata.name}`);
      return left.length === 0;
    }).catch((error: Error) => {
      throw new Error(`${error.message}; there are ${left.join(', ')}`);
    });
    const { items: claims } = await get('-n', NAMESPACE, 'persistentvolumeclaims');
    expect(claims.map(({ metadata }: KubeObject) => metadata.name)).toContain('data-plinth-kv-0');
  });

  test('installing again over the volumes finds what was stored', async () => {
    await release.install(SETTINGS);
    const fresh = await release.rootKey();
    expect(fresh).not.toBe(key);
    key = fresh;
    await findsWhatWasStored();
    await release.uninstall();
  });
});

/** The client's connections lead to the pod before; they are cut, and it calls again. */
async function findsWhatWasStored(): Promise<void> {
  let found: unknown;
  await until('an answer', 30, async () => {
    const read = await fetch(`${URL_OF_NODE}/v1/kv/outside/a`, { headers: authorized() });
    found = [read.status, await read.text()];
    return true;
  });
  expect(found).toEqual([200, 'from outside']);
}

/** What the metrics API tells of each pod; it takes a while to know new ones. */
async function usedMemory(pods: number): Promise<string> {
  await kubectl('top', 'nodes');
  let lines: string[] = [];
  await until('measured pods', 90, async () => {
    lines = (await kubectl('-n', NAMESPACE, 'top', 'pods', '--no-headers')).stdout.trim().split('\n');
    return lines.length >= pods;
  });
  return lines
    .map((line) => line.split(/\s+/))
    .map(([pod, , memory]) => `${pod} ${memory}`)
    .join(', ');
}

async function environment(name: string): Promise<string | undefined> {
  const { spec } = await get('-n', NAMESPACE, 'statefulset', 'plinth-kv');
  return spec.template.spec.containers[0].env.find((each: KubeObject) => each.name === name)?.value;
}

/** `128Mi` */
function bytesOf(quantity: string): number {
  const [, number, unit = ''] = /^(\d+)(Ki|Mi|Gi)?$/.exec(quantity)!;
  return Number(number) * { '': 1, Ki: 1_024, Mi: MIB, Gi: 1_024 * MIB }[unit as 'Mi']!;
}
