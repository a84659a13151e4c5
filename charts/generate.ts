/**
 * `npm run charts`: writes the values.schema.json of every chart and the tables in its README.md, from the comments in
 * its values.yaml and from the settings that its service reads.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kitSettingRows, type Settings } from '@plinth/service-kit';
import { type ChartSetting, chartSettings, settingsSchema } from './settings-schema.ts';
import { type JsonSchema, readValues, type ValueLeaf } from './values-file.ts';
import { schemaTree, sharedShape, valuesSchema } from './values-schema.ts';

const CHARTS_DIR = fileURLToPath(new URL('.', import.meta.url));
const ROOT = join(CHARTS_DIR, '..');
const BIOME = join(ROOT, 'node_modules', '.bin', 'biome');

/** Every chart with values. A later service is one more word. */
export const CHARTS = ['kv', 'ratelimit', 'queue', 'nats', 'valkey', 'jaeger', 'plinth'];
/** A chart of the tests, for what no chart of a service uses yet. */
export const EXAMPLE_CHART = '../tests/charts/stateless';

export interface GeneratedFile {
  file: string;
  text: string;
}

/** What the generated files should hold. */
export async function generatedFiles(): Promise<GeneratedFile[]> {
  const global = schemaTree(globalLeaves(), 1);
  const files = await Promise.all([...CHARTS, EXAMPLE_CHART].map((chart) => filesOf(chart, global)));
  return files.flat();
}

async function filesOf(chart: string, global: JsonSchema): Promise<GeneratedFile[]> {
  const dir = join(CHARTS_DIR, chart);
  const name = chart.split('/').at(-1)!;
  const leaves = valuesOf(chart);
  const settings = leaves.some(({ path }) => path[0] === 'settings') ? await settingsOf(name) : undefined;
  const schema = valuesSchema({
    chart: name,
    leaves,
    global,
    settings: settings && settingsSchema(settings, leftEmpty(leaves)),
  });
  const files = [{ file: join(dir, 'values.schema.json'), text: formatted(JSON.stringify(schema)) }];
  const readme = join(dir, 'README.md');
  if (!existsSync(readme)) return files;
  const tables = { values: valuesTable(leaves), settings: settingsTable(settings ?? []) };
  return [...files, { file: readme, text: withTables(readFileSync(readme, 'utf8'), tables) }];
}

/** The values of a chart, each with its comment. */
export function valuesOf(chart: string): ValueLeaf[] {
  return readValues(join(CHARTS_DIR, chart, 'values.yaml'), (path) => sharedShape(path) !== undefined);
}

/** Settings that the chart decides unless somebody else does: their default there is empty. */
function leftEmpty(leaves: readonly ValueLeaf[]): string[] {
  return leaves
    .filter(({ path, default: standard }) => path[0] === 'settings' && standard === '')
    .map(({ path }) => path[1]!);
}

function globalLeaves(): ValueLeaf[] {
  return valuesOf('plinth').filter(({ path }) => path[0] === 'global');
}

/** Those of the service, with what its config.ts adds to the kit's. */
async function settingsOf(service: string): Promise<ChartSetting[]> {
  const file = join(ROOT, 'services', service, 'src', 'config.ts');
  const exported: object = existsSync(file) ? await import(file) : {};
  const own = Object.values(exported).find((value): value is Settings => typeof value?.rows === 'function');
  return chartSettings(service, [...(own?.rows() ?? []), ...kitSettingRows(service)]);
}

function valuesTable(leaves: readonly ValueLeaf[]): string {
  const rows = leaves.map(({ path, description, default: standard }) => {
    const shown = standard === '' || standard === null ? '' : `\`${asText(standard)}\``;
    return `| \`${path.join('.')}\` | ${description} | ${shown} |`;
  });
  return ['| Value | Meaning | Default |', '|---|---|---|', ...rows].join('\n');
}

function settingsTable(settings: readonly ChartSetting[]): string {
  const rows = settings.map(({ property, description, default: standard, allowed }) => {
    return `| \`${property}\` | ${description} | ${standard && `\`${standard}\``} | ${allowed} |`;
  });
  return ['| Setting | Meaning | Default of the service | Allowed |', '|---|---|---|---|', ...rows].join('\n');
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function withTables(readme: string, tables: Record<string, string>): string {
  return Object.entries(tables).reduce(
    (text, [name, table]) =>
      text.replace(new RegExp(`(<!-- ${name}[^>]*-->\n).*?(<!-- /${name} -->)`, 's'), (_, head, foot) => {
        return `${head}${table.replaceAll('|`|', '\\|')}\n${foot}`;
      }),
    readme,
  );
}

/** As the rest of the repository is formatted. */
function formatted(json: string): string {
  const { status, stdout, stderr } = spawnSync(BIOME, ['format', '--stdin-file-path=values.schema.json'], {
    cwd: ROOT,
    input: json,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`biome format: ${stderr}`);
  return stdout;
}

if (import.meta.main) {
  for (const { file, text } of await generatedFiles()) {
    if (existsSync(file) && readFileSync(file, 'utf8') === text) continue;
    writeFileSync(file, text);
    console.log(`wrote ${file.slice(ROOT.length + 1)}`);
  }
}
