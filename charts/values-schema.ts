/**
 * The values.schema.json of a chart. Its keys are those of values.yaml and no others, so a misspelt one is refused. What
 * a value may be comes from its comment, else from service-lib's values.types.json, else from the default.
 */
import { readFileSync } from 'node:fs';
import type { JsonSchema, ValueLeaf } from './values-file.ts';

const TYPES = JSON.parse(readFileSync(new URL('service-lib/values.types.json', import.meta.url), 'utf8')) as {
  [path: string]: JsonSchema;
};
const { $defs: DEFINITIONS, ...SHAPES } = TYPES;

/** What service-lib says of a path; `*` there is any one key. */
export function sharedShape(path: readonly string[]): JsonSchema | undefined {
  const found = Object.entries(SHAPES).find(([pattern]) => {
    const keys = pattern.split('.');
    return keys.length === path.length && keys.every((key, at) => key === '*' || key === path[at]);
  });
  return found?.[1];
}

export interface SchemaParts {
  chart: string;
  leaves: readonly ValueLeaf[];
  /** The whole suite's `global`, since a chart in the umbrella is given all of it. */
  global: JsonSchema;
  /** Of a service; undefined: the chart has no `settings`. */
  settings: JsonSchema | undefined;
}

export function valuesSchema({ chart, leaves, global, settings }: SchemaParts): JsonSchema {
  const tree = schemaTree(leaves.filter(({ path }) => path[0] !== 'global' && path[0] !== 'settings'));
  const properties = tree.properties as { [key: string]: JsonSchema };
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: `Values of the chart ${chart}`,
    ...tree,
    properties: {
      ...properties,
      ...(settings && { settings }),
      global,
      // Helm adds these two: the umbrella's switch, and the library's own values.
      enabled: properties.enabled ?? { type: 'boolean' },
      'service-lib': { type: 'object' },
    },
    $defs: DEFINITIONS,
  };
}

/** An object of exactly these leaves. */
export function schemaTree(leaves: readonly ValueLeaf[], depth = 0): JsonSchema {
  const groups = Map.groupBy(leaves, ({ path }) => path[depth]!);
  const properties = [...groups].map(([key, members]) => {
    const leaf = members.find(({ path }) => path.length === depth + 1);
    return [key, leaf === undefined ? schemaTree(members, depth + 1) : leafSchema(leaf)];
  });
  return { type: 'object', properties: Object.fromEntries(properties), additionalProperties: false };
}

function leafSchema({ path, description, schema, default: standard }: ValueLeaf): JsonSchema {
  const shape = schema ?? sharedShape(path) ?? inferred(standard);
  if (shape === undefined) throw new Error(`${path.join('.')}: say what it may be, in # @schema or values.types.json`);
  return { ...(description && { description }), ...shape };
}

function inferred(standard: unknown): JsonSchema | undefined {
  if (typeof standard === 'boolean' || typeof standard === 'string') return { type: typeof standard };
  return Number.isInteger(standard) ? { type: 'integer' } : undefined;
}
