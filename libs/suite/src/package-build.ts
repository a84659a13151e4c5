/**
 * Builds a lib for npm. In the repository libs run as TypeScript; Node strips no types inside `node_modules`, so what
 * other people install has to be JavaScript.
 *
 * The compiler's options are those of the repository, but for a standard library no newer than the oldest Node that is
 * promised: a call that only Node 24 knows does not compile here.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { runTool } from './image-tool.ts';
import { REPOSITORY } from './layout.ts';
import { importedPackages, type Manifest, namedSources, packedManifest, withBuiltNames } from './package-manifest.ts';

/** What ECMAScript Node 20 has. */
const NODE_20 = { target: 'es2022', lib: ['es2023', 'es2024.sharedmemory', 'es2024.string', 'esnext.disposable'] };

/** Where libs are, and where their packed forms go: a folder each. */
export interface PackingPlace {
  libsDir: string;
  outDir: string;
}

/** A lib that can be given to `npm pack` or `npm publish`. */
export interface PackedLib {
  name: string;
  version: string;
  dir: string;
  files: string[];
}

/**
 * Packs a lib, and before it those of the same repository that it depends on, whose types it is compiled against.
 *
 * @returns All that were packed, the wanted one last.
 * @throws Error with what the compiler says, or with what would be missing outside of the repository. What an earlier
 * run packed then lies there unchanged.
 */
export async function packLib(name: string, place: PackingPlace, packed: PackedLib[] = []): Promise<PackedLib[]> {
  if (packed.some((one) => one.name === name)) return packed;
  const libDir = join(place.libsDir, name);
  if (!existsSync(join(libDir, 'package.json'))) throw new Error(`There is no lib "${name}" in ${place.libsDir}.`);
  const manifest = JSON.parse(readFileSync(join(libDir, 'package.json'), 'utf8')) as Manifest;
  const neighbours = neighboursOf(manifest, place.libsDir);
  for (const neighbour of neighbours) await packLib(neighbour, place, packed);
  packed.push(await packAlone({ name, libDir, manifest, neighbours }, place));
  return packed;
}

/** Dependencies that are libs of this repository: all share one scope. */
function neighboursOf({ name, dependencies = {} }: Manifest, libsDir: string): string[] {
  const scope = name.split('/')[0]!;
  return Object.keys(dependencies)
    .filter((dependency) => dependency.startsWith(`${scope}/`))
    .map((dependency) => dependency.slice(scope.length + 1))
    .filter((dependency) => existsSync(join(libsDir, dependency)));
}

interface Lib {
  name: string;
  libDir: string;
  manifest: Manifest;
  neighbours: string[];
}

async function packAlone(lib: Lib, { outDir }: PackingPlace): Promise<PackedLib> {
  mkdirSync(outDir, { recursive: true });
  const staging = mkdtempSync(join(outDir, `.${lib.name}-`));
  try {
    const manifest = packedManifest(lib.manifest);
    await compile(lib, { staging, outDir });
    const built = filesBelow(join(staging, 'dist'));
    for (const file of built) finish(join(staging, 'dist', file), lib.manifest);
    writeFileSync(join(staging, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    copyPapers(lib.libDir, staging);
    const dir = join(outDir, lib.name);
    rmSync(dir, { recursive: true, force: true });
    renameSync(staging, dir);
    return { name: lib.name, version: lib.manifest.version, dir, files: filesBelow(dir) };
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

async function compile({ name, libDir, manifest, neighbours }: Lib, dirs: { staging: string; outDir: string }) {
  const files = sourcesBehindDoors(libDir, manifest);
  const config = join(dirs.staging, 'tsconfig.json');
  writeFileSync(config, JSON.stringify(compilerConfig({ libDir, manifest, neighbours, files }, dirs)));
  const tsc = join(REPOSITORY, 'node_modules', 'typescript', 'bin', 'tsc');
  const { code, output } = await runTool([process.execPath, tsc, '-p', config]);
  rmSync(config);
  if (code !== 0) throw new Error(`${name} does not compile for Node 20:\n${output.trim()}`);
}

/** All that the doors and commands lead to, and so neither tests nor benches. */
function sourcesBehindDoors(libDir: string, { exports = {}, bin = {} }: Manifest): string[] {
  const files = new Set([...Object.values(exports), ...Object.values(bin)].map((source) => join(libDir, source)));
  for (const file of files) {
    if (!existsSync(file)) throw new Error(`${file} does not exist, but something leads there.`);
    for (const named of namedSources(readFileSync(file, 'utf8'))) files.add(join(dirname(file), named));
  }
  return [...files];
}

function compilerConfig(lib: Omit<Lib, 'name'> & { files: string[] }, dirs: { staging: string; outDir: string }) {
  const scope = lib.manifest.name.split('/')[0]!;
  return {
    extends: join(REPOSITORY, 'tsconfig.json'),
    compilerOptions: {
      ...NODE_20,
      noEmit: false,
      noEmitOnError: true,
      allowImportingTsExtensions: false,
      rewriteRelativeImportExtensions: true,
      declaration: true,
      rootDir: join(lib.libDir, 'src'),
      outDir: join(dirs.staging, 'dist'),
      // By themselves both would be looked for beside this file.
      typeRoots: [join(REPOSITORY, 'node_modules', '@types')],
      paths: Object.assign({}, ...lib.neighbours.map((name) => typesOf(scope, name, dirs.outDir))),
    },
    files: lib.files,
    include: [],
    exclude: [],
  };
}

/** Where the types of a packed neighbour lie, door by door. */
function typesOf(scope: string, name: string, outDir: string): Record<string, string[]> {
  const { exports } = JSON.parse(readFileSync(join(outDir, name, 'package.json'), 'utf8')) as {
    exports: Record<string, { types: string }>;
  };
  const doors = Object.entries(exports).map(([door, { types }]) => [
    `${scope}/${name}${door.slice(1)}`,
    [join(outDir, name, types)],
  ]);
  return Object.fromEntries(doors) as Record<string, string[]>;
}

/** Mends the names in a built file, and makes sure that it finds outside what it finds here. */
function finish(file: string, { name, dependencies = {} }: Manifest): void {
  const text = withBuiltNames(file, readFileSync(file, 'utf8'));
  for (const one of importedPackages(text)) {
    if (one === name || one in dependencies) continue;
    throw new Error(`${file} imports ${one}, which is not among the dependencies of ${name}.`);
  }
  writeFileSync(file, text);
}

function copyPapers(libDir: string, target: string): void {
  if (!existsSync(join(libDir, 'README.md'))) throw new Error(`${libDir} has no README.md.`);
  copyFileSync(join(libDir, 'README.md'), join(target, 'README.md'));
  copyFileSync(join(REPOSITORY, 'LICENSE'), join(target, 'LICENSE'));
}

function filesBelow(dir: string): string[] {
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.map(({ parentPath, name }) => join(parentPath, name).slice(dir.length + 1)).sort();
}
