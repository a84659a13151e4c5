/** From the version before to this one, under load, with the data and the keys that were there. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { deleteNamespace, get, restrictedNamespace } from './cluster.ts';
import { Load, summary } from './load.ts';
import { Release } from './release.ts';

const NAMESPACE = 'plinth-upgrade';
const NODE_PORT = 30_473;
const SETTINGS = {
  'kv.service.type': 'NodePort',
  'kv.service.nodePort': NODE_PORT,
  'global.redis.bundled': false,
  'queue.enabled': false,
  'global.jaeger.bundled': false,
};
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const release = new Release('plinth', NAMESPACE);
const folder = mkdtempSync(join(tmpdir(), 'plinth-charts-'));

beforeAll(async () => {
  await deleteNamespace(NAMESPACE);
  await restrictedNamespace(NAMESPACE);
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await deleteNamespace(NAMESPACE);
});

test('an upgrade from the version before loses nothing, and a rollback neither', async () => {
  await release.install(SETTINGS, previousChart());
  const key = await release.rootKey();
  const load = new Load(`http://127.0.0.1:${NODE_PORT}`, key).start();
  await load.flows();
  await release.upgrade(SETTINGS);
  expect(await chartOf('statefulset', 'plinth-kv')).toBe(`kv-${versionOf(join(REPOSITORY, 'charts/kv'))}`);
  await load.flows();
  await release.rollback();
  await load.flows();
  const report = await load.stop();
  process.stderr.write(`  upgrade and rollback: ${summary(report)}\n`);
  expect([report.failed, await load.lost()]).toEqual([[], []]);
  expect(await release.rootKey()).toBe(key);
});

/** The charts of the last release; before the first one, today's with a lower version and another setting. */
function previousChart(): string {
  const tag = execFileSync('git', ['tag', '--list', 'v*', '--sort=-version:refname'], {
    cwd: REPOSITORY,
    encoding: 'utf8',
  })
    .split('\n')
    .find(Boolean);
  if (tag !== undefined) {
    const archive = execFileSync('git', ['archive', tag, 'charts'], { cwd: REPOSITORY, maxBuffer: 2 ** 28 });
    execFileSync('tar', ['-x', '-C', folder], { input: archive });
    return join(folder, 'charts/plinth');
  }
  cpSync(join(REPOSITORY, 'charts'), join(folder, 'charts'), { recursive: true, verbatimSymlinks: true });
  for (const name of readdirSync(join(folder, 'charts'))) {
    const file = join(folder, 'charts', name, 'Chart.yaml');
    const text = readText(file);
    if (text !== undefined) writeFileSync(file, text.replaceAll(/version: 0\.1\.0$/gm, 'version: 0.0.9'));
  }
  const values = join(folder, 'charts/kv/values.yaml');
  writeFileSync(values, readFileSync(values, 'utf8').replace('shutdownDelayMs: 5s', 'shutdownDelayMs: 4s'));
  return join(folder, 'charts/plinth');
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

const versionOf = (chart: string): string =>
  /^version: (.+)$/m.exec(readFileSync(join(chart, 'Chart.yaml'), 'utf8'))![1]!;

async function chartOf(kind: string, name: string): Promise<string> {
  return (await get('-n', NAMESPACE, kind, name)).metadata.labels['helm.sh/chart'];
}
