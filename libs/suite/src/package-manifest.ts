/** What a packed lib says of itself to npm, and where its sources have gone. */

/** The parts of a lib's package.json that matter here; the others are carried over as they are. */
export interface Manifest {
  name: string;
  version: string;
  private?: boolean;
  exports?: Record<string, string>;
  bin?: Record<string, string>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  scripts?: Record<string, string>;
  [field: string]: unknown;
}

/** A door of a packed lib. `types` comes first: the compiler takes the first condition that fits. */
export interface Door {
  types: string;
  default: string;
}

/**
 * The manifest to publish: doors lead to JavaScript and its types, and what only the repository needs is gone.
 * @throws Error for a lib that is private, has no door, or has one that is no source file.
 */
export function packedManifest({ private: isPrivate, devDependencies: _, scripts: __, ...manifest }: Manifest) {
  if (isPrivate) throw new Error(`${manifest.name} is private: its package.json says that it stays in the repository.`);
  const doors = Object.entries(manifest.exports ?? {});
  if (doors.length === 0) throw new Error(`${manifest.name} has no exports in its package.json.`);
  const bin = Object.entries(manifest.bin ?? {}).map(([name, source]) => [name, builtFile(source)]);
  return {
    ...manifest,
    exports: Object.fromEntries(doors.map(([name, source]) => [name, doorOf(source)])),
    ...(bin.length > 0 && { bin: Object.fromEntries(bin) as Record<string, string> }),
    // npm adds package.json, README and LICENSE by itself.
    files: ['dist'],
  };
}

function doorOf(source: string): Door {
  return { types: builtFile(source).replace(/js$/, 'd.ts'), default: builtFile(source) };
}

/** Where the compiler puts a source file. @throws Error for a path that is none. */
export function builtFile(source: string): string {
  const path = /^\.\/src\/(.+)\.ts$/.exec(source)?.[1];
  if (path === undefined) throw new Error(`"${source}" is not a TypeScript file below ./src.`);
  return `./dist/${path}.js`;
}

/** In declarations, where the compiler leaves the names of sources as they are. */
const IMPORT_OF_SOURCE = /(\bfrom\s+|\bimport\s*\(?\s*)(['"])(\.{1,2}\/[^'"\n]+)\.ts\2/g;
/** The one form in which a source may name a file of a thread. Bundlers know it too. */
const URL_OF_SOURCE = /(\bnew URL\(\s*)(['"])(\.{1,2}\/[^'"\n]+)\.ts\2(,\s*import\.meta\.url\s*\))/g;
/** Relative paths of the sources that a source imports, or runs in threads. */
export function namedSources(text: string): string[] {
  return [...text.matchAll(IMPORT_OF_SOURCE), ...text.matchAll(URL_OF_SOURCE)].map(([, , , path]) => `${path}.ts`);
}

const NAME_OF_SOURCE = /['"`]\.{1,2}\/[^'"`\n]*\.ts['"`]/;
const IS_COMMENT = /^\s*(\/\/|\/?\*)/;

/**
 * Turns names of sources into names of what was built, where the compiler does not: imports in declarations, and files
 * of threads in `new URL('./x.ts', import.meta.url)`.
 * @throws Error when the name of a source is left: it would be looked for in vain.
 */
export function withBuiltNames(file: string, text: string): string {
  const built = text.replace(IMPORT_OF_SOURCE, '$1$2$3.js$2').replace(URL_OF_SOURCE, '$1$2$3.js$2$4');
  const line = built.split('\n').find((one) => NAME_OF_SOURCE.test(one) && !IS_COMMENT.test(one));
  if (line === undefined) return built;
  throw new Error(
    `${file} names a source file: ${line.trim()}\nWrite new URL('./x.ts', import.meta.url) in one piece, or import it.`,
  );
}

/** Packages that a built file imports, without Node's own. */
export function importedPackages(text: string): Set<string> {
  const found = text.matchAll(/^\s*(?:import|export)\s[^'"]*?from\s+['"]([^'"]+)['"]|\bimport\(?\s*['"]([^'"]+)['"]/gm);
  const names = [...found].map(([, from, of]) => (from ?? of)!);
  const packages = names.filter((name) => !/^(\.|node:)/.test(name));
  return new Set(packages.map((name) => name.split('/', name.startsWith('@') ? 2 : 1).join('/')));
}
