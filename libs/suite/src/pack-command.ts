/**
 * `npm run pack`: libs as other people install them.
 *
 *     npm run pack -- file-logger [buffer-pool …] [--out FOLDER]
 *     npm publish .plinth/pack/file-logger
 */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { homeOf, REPOSITORY } from './layout.ts';
import { type PackedLib, packLib } from './package-build.ts';

/** Runs `pack`. Returns 0 when all are packed; prints where each one lies. @throws Error that says what hinders. */
export async function runPack(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options: { out: { type: 'string' } }, allowPositionals: true });
  if (positionals.length === 0) throw new Error('Which lib? npm run pack -- file-logger [--out FOLDER]');
  const outDir = resolve(values.out ?? join(homeOf(process.env).dir, 'pack'));
  const packed: PackedLib[] = [];
  for (const name of positionals) await packLib(name, { libsDir: join(REPOSITORY, 'libs'), outDir }, packed);
  for (const { name, version, dir, files } of packed)
    console.log(`${name} ${version}: ${files.length} files in ${dir}`);
  return 0;
}
