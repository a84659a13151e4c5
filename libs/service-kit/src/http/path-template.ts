/**
 * Paths of operations: `/v1/kv/{bucket}/{+key}:incr`. `{name}` is one segment without `/` and `:`, `{+name}` is the
 * rest of the path, slashes and colons included.
 */

export interface PathTemplate {
  source: string;
  /** Matches a raw path (not decoded) and captures the parameters, in the order of `names`. */
  pattern: RegExp;
  names: readonly string[];
  /** Characters that stand for themselves: the more, the more specific. */
  literalChars: number;
  /** What every path that matches begins with: compared before the pattern, since that is cheaper. */
  literalPrefix: string;
  /** How many `/` a path has that matches; undefined when a parameter may take any number. */
  slashes: number | undefined;
}

/** Reads a template. @throws TypeError when `{+name}` is used twice: where one ends would be a guess. */
export function compilePath(source: string): PathTemplate {
  const names: string[] = [];
  let literalChars = 0;
  const pattern = source.replace(/\{(\+?)(\w+)\}|[^{}]+/g, (text, rest: string, name: string | undefined) => {
    if (name === undefined) {
      literalChars += text.length;
      return text.replace(/[.*+?^$()|[\]\\]/g, '\\$&');
    }
    names.push(name);
    return rest ? '(.*)' : '([^/:]+)';
  });
  if (source.split('{+').length > 2) throw new TypeError(`${source} has two parameters that take the rest of the path`);
  const literalPrefix = source.split('{', 1)[0]!;
  const slashes = source.includes('{+') ? undefined : slashesOf(source);
  return { source, pattern: new RegExp(`^${pattern}$`), names, literalChars, literalPrefix, slashes };
}

export function slashesOf(path: string): number {
  let count = 0;
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) count++;
  return count;
}

/** Most specific first, so that `…{+key}:incr` is asked before `…{+key}`, which would take `:incr` for a part of a key. */
export function bySpecificity(a: PathTemplate, b: PathTemplate): number {
  return b.literalChars - a.literalChars || a.names.length - b.names.length;
}

/** The same pattern without captures: Express decodes what a pattern captures as UTF-8, and keys need not be UTF-8. */
export function withoutCaptures({ pattern }: PathTemplate): RegExp {
  return new RegExp(pattern.source.replaceAll('(', '(?:'));
}
