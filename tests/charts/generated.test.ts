/** What is made by `npm run charts` is what would be made now, and what people keep equal by hand is equal. */

import { existsSync, lstatSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { PORTS } from '@plinth/contracts/ports';
import { parse } from 'yaml';
import { CHARTS, generatedFiles, valuesOf } from '../../charts/generate.ts';
import { ROOT } from './helm.ts';

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

describe('charts', () => {
  test('schemas and tables are as `npm run charts` writes them', async () => {
    const stale = (await generatedFiles()).filter(
      ({ file, text }) => !existsSync(file) || readFileSync(file, 'utf8') !== text,
    );
    expect(stale.map(({ file }) => `${file}: run npm run charts`)).toEqual([]);
  });

  test('every value has a comment that says what it means', () => {
    const silent = CHARTS.flatMap((chart) =>
      valuesOf(chart)
        .filter(({ description }) => description === '')
        .map(({ path }) => `${chart}: ${path.join('.')}`),
    );
    expect(silent).toEqual([]);
  });

  test("`global` of a part is a part of the suite's", () => {
    const suite = parse(read('charts/plinth/values.yaml')).global;
    for (const chart of CHARTS)
      expect([chart, missingKeys(parse(read(`charts/${chart}/values.yaml`)).global, suite)]).toEqual([chart, []]);
  });

  test('versions are those of the repository, images those of the charts', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    for (const chart of [...CHARTS, 'service-lib']) {
      const said = parse(read(`charts/${chart}/Chart.yaml`));
      expect([chart, said.version]).toEqual([chart, version]);
      for (const dependency of said.dependencies ?? [])
        expect([chart, dependency]).toEqual([chart, expect.objectContaining({ version })]);
      if (existsSync(join(ROOT, 'services', chart))) expect([chart, said.appVersion]).toEqual([chart, version]);
      if (said.type === 'library') continue;
      const images = parse(said.annotations['artifacthub.io/images']) as { name: string; image: string }[];
      for (const { name, image } of images) {
        const own = parse(read(`charts/${name}/values.yaml`)).image;
        const { appVersion } = parse(read(`charts/${name}/Chart.yaml`));
        expect([name, image]).toEqual([name, `${own.repository}:${own.tag || appVersion}`]);
      }
    }
  });

  test('a service listens on its port of the suite, and a part lies in the umbrella by a link', () => {
    for (const { name } of parse(read('charts/plinth/Chart.yaml')).dependencies) {
      const link = join(ROOT, 'charts/plinth/charts', name);
      expect([name, lstatSync(link).isSymbolicLink(), realpathSync(link)]).toEqual([
        name,
        true,
        join(ROOT, 'charts', name),
      ]);
      if (!existsSync(join(ROOT, 'services', name))) continue;
      expect([name, parse(read(`charts/${name}/values.yaml`)).service.port]).toEqual([
        name,
        PORTS[name as keyof typeof PORTS],
      ]);
    }
  });
});

function missingKeys(tree: object | undefined, of: Record<string, unknown>, above = 'global'): string[] {
  return Object.entries(tree ?? {}).flatMap(([key, value]) => {
    if (!Object.hasOwn(of, key)) return [`${above}.${key}`];
    const below = of[key];
    const isGroup = typeof value === 'object' && value !== null && !Array.isArray(value);
    // Users of the bus are the keys of a map.
    if (!isGroup || (above === 'global' && key === 'bus')) return [];
    return missingKeys(value, below as Record<string, unknown>, `${above}.${key}`);
  });
}
