import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { tempDir } from '@plinth/testkit';
import { packLib } from './package-build.ts';
import { importedPackages, packedManifest, withBuiltNames } from './package-manifest.ts';

const run = promisify(execFile);

/** Two libs, one of which needs the other, with a thread, a command, and what must not be published. */
const LIBS = {
  'tone/package.json': JSON.stringify({
    name: '@house/tone',
    version: '1.2.3',
    type: 'module',
    scripts: { test: 'true' },
    exports: { '.': './src/tone.ts' },
    devDependencies: { jest: '1' },
  }),
  'tone/README.md': '# tone\n',
  'tone/src/tone.ts': `export interface Tone { hertz: number }\nexport const a: Tone = { hertz: 440 };\n`,
  'choir/package.json': JSON.stringify({
    name: '@house/choir',
    version: '1.0.0',
    type: 'module',
    exports: { '.': './src/choir.ts', './one': './src/voices/one.ts' },
    bin: { sing: './src/sing.ts' },
    dependencies: { '@house/tone': '1.2.3' },
  }),
  'choir/README.md': '# choir\n',
  'choir/src/choir.ts': `import { Worker } from 'node:worker_threads';
import { a, type Tone } from '@house/tone';
import { sung } from './voices/one.ts';

export type { Voice } from './voices/one.ts';

/** What a thread heard. */
export async function heard(tone: Tone = a): Promise<string> {
  const thread = new Worker(new URL('./voices/thread.ts', import.meta.url), { workerData: sung(tone) });
  return new Promise((resolve) => thread.once('message', resolve));
}
`,
  'choir/src/sing.ts': `#!/usr/bin/env node\nimport { heard } from './choir.ts';\nconsole.log(await heard());\n`,
  'choir/src/voices/one.ts': `import type { Tone } from '@house/tone';
export type Voice = 'high' | 'low';
export const sung = ({ hertz }: Tone): string => \`\${hertz} Hz\`;
`,
  'choir/src/voices/thread.ts': `import { parentPort, workerData } from 'node:worker_threads';
parentPort!.postMessage(\`thread: \${workerData as string}\`);
`,
  'choir/src/choir.test.ts': `import 'jest';\n`,
  'choir/src/choir.bench.ts': `import 'jest';\n`,
  'choir/src/idea.ts': 'const unfinished: string = 1;\n',
};

function folderWith(files: Record<string, string>): string {
  const dir = tempDir('libs');
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
  return dir;
}

const packedFrom = (files: Record<string, string>, name = 'choir', outDir = tempDir('packed')) =>
  packLib(name, { libsDir: folderWith(files), outDir });

describe('a packed lib', () => {
  test('holds what its doors lead to as JavaScript with types, and comes after the libs it depends on', async () => {
    const packed = await packedFrom(LIBS);
    expect(packed.map(({ name }) => name)).toEqual(['tone', 'choir']);
    expect(packed[1]!.files).toEqual(
      [
        'LICENSE',
        'README.md',
        ...['choir', 'sing', 'voices/one', 'voices/thread'].flatMap((at) => [`dist/${at}.d.ts`, `dist/${at}.js`]),
        'package.json',
      ].sort(),
    );
  });

  test('runs outside: its threads find their files, its command is a program', async () => {
    const packed = await packedFrom(LIBS);
    const home = tempDir('home');
    mkdirSync(join(home, 'node_modules', '@house'), { recursive: true });
    for (const { name, dir } of packed) await run('cp', ['-r', dir, join(home, 'node_modules', '@house', name)]);
    const { stdout } = await run(process.execPath, ['node_modules/@house/choir/dist/sing.js'], { cwd: home });
    expect(stdout).toBe('thread: 440 Hz\n');
    const types = readFileSync(join(packed[1]!.dir, 'dist/choir.d.ts'), 'utf8');
    expect(types).toContain(`from './voices/one.js'`);
    expect(types).toContain('/** What a thread heard. */');
  });

  test('that does not compile is told with the place, and leaves the one packed before as it was', async () => {
    const outDir = tempDir('packed');
    await packedFrom(LIBS, 'tone', outDir);
    const broken = { ...LIBS, 'tone/src/tone.ts': 'export const a: string = 440;\n' };
    await expect(packedFrom(broken, 'tone', outDir)).rejects.toThrow(
      /tone does not compile for Node 20:\n.*tone\.ts.*1,14.*TS2322/,
    );
    expect(existsSync(join(outDir, 'tone/dist/tone.js'))).toBe(true);
  });

  test('may not use what only a newer Node has', async () => {
    const tooNew = { ...LIBS, 'tone/src/tone.ts': 'export const later = Promise.withResolvers<void>();\n' };
    await expect(packedFrom(tooNew, 'tone')).rejects.toThrow(/withResolvers/);
  });

  test('may not import what is not among its dependencies', async () => {
    const source = `import { a } from '@house/tone';\nexport const b = a.hertz * 2;\n`;
    const dev = JSON.stringify({
      name: '@house/choir',
      version: '1.0.0',
      type: 'module',
      exports: { '.': './src/choir.ts' },
    });
    const files = {
      ...Object.fromEntries(Object.entries(LIBS).filter(([path]) => !path.startsWith('choir/src'))),
      'choir/package.json': dev,
      'choir/src/choir.ts': `// @ts-ignore: found nowhere, as outside.\n${source}`,
    };
    await expect(packedFrom(files)).rejects.toThrow(
      'imports @house/tone, which is not among the dependencies of @house/choir',
    );
  });

  test('needs a README and all its files, and to be there', async () => {
    const { 'tone/README.md': _, ...silent } = LIBS;
    await expect(packedFrom(silent, 'tone')).rejects.toThrow('has no README.md');
    const { 'tone/src/tone.ts': __, ...hollow } = LIBS;
    await expect(packedFrom(hollow, 'tone')).rejects.toThrow('tone.ts does not exist');
    await expect(packedFrom(LIBS, 'organ')).rejects.toThrow('There is no lib "organ"');
  });
});

describe('the manifest of a packed lib', () => {
  const manifest = JSON.parse(LIBS['choir/package.json']) as Parameters<typeof packedManifest>[0];

  test('leads to what was built, and keeps the versions of dependencies', () => {
    expect(packedManifest({ ...manifest, devDependencies: { jest: '1' }, scripts: { test: 'true' } })).toEqual({
      name: '@house/choir',
      version: '1.0.0',
      type: 'module',
      exports: {
        '.': { types: './dist/choir.d.ts', default: './dist/choir.js' },
        './one': { types: './dist/voices/one.d.ts', default: './dist/voices/one.js' },
      },
      bin: { sing: './dist/sing.js' },
      dependencies: { '@house/tone': '1.2.3' },
      files: ['dist'],
    });
  });

  test.each([
    [{ private: true }, 'is private'],
    [{ exports: {} }, 'has no exports'],
    [{ exports: { '.': './lib/choir.ts' } }, 'not a TypeScript file below ./src'],
    [{ exports: { '.': './src/choir.js' } }, 'not a TypeScript file below ./src'],
  ])('is refused with %j', (change, reason) => {
    expect(() => packedManifest({ ...manifest, ...change })).toThrow(reason);
  });
});

describe('names of sources', () => {
  test.each([
    [`import { a } from './a.ts';`, `import { a } from './a.js';`],
    [`export * from "../b/a.ts";`, `export * from "../b/a.js";`],
    [`type A = import('./a.ts').A;`, `type A = import('./a.js').A;`],
    [`new URL('./t.ts', import.meta.url)`, `new URL('./t.js', import.meta.url)`],
    [`new URL(\n  './t.ts',\n  import.meta.url\n)`, `new URL(\n  './t.js',\n  import.meta.url\n)`],
    [` * As './a.ts' does.`, ` * As './a.ts' does.`],
    [`from 'other.ts'`, `from 'other.ts'`],
  ])('%j becomes %j', (source, built) => {
    expect(withBuiltNames('x.js', source)).toBe(built);
  });

  test('that would be looked for in vain are refused', () => {
    expect(() => withBuiltNames('x.js', `const file = './t.ts';`)).toThrow(`x.js names a source file: const file =`);
  });

  test('do not hide packages: those of a scope have two names, a door is none', () => {
    const text = `import a from 'a/b';\nimport { x,\n y } from '@s/p/door';\nimport 'node:fs';\nawait import("late");\nexport * from './z.js';`;
    expect([...importedPackages(text)].sort()).toEqual(['@s/p', 'a', 'late']);
  });
});
