import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { type ImageWish, planImages } from './image-plan.ts';
import { REPOSITORY } from './layout.ts';

const WISH: ImageWish = {
  tool: 'docker',
  services: [
    { name: 'kv', ports: [7401] },
    { name: 'ratelimit', ports: [7402, 7412] },
  ],
  version: '1.2.3',
  tag: '1.2.3',
};
const only = (service: string, wish: Partial<ImageWish> = {}) => planImages({ ...WISH, ...wish, only: [service] })[0]!;

test('every service becomes an image of its name, at the version of the suite', () => {
  expect(planImages(WISH).map(({ name }) => name)).toEqual(['plinth/kv:1.2.3', 'plinth/ratelimit:1.2.3']);
});

test('what is not said is left to the Dockerfile', () => {
  expect(only('kv').build.command).toEqual([
    ...['docker', 'build', '--tag', 'plinth/kv:1.2.3'],
    ...['--build-arg', 'SERVICE=kv', '--build-arg', 'PORT=7401', '--build-arg', 'VERSION=1.2.3', '.'],
  ]);
});

test('all services in one image show all their ports', () => {
  const { name, build } = only('suite');
  expect(name).toBe('plinth/suite:1.2.3');
  expect(build.command).toEqual(expect.arrayContaining(['SERVICE=suite', 'PORT=7401 7402 7412']));
});

test('buildah is asked in its own words', () => {
  const { build, size } = only('kv', { tool: 'buildah', network: 'host' });
  expect(build.command.slice(0, 6)).toEqual(['buildah', 'bud', '--tag', 'plinth/kv:1.2.3', '--network', 'host']);
  expect(size[0]).toBe('buildah');
});

test('an image for a registry bears its name, and is pushed', () => {
  const { name, push } = only('kv', { registry: 'localhost:5001' });
  expect(name).toBe('localhost:5001/plinth/kv:1.2.3');
  expect(push?.command).toEqual(['docker', 'push', name]);
  expect(only('kv').push).toBeUndefined();
});

test('an unknown service is refused with the list', () => {
  expect(() => only('kvv')).toThrow('there is no service "kvv"; there are: kv, ratelimit, and suite for all in one');
});

test('every argument of a build is one that the Dockerfile knows', () => {
  const known = [...readFileSync(join(REPOSITORY, 'Dockerfile'), 'utf8').matchAll(/^ARG ([A-Z_]+)/gm)];
  const { build } = only('kv', { revision: 'abc', base: 'node', runtime: 'debian', npmRegistry: 'http://localhost' });
  const given = build.command.filter((word) => /^[A-Z_]+=/.test(word)).map((word) => word.split('=')[0]);
  expect(given).toHaveLength(7);
  expect(known.map(([, name]) => name)).toEqual(expect.arrayContaining(given));
});
