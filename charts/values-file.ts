/**
 * Reads the values.yaml of a chart with what its comments say: `# -- Meaning.` above each key, and where the shape of a
 * value does not follow from its default, `# @schema {…}` in JSON below that.
 */
import { readFileSync } from 'node:fs';
import { isMap, isScalar, LineCounter, type Pair, parseDocument, type YAMLMap } from 'yaml';

export type JsonSchema = { [keyword: string]: unknown };

/** One value that a person sets: a scalar, a list, or a map whose keys are the user's. */
export interface ValueLeaf {
  /** `['image', 'tag']`. */
  path: string[];
  /** Empty: the key has no comment. */
  description: string;
  default: unknown;
  /** From the comment. */
  schema: JsonSchema | undefined;
}

/** Says whether a map at this path is one value rather than a group of them. */
export type IsWhole = (path: readonly string[]) => boolean;

/** The leaves in the order of the file. @throws Error when the file is no YAML. */
export function readValues(file: string, isWhole: IsWhole): ValueLeaf[] {
  const text = readFileSync(file, 'utf8');
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter });
  if (document.errors.length > 0) throw new Error(`${file}: ${document.errors[0]!.message}`);
  const lines = text.split('\n');

  const leavesOf = (map: YAMLMap, above: readonly string[]): ValueLeaf[] =>
    map.items.flatMap(({ key, value }: Pair) => {
      if (!isScalar(key)) throw new Error(`${file}: a key that is not a word below ${above.join('.')}`);
      const path = [...above, String(key.value)];
      const { description, schema } = commentAbove(lines, lineCounter.linePos(key.range![0]).line - 1);
      if (isMap(value) && value.items.length > 0 && schema === undefined && !isWhole(path)) {
        return leavesOf(value, path);
      }
      const plain = isMap(value) || !isScalar(value) ? (value as YAMLMap).toJSON() : value.value;
      return [{ path, description, default: plain, schema }];
    });
  return isMap(document.contents) ? leavesOf(document.contents, []) : [];
}

/** What the comment that ends just above a line says. */
function commentAbove(lines: readonly string[], line: number): Pick<ValueLeaf, 'description' | 'schema'> {
  let first = line;
  while (first > 0 && lines[first - 1]!.trim().startsWith('#')) first--;
  const comment = lines.slice(first, line).map((text) => text.trim().slice(1).trim());
  const start = comment.findLastIndex((text) => text.startsWith('-- '));
  if (start < 0) return { description: '', schema: undefined };
  const own = comment.slice(start);
  const schema = own.find((text) => text.startsWith('@schema '))?.slice('@schema '.length);
  const description = own
    .filter((text) => !text.startsWith('@schema '))
    .join(' ')
    .slice('-- '.length);
  return { description, schema: schema === undefined ? undefined : (JSON.parse(schema) as JsonSchema) };
}
