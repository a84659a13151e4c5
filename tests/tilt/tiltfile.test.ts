/** The Tiltfile, judged by Tilt itself where there is one; its list of services in any case. */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { PORTS } from '@plinth/contracts/ports';
import { tempDir } from '@plinth/testkit';

const ROOT = new URL('../..', import.meta.url).pathname;
const SERVICES = readdirSync(join(ROOT, 'services')).filter((name) => existsSync(join(ROOT, 'services', name, 'src')));
const run = promisify(execFile);

test('every service is in the list, at its port', () => {
  const list = /^SERVICES = \{$(.*?)^\}$/ms.exec(readFileSync(join(ROOT, 'Tiltfile'), 'utf8'))?.[1] ?? '';
  const listed = [...list.matchAll(/'([a-z]+)': (\d+),/g)].map(([, name, port]) => [name, Number(port)]);
  expect(Object.fromEntries(listed)).toEqual(Object.fromEntries(SERVICES.map((name) => [name, portOf(name)])));
});

const portOf = (service: string): number => (PORTS as Record<string, number>)[service]!;

const missing = ['tilt', 'helm'].filter((program) => !isThere(program));
if (missing.length > 0) console.log(`the Tiltfile: skipped, not on PATH: ${missing.join(', ')}`);
const withTilt = missing.length === 0 ? test : test.skip;

withTilt('alone, Tilt runs every service, the engines they need, and Jaeger', async () => {
  expect(await resources()).toEqual(
    expect.arrayContaining([
      ...SERVICES,
      'kv-smoke',
      'kv-seed',
      'ratelimit-smoke',
      'queue-smoke',
      'nats',
      'valkey',
      'jaeger',
    ]),
  );
});

withTilt('services can be chosen, and Jaeger left out', async () => {
  const names = await resources('kv', '--no-jaeger');
  expect(names.filter((name) => SERVICES.includes(name))).toEqual(['kv']);
  expect(names).not.toContain('jaeger');
});

withTilt('an unknown service is refused with the list', async () => {
  await expect(resources('kvv')).rejects.toThrow('there is no service "kvv"; there are: kv, ratelimit, queue');
});

/** What Tilt makes of the Tiltfile, in the context of a cluster that it never calls. */
async function resources(...args: string[]): Promise<string[]> {
  const kubeconfig = join(tempDir('tilt'), 'kubeconfig');
  writeFileSync(
    kubeconfig,
    `apiVersion: v1
kind: Config
current-context: kind-plinth
contexts: [{ name: kind-plinth, context: { cluster: nowhere, user: nobody } }]
clusters: [{ name: nowhere, cluster: { server: "https://127.0.0.1:9" } }]
users: [{ name: nobody, user: {} }]
`,
  );
  const { stdout } = await run('tilt', ['alpha', 'tiltfile-result', '--', ...args], {
    cwd: ROOT,
    env: { ...process.env, KUBECONFIG: kubeconfig, TILT_DISABLE_ANALYTICS: '1' },
  });
  const { Manifests = [] } = JSON.parse(stdout) as { Manifests?: { Name: string }[] };
  return Manifests.map(({ Name }) => Name);
}

function isThere(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`]);
    return true;
  } catch {
    return false;
  }
}
