/**
 * What other people get: the libs that are published, packed, installed without a network into an empty folder, run by
 * the plain Node of this machine (20 or newer) and seen by a compiler that knows nothing of this repository.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { tempDir } from '@plinth/testkit';
import { REPOSITORY } from '../src/layout.ts';
import { type PackedLib, packLib } from '../src/package-build.ts';

const run = promisify(execFile);
const LINES_A_THREAD = 1_000;

/** Without the Node that npm installed in this repository, and without its flags. */
const ENV = {
  ...process.env,
  NODE_OPTIONS: '',
  PATH: (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'))
    .join(delimiter),
};

let packed: PackedLib[];
let home: string;

beforeAll(async () => {
  const place = { libsDir: join(REPOSITORY, 'libs'), outDir: tempDir('packed') };
  packed = await packLib('file-logger', place);
  home = tempDir('consumer');
  writeFileSync(join(home, 'package.json'), JSON.stringify({ name: 'consumer', type: 'module', private: true }));
  const tarballs: string[] = [];
  for (const { dir } of packed) {
    const { stdout } = await run('npm', ['pack', '--json', dir], { cwd: home, env: ENV });
    tarballs.push(join(home, nameOfTarball(stdout)));
  }
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', ...tarballs], { cwd: home, env: ENV });
}, 60_000);

/** npm 11 tells a list, later ones an object by package. */
function nameOfTarball(json: string): string {
  return Object.values(JSON.parse(json) as Record<string, { filename: string }>)[0]!.filename;
}

async function script(name: string, text: string): Promise<string> {
  writeFileSync(join(home, name), text);
  const { stdout } = await run('node', [name], { cwd: home, env: ENV, timeout: 20_000 });
  return stdout;
}

const linesOf = (name: string): Record<string, unknown>[] =>
  readFileSync(join(home, name), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('the packed pool and logger', () => {
  test('are installed with nothing else, and hold no TypeScript but types', () => {
    expect(packed.map(({ name }) => name)).toEqual(['buffer-pool', 'file-logger']);
    const { files } = packed[1]!;
    expect(files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))).toEqual([]);
    expect(files.filter((file) => /test|bench|fixture|victim/.test(file))).toEqual([]);
    const lock = JSON.parse(readFileSync(join(home, 'package-lock.json'), 'utf8')) as { packages: object };
    expect(Object.keys(lock.packages)).toEqual([
      '',
      'node_modules/@plinth/buffer-pool',
      'node_modules/@plinth/file-logger',
    ]);
  });

  test('hand out blocks', async () => {
    const text = `import { BlockPool } from '@plinth/buffer-pool';
      const pool = new BlockPool({ blockBytes: 4096, blocksMax: 2 });
      const block = pool.acquire();
      block.bytes.write('hello');
      console.log(block.bytes.toString('utf8', 0, 5), pool.stats().inUse);
      block.release();`;
    expect(await script('pool.js', text)).toBe('hello 1\n');
  });

  test('log into a file, also what is logged just before process.exit()', async () => {
    const text = `import { fileLogger } from '@plinth/file-logger';
      const log = fileLogger({ path: 'one.log', redact: ['secret'] });
      log.child({ part: 'door' }).info({ secret: 1 }, 'hello %s', 'you');
      log.error(new Error('broken'));
      process.exit(0);`;
    await script('one.js', text);
    expect(linesOf('one.log')).toMatchObject([
      { level: 30, part: 'door', secret: '[Redacted]', msg: 'hello you' },
      { level: 50, msg: 'broken', err: { type: 'Error' } },
    ]);
  });

  test('write all at SIGTERM, and leave the signal to a program that listens for it itself', async () => {
    const text = (listens: boolean) => `import { fileLogger } from '@plinth/file-logger';
      const log = fileLogger({ path: 'term-${listens}.log' });
      setTimeout(() => {}, 10_000);
      ${listens ? `process.once('SIGTERM', () => setTimeout(() => { log.info('in my own time'); process.exit(7); }, 50));` : ''}
      log.info('before');
      process.kill(process.pid, 'SIGTERM');`;
    await expect(script('killed.js', text(false))).rejects.toMatchObject({ signal: 'SIGTERM' });
    expect(linesOf('term-false.log')).toMatchObject([{ msg: 'before' }]);
    await expect(script('ended.js', text(true))).rejects.toMatchObject({ code: 7 });
    expect(linesOf('term-true.log')).toMatchObject([{ msg: 'before' }, { msg: 'in my own time' }]);
  });

  test('log from worker threads into one file, each thread in its order', async () => {
    const text = `import { once } from 'node:events';
      import { isMainThread, Worker, workerData } from 'node:worker_threads';
      import { threadLogger } from '@plinth/file-logger/threads';
      if (isMainThread) {
        const log = threadLogger({ path: 'many.log' });
        const threads = [1, 2].map((who) => new Worker(new URL(import.meta.url), { workerData: who }));
        await Promise.all(threads.map((thread) => once(thread, 'exit')));
        log.info({ who: 0, at: 0 }, 'all ended');
      } else {
        const log = threadLogger();
        for (let at = 0; at < ${LINES_A_THREAD}; at++) log.info({ who: workerData, at }, 'said');
      }`;
    await script('many.js', text);
    const lines = linesOf('many.log');
    const said = (who: number) => lines.filter((line) => line.who === who).map((line) => line.at);
    const inOrder = Array.from({ length: LINES_A_THREAD }, (_, at) => at);
    expect([said(1), said(2), said(0)]).toEqual([inOrder, inOrder, [0]]);
  });

  test('have types that a strict compiler takes, and that refuse what is wrong', async () => {
    const compile = async (name: string, text: string) => {
      writeFileSync(join(home, name), text);
      const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023', '--types', 'node'];
      const lib = ['--lib', 'es2023,esnext.disposable', '--typeRoots', join(REPOSITORY, 'node_modules', '@types')];
      const tsc = join(REPOSITORY, 'node_modules', 'typescript', 'bin', 'tsc');
      return run(process.execPath, [tsc, ...flags, ...lib, name], { cwd: home }).then(
        () => '',
        (error: { stdout: string }) => error.stdout,
      );
    };
    const text = `import { BlockPool, type Block } from '@plinth/buffer-pool';
import { fileLogger, type Logger } from '@plinth/file-logger';
import { threadLogger } from '@plinth/file-logger/threads';
const block: Block = new BlockPool({ blockBytes: 64, blocksMax: 1 }).acquire();
const log: Logger = fileLogger({ path: 'x.log', level: 'debug', durability: 'interval' });
log.info({ bytes: block.bytes.length }, 'hello');
threadLogger({ path: 'y.log' }).warn('hello');
`;
    expect(await compile('right.ts', text)).toBe('');
    expect(await compile('wrong.ts', text.replace(`'interval'`, `'sometimes'`))).toMatch(/wrong\.ts\(5,.*TS2322/);
  });

  test('have the doors that their manifests name', () => {
    for (const { dir } of packed) {
      const manifest = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as {
        exports: Record<string, Record<string, string>>;
        bin?: Record<string, string>;
      };
      const paths = [...Object.values(manifest.exports).flatMap(Object.values), ...Object.values(manifest.bin ?? {})];
      expect(paths.filter((path) => !existsSync(join(dir, path as string)))).toEqual([]);
    }
  });
});
