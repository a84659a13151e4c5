/**
 * A test of the code base itself: rooms keep to their neighbours, names say something, documents are true. When it
 * fails it says what to do. (The idea is TigerBeetle's `tidy.zig`.)
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseSync } from '@swc/core';

const ROOT = new URL('.', import.meta.url).pathname;

/** What git knows or would take: never what lies around. */
const FILES = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: ROOT, encoding: 'utf8' })
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(ROOT, file)));
const SOURCES = FILES.filter((file) => /^(services|libs)\/[^/]+\/src\/.*\.ts$/.test(file) && !isTest(file));
const SERVICES = namesBelow('services');
const LIBS = namesBelow('libs');

function isTest(file: string): boolean {
  return /\.(test|contract|bench|fixture|victim)\.ts$/.test(file) || file.includes('/test/');
}

function namesBelow(folder: string): string[] {
  const names = FILES.map((file) => new RegExp(`^${folder}/([^/]+)/package\\.json$`).exec(file)?.[1]);
  return names.filter((name) => name !== undefined);
}

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

interface Import {
  from: string;
  isType: boolean;
}

function importsOf(file: string): Import[] {
  const found = read(file).matchAll(
    /^(?:import|export)\s+(type\s)?[^;]*?from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm,
  );
  return [...found].map(([, isType, ...from]) => ({ isType: isType !== undefined, from: from.find(Boolean)! }));
}

/** The room of a service's file: `core`, `store`, `api` … */
const roomOf = (file: string): string => /\/src\/([^/.]+)/.exec(file)![1]!;

/** Does a relative import lead out of the file's room? */
const leavesRoom = (file: string, from: string): boolean =>
  from.startsWith('.') &&
  !join(dirname(file), from).startsWith(`${file.split('/').slice(0, 3).join('/')}/${roomOf(file)}/`);

/** Rules that are libraries of their own, pure, and what is said of where a store is. */
const STORE_LIBS = new Set(['@plinth/limiter', '@plinth/redis-address']);

/** Of the store: neither its own room nor one of those. */
const isForeign = (file: string, from: string): boolean =>
  leavesRoom(file, from) || (from.startsWith('@plinth/') && !STORE_LIBS.has(from));

function faults(check: (file: string) => string[]): string[] {
  return SOURCES.filter((file) => file.startsWith('services/')).flatMap(check);
}

describe('rooms', () => {
  test('core imports its own room, the contracts of the store, problems, and types: no I/O, no framework', () => {
    // Rules that are a library of their own, as pure as core itself: @plinth/limiter.
    const allowed =
      /^(\.\/|\.\.\/store\/(store|log|backend|lane)\.ts$|@plinth\/(problem|limiter)$|msgpackr$|cron-parser$|node:timers\/promises$)/;
    const asTypes = /^@plinth\/contracts/;
    // Limits are numbers, not I/O.
    const constants = /^@plinth\/contracts\/[a-z]+$/;
    const found = faults((file) =>
      roomOf(file) !== 'core'
        ? []
        : importsOf(file)
            .filter(
              ({ from, isType }) => !allowed.test(from) && !(isType && asTypes.test(from)) && !constants.test(from),
            )
            .map(({ from }) => `${file} imports ${from}`),
    );
    expect(found).toEqual([]);
  });

  test('core takes time, randomness and settings as parameters', () => {
    const banned = /\b(Date\.now|Math\.random|process\.env|new Date\(\)|performance\.now)\b/;
    const found = faults((file) =>
      roomOf(file) === 'core' && banned.test(read(file)) ? [`${file} uses ${banned.exec(read(file))![1]}`] : [],
    );
    expect(found).toEqual([]);
  });

  test('store knows no other room, but for the words of core', () => {
    const found = faults((file) =>
      roomOf(file) !== 'store'
        ? []
        : importsOf(file)
            .filter(({ from }) => !/\/core\/job\.ts$/.test(from) && isForeign(file, from))
            .map(({ from }) => `${file} imports ${from}`),
    );
    expect(found).toEqual([]);
  });

  test('only config.ts and main.ts read the environment of a service', () => {
    const found = faults((file) =>
      /process\.env/.test(read(file)) && !['config', 'main'].includes(roomOf(file)) ? [file] : [],
    );
    // A worker thread has no composition root: it is told by its environment where compiled code is cached.
    expect(found.filter((file) => !file.endsWith('-writer.ts'))).toEqual([]);
  });

  test('no import leaves its package by a path', () => {
    const found = SOURCES.flatMap((file) =>
      importsOf(file)
        .filter(({ from }) => from.startsWith('.'))
        .map(({ from }) => relative(file.split('/').slice(0, 2).join('/'), join(dirname(file), from)))
        .filter((path) => path.startsWith('..'))
        .map((path) => `${file} → ${path}`),
    );
    expect(found).toEqual([]);
  });

  test('every relative import names a file that is there', () => {
    const found = SOURCES.flatMap((file) =>
      importsOf(file)
        .filter(({ from }) => from.startsWith('.') && !existsSync(join(ROOT, dirname(file), from)))
        .map(({ from }) => `${file} imports ${from}`),
    );
    expect(found).toEqual([]);
  });
});

describe('names', () => {
  test('no file or folder is named for nothing', () => {
    const nothing = /(^|\/)(utils?|helpers?|common|shared|misc|generic|lib)(\/|\.ts$)/;
    expect(FILES.filter((file) => nothing.test(file))).toEqual([]);
  });

  test('files are kebab-case nouns', () => {
    const found = FILES.filter(
      (file) => file.endsWith('.ts') && !/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)*\.ts$/.test(file.split('/').at(-1)!),
    );
    expect(found).toEqual([]);
  });

  test('no default export, no enum, no decorator', () => {
    const found = SOURCES.filter((file) =>
      /^export default |^(export )?(const )?enum |^\s*@[A-Z]\w+\(/m.test(read(file)),
    );
    // jest takes a reporter as the default export of its file.
    expect(found.filter((file) => !file.endsWith('-reporter.ts'))).toEqual([]);
  });
});

/** Functions longer than this want splitting. A ratchet: the list may only shrink. */
const FUNCTION_LINES_MAX = 60;
const LONG_FUNCTIONS: string[] = [];
const FILE_LINES_MAX = 620;

describe('sizes', () => {
  test(`no function is longer than ${FUNCTION_LINES_MAX} lines`, () => {
    expect(SOURCES.flatMap(longFunctions).filter((name) => !LONG_FUNCTIONS.includes(name))).toEqual([]);
  }, 60_000);

  test(`no file is longer than ${FILE_LINES_MAX} lines: it would swallow a subsystem`, () => {
    const found = SOURCES.filter((file) => read(file).split('\n').length > FILE_LINES_MAX);
    // One flat list of what is said once.
    expect(found.filter((file) => !file.startsWith('libs/contracts/src/'))).toEqual([]);
  });
});

function longFunctions(file: string): string[] {
  const source = Buffer.from(read(file));
  const tree = parseSync(source.toString(), { syntax: 'typescript', target: 'es2024' });
  const found: string[] = [];
  const linesOf = ({ start, end }: { start: number; end: number }) =>
    source
      .subarray(start - tree.span.start, end - tree.span.start)
      .toString()
      .split('\n').length;
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    const { type, body } = node as { type?: string; body?: { type?: string; span?: { start: number; end: number } } };
    if (/Function|Method/.test(type ?? '') && body?.type === 'BlockStatement' && body.span !== undefined) {
      const lines = linesOf(body.span);
      if (lines > FUNCTION_LINES_MAX) found.push(`${file}: a function of ${lines} lines`);
    }
    for (const child of Object.values(node)) visit(child);
  };
  visit(tree.body);
  return found;
}

describe('documents', () => {
  test('every lib and every service has a README', () => {
    const missing = [
      ...LIBS.map((name) => `libs/${name}/README.md`),
      ...SERVICES.map((name) => `services/${name}/README.md`),
    ];
    expect(missing.filter((file) => !FILES.includes(file))).toEqual([]);
  });

  test('every service stands in the table of README.md, every lib in docs/ARCHITECTURE.md', () => {
    const front = read('README.md');
    expect(SERVICES.filter((name) => !front.includes(`(services/${name}/README.md)`))).toEqual([]);
    const architecture = read('docs/ARCHITECTURE.md');
    expect(LIBS.filter((name) => !architecture.includes(`(../libs/${name}/README.md)`))).toEqual([]);
  });

  test('every link in a document leads to a file', () => {
    const broken = FILES.filter((file) => file.endsWith('.md')).flatMap((file) =>
      [...read(file).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
        .map(([, target = '']) => target)
        .filter((target) => !/^[a-z]+:/.test(target) && !existsSync(join(ROOT, dirname(file), target)))
        .map((target) => `${file} → ${target}`),
    );
    expect(broken).toEqual([]);
  });

  test('decisions are numbered without a gap', () => {
    const numbers = FILES.filter((file) => file.startsWith('docs/adr/')).map((file) => Number(file.slice(9, 12)));
    expect(numbers.sort((a, b) => a - b)).toEqual(numbers.map((_, at) => at + 1));
  });

  test('every function and class that a lib gives away says what it is for', () => {
    expect(LIBS.flatMap((lib) => givenAway(lib).filter(({ file, name }) => !isExplained(file, name)))).toEqual([]);
  });
});

interface Given {
  file: string;
  name: string;
}

/** What the entry of a lib exports by name, with the file that declares it. */
function givenAway(lib: string): Given[] {
  const entry = `libs/${lib}/src/${lib}.ts`;
  const lists = read(entry).matchAll(/^export \{([^}]*)\} from '\.\/([^']+)'/gm);
  return [...lists].flatMap(([, names = '', path = '']) =>
    names
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '' && !name.startsWith('type '))
      .map((name) => ({ file: `libs/${lib}/src/${path}`, name: name.split(' as ')[0]! })),
  );
}

function isExplained(file: string, name: string): boolean {
  const declared = new RegExp(`(\\*/\\n)?^export (?:async )?(?:function\\*?|class) ${name}\\b`, 'm').exec(read(file));
  return declared === null || declared[1] !== undefined;
}
