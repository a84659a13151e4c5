import { execFile } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { tempDir } from '@plinth/testkit';
import { REPOSITORY } from './layout.ts';
import { discoverServices } from './services.ts';

const run = promisify(execFile);
const COMMAND = join(import.meta.dirname, 'kind-command.ts');
const SERVICES = discoverServices({ servicesDir: join(REPOSITORY, 'services'), dataDir: '', env: {} });

const DIGESTS = SERVICES.map(({ name }) => `"localhost:5001/plinth/${name}@sha256:abc"`).join(',');

/** Programs that write down how they were called. What docker knows of an image is all that is asked of them. */
function toolsThatListen(names: string[], failing = ''): { path: string; calls(): string[] } {
  const path = tempDir('tools');
  const log = join(path, 'calls');
  writeFileSync(log, '');
  for (const name of names) {
    const file = join(path, name);
    const lines = [
      '#!/bin/sh',
      `echo "${name} $*" >>${log}`,
      `case "${name} $*" in`,
      `  ${failing || 'nothing'}) echo "it said why" >&2; exit 1 ;;`,
      '  "docker start"*) exit 1 ;;',
      `  "docker inspect"*) echo '[${DIGESTS}]' ;;`,
      'esac',
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    chmodSync(file, 0o755);
  }
  return { path, calls: () => readFileSync(log, 'utf8').trimEnd().split('\n') };
}

async function kind(name: 'runKindUp' | 'runKindDown', path: string): Promise<string> {
  const script = `import(${JSON.stringify(COMMAND)}).then((kind) => kind.${name}([])).catch((error) => console.log(error.message))`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
    env: { PATH: path },
  });
  return stdout;
}

test('kind:up makes what is missing, builds, pushes, installs, and says where to look', async () => {
  const tools = toolsThatListen(['docker', 'kind', 'kubectl', 'helm']);
  const said = await kind('runKindUp', tools.path);
  const calls = tools.calls().map((call) => call.split(' ').slice(0, 2).join(' '));
  expect(calls).toEqual([
    ...['docker start', 'kind create', 'docker start', 'docker run', 'docker exec', 'kubectl --context'],
    ...SERVICES.flatMap(() => ['docker build', 'docker images', 'docker push']),
    ...SERVICES.map(() => 'docker inspect'),
    'helm upgrade',
  ]);
  expect(tools.calls().at(-1)).toContain('--set kv.image.digest=sha256:abc');
  expect(said).toContain('http://localhost:7401');
});

test('a step that fails ends it there, with the reason', async () => {
  const tools = toolsThatListen(['docker', 'kind', 'kubectl', 'helm'], '"docker push"*');
  expect(await kind('runKindUp', tools.path)).toMatch(/it said why\npush localhost.*ended with 1\.\n$/s);
  expect(tools.calls().some((call) => call.startsWith('helm'))).toBe(false);
});

test('programs that are missing are named in one line, and nothing is begun', async () => {
  const tools = toolsThatListen(['docker']);
  const { path } = tools;
  const said = await kind('runKindDown', path);
  expect(said).toBe('not on PATH: kind (https://kind.sigs.k8s.io/docs/user/quick-start/#installation)\n');
  expect(tools.calls()).toEqual(['']);
});

test('kind:down removes the cluster, then its registry', async () => {
  const tools = toolsThatListen(['docker', 'kind']);
  await kind('runKindDown', tools.path);
  expect(tools.calls()).toEqual(['kind delete cluster --name plinth', 'docker rm --force --volumes plinth-registry']);
});
