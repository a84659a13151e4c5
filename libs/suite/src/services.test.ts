import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { tempDir } from '@plinth/testkit';
import { discoverServices } from './services.ts';

function servicesDir(manifests: Record<string, object>): string {
  const dir = tempDir('services');
  for (const [name, manifest] of Object.entries(manifests)) {
    mkdirSync(join(dir, name, 'src'), { recursive: true });
    writeFileSync(join(dir, name, 'package.json'), JSON.stringify(manifest));
    writeFileSync(join(dir, name, 'src', 'main.ts'), '');
  }
  return dir;
}

const discover = (manifests: Record<string, object>, env: NodeJS.ProcessEnv = {}, only?: string[]) =>
  discoverServices({ servicesDir: servicesDir(manifests), dataDir: '/data', env, only });

test('a folder with a main.ts is a service: listed port, NATS', () => {
  const [kv] = discover({ kv: {} });
  expect(kv).toMatchObject({ name: 'kv', port: 7401, needs: ['nats'], dataDir: undefined, env: {} });
});

test('only a service that keeps data is told where: of another, the variable would be a setting it does not know', () => {
  const [kv, ratelimit] = discover({ kv: { plinth: { keepsData: true } }, ratelimit: {} });
  expect(kv).toMatchObject({ dataDir: '/data/kv', env: { KV_DATA_DIR: '/data/kv' } });
  expect(ratelimit?.env).toEqual({});
});

test('a moved suite moves every port of a service, and tells it', () => {
  const [ratelimit] = discover({ ratelimit: {} }, { PLINTH_PORT_BASE: '9400' });
  expect(ratelimit?.ports).toEqual([9402, 9412, 9422]);
  expect(ratelimit?.env).toMatchObject({
    RATELIMIT_PORT: '9402',
    RATELIMIT_RLS_PORT: '9412',
    RATELIMIT_RESP_PORT: '9422',
  });
});

test("the user's own port and data folder win", () => {
  const kept = { plinth: { keepsData: true } };
  const [kv] = discover({ kv: kept }, { KV_PORT: '1234', KV_DATA_DIR: '/else', PLINTH_PORT_BASE: '9400' });
  expect(kv).toMatchObject({ port: 1234, dataDir: '/else' });
});

test('the manifest says what a service needs and keeps its data with', () => {
  const [queue] = discover({ queue: { plinth: { needs: ['nats', 'redis'], backend: 'BullMQ on Redis' } } });
  expect(queue).toMatchObject({ needs: ['nats', 'redis'], backend: 'BullMQ on Redis' });
});

test('a choice of services is kept, and an unknown one is refused with the list', () => {
  expect(discover({ kv: {}, logs: {} }, {}, ['logs']).map(({ name }) => name)).toEqual(['logs']);
  expect(() => discover({ kv: {} }, {}, ['kvv'])).toThrow('there is no service "kvv"; there are: kv');
});
