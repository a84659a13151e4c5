import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually, tempDir } from '@plinth/testkit';
import { LiveRules } from '../core/rule-book.ts';
import { FileRules } from './files.ts';

const lines: string[] = [];
const say = (level: string) => (msg: string, fields?: object) =>
  void lines.push(`${level} ${msg} ${JSON.stringify(fields)}`);
const log = { debug: () => {}, info: say('info'), warn: say('warn'), error: say('error') };
const open: FileRules[] = [];

afterEach(async () => {
  lines.length = 0;
  for (const files of open.splice(0)) await files.stop();
});

async function start(path: string, options: { pollMs?: number } = {}) {
  const rules = new LiveRules();
  const files = await FileRules.start({ path, rules, log, quietMs: 20, pollMs: 60_000, ...options });
  open.push(files);
  return { rules, files };
}

const text = (domain: string, limit: number | string = 5) =>
  `domain: ${domain}\nrules:\n  - {name: r, match: {user: "*"}, limit: ${limit}, window: 1m}\n`;
const limitOf = (rules: LiveRules, domain: string) => rules.book.named(domain, 'r')?.policy?.limit;
const messages = (files: FileRules) => files.faults().map(String);

describe('a folder of rules', () => {
  test('is loaded at the start: yaml, yml and json, and nothing else', async () => {
    const dir = tempDir('rules');
    writeFileSync(join(dir, 'a.yaml'), text('a'));
    writeFileSync(join(dir, 'b.yml'), text('b'));
    writeFileSync(join(dir, 'c.json'), JSON.stringify({ domain: 'c', rules: [] }));
    for (const name of ['.hidden.yaml', 'notes.txt', 'a.yaml~', '#a.yaml#', 'a.yaml.swp'])
      writeFileSync(join(dir, name), 'nonsense');
    const { rules, files } = await start(dir);
    expect(rules.book.domains()).toEqual(['a', 'b', 'c']);
    expect(files.faults()).toEqual([]);
    expect(rules.book.documentOf('a')!.source).toBe(join(dir, 'a.yaml'));
    expect(rules.version).toBe(1);
  });

  test('a file that is written, comes or goes is taken over without being asked', async () => {
    const dir = tempDir('rules');
    writeFileSync(join(dir, 'a.yaml'), text('a', 5));
    const { rules } = await start(dir);
    writeFileSync(join(dir, 'a.yaml'), text('a', 6));
    await eventually(() => expect(limitOf(rules, 'a')).toBe(6));
    writeFileSync(join(dir, 'b.yaml'), text('b', 7));
    await eventually(() => expect(limitOf(rules, 'b')).toBe(7));
    unlinkSync(join(dir, 'a.yaml'));
    await eventually(() => expect(rules.book.domains()).toEqual(['b']));
  });

  test('an editor that writes beside and renames is no two changes, and opens no gap', async () => {
    const dir = tempDir('rules');
    const path = join(dir, 'a.yaml');
    writeFileSync(path, text('a', 5));
    const { rules } = await start(dir);
    const limits: unknown[] = [];
    rules.onChange(() => limits.push(limitOf(rules, 'a')));
    renameSync(path, join(dir, 'a.yaml~'));
    writeFileSync(join(dir, '4913'), '');
    writeFileSync(path, text('a', 8));
    unlinkSync(join(dir, '4913'));
    await eventually(() => expect(limits).toEqual([8]));
  });

  test('the swap of a ConfigMap changes all its files at once', async () => {
    const dir = tempDir('rules');
    const version = (name: string, limit: number) => {
      mkdirSync(join(dir, name));
      for (const domain of ['a', 'b', 'c']) writeFileSync(join(dir, name, `${domain}.yaml`), text(domain, limit));
    };
    version('..1', 1);
    symlinkSync('..1', join(dir, '..data'));
    for (const domain of ['a', 'b', 'c']) symlinkSync(join('..data', `${domain}.yaml`), join(dir, `${domain}.yaml`));
    const { rules, files } = await start(dir);
    const seen: unknown[] = [];
    rules.onChange(() => seen.push(['a', 'b', 'c'].map((domain) => limitOf(rules, domain))));
    for (const limit of [2, 3, 4]) {
      version(`..${limit}`, limit);
      symlinkSync(`..${limit}`, join(dir, '..data_tmp'));
      renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
      rmSync(join(dir, `..${limit - 1}`), { recursive: true });
      await eventually(() => expect(seen.at(-1)).toEqual([limit, limit, limit]));
    }
    expect(seen).toEqual([
      [2, 2, 2],
      [3, 3, 3],
      [4, 4, 4],
    ]);
    expect(files.faults()).toEqual([]);
  });

  test('what the kernel does not tell is found by looking: a link to a file elsewhere', async () => {
    const [dir, elsewhere] = [tempDir('rules'), tempDir('elsewhere')];
    writeFileSync(join(elsewhere, 'x'), text('a', 5));
    symlinkSync(join(elsewhere, 'x'), join(dir, 'a.yaml'));
    const { rules } = await start(dir, { pollMs: 50 });
    expect(limitOf(rules, 'a')).toBe(5);
    writeFileSync(join(elsewhere, 'x'), text('a', 6));
    await eventually(() => expect(limitOf(rules, 'a')).toBe(6));
  });

  test('a folder that is taken away keeps its rules in force, and one in its place is watched', async () => {
    const dir = join(tempDir('rules'), 'limits');
    mkdirSync(dir);
    writeFileSync(join(dir, 'a.yaml'), text('a', 5));
    const { rules, files } = await start(dir, { pollMs: 50 });
    renameSync(dir, `${dir}.away`);
    await eventually(() => expect(messages(files)[0]).toContain('cannot be read: ENOENT'));
    expect(limitOf(rules, 'a')).toBe(5);
    mkdirSync(dir);
    writeFileSync(join(dir, 'a.yaml'), text('a', 6));
    await eventually(() => expect(limitOf(rules, 'a')).toBe(6));
    expect(files.faults()).toEqual([]);
  });

  test('a folder that is not there at the start is taken when it comes', async () => {
    const dir = join(tempDir('rules'), 'later');
    const { rules, files } = await start(dir, { pollMs: 50 });
    expect(files.faults()).toHaveLength(1);
    mkdirSync(dir);
    writeFileSync(join(dir, 'a.yaml'), text('a', 6));
    await eventually(() => expect(limitOf(rules, 'a')).toBe(6));
    expect(lines.filter((line) => line.startsWith('error'))).toHaveLength(1);
  });

  test('one file may be named instead', async () => {
    const path = join(tempDir('rules'), 'limits.conf');
    writeFileSync(path, text('a', 5));
    const { rules } = await start(path);
    writeFileSync(path, text('a', 6));
    await eventually(() => expect(limitOf(rules, 'a')).toBe(6));
  });
});

describe('a file at fault', () => {
  test('is refused with its line, and what it said before stays in force', async () => {
    const dir = tempDir('rules');
    writeFileSync(join(dir, 'a.yaml'), text('a', 5));
    writeFileSync(join(dir, 'b.yaml'), text('b', 5));
    const { rules, files } = await start(dir);
    writeFileSync(join(dir, 'a.yaml'), text('a', -5));
    writeFileSync(join(dir, 'b.yaml'), text('b', 6));
    await eventually(() => expect(limitOf(rules, 'b')).toBe(6));
    expect(limitOf(rules, 'a')).toBe(5);
    expect(messages(files)).toEqual([
      `${join(dir, 'a.yaml')}:3:42: limit is -5; it must be a whole number from 0 to 1,000,000,000, or unlimited`,
    ]);
    expect(files.counts.refusals).toBe(1);
    expect(lines.filter((line) => line.startsWith('error'))).toEqual([
      expect.stringContaining('its earlier rules stay in force'),
    ]);
    // Another change does not have it said again.
    writeFileSync(join(dir, 'b.yaml'), text('b', 7));
    await eventually(() => expect(limitOf(rules, 'b')).toBe(7));
    expect(files.counts.refusals).toBe(1);
    writeFileSync(join(dir, 'a.yaml'), text('a', 9));
    await eventually(() => expect(limitOf(rules, 'a')).toBe(9));
    expect(files.faults()).toEqual([]);
  });

  test('at the start has no rules, and the others have theirs', async () => {
    const dir = tempDir('rules');
    writeFileSync(join(dir, 'a.yaml'), 'domain: [');
    writeFileSync(join(dir, 'b.yaml'), text('b'));
    const { rules, files } = await start(dir);
    expect(rules.book.domains()).toEqual(['b']);
    expect(messages(files)[0]).toContain('a.yaml:1:');
  });

  test('two files of one domain: refused with both names; the one that had it keeps it', async () => {
    const dir = tempDir('rules');
    const [a, b] = [join(dir, 'a.yaml'), join(dir, 'b.yaml')];
    writeFileSync(b, text('x', 1));
    const { rules, files } = await start(dir);
    writeFileSync(a, text('x', 2));
    await eventually(() =>
      expect(messages(files)).toEqual([`${a}:1:1: domain x stands in ${b} as well; ${b} had it first and keeps it`]),
    );
    expect(limitOf(rules, 'x')).toBe(1);
    unlinkSync(b);
    await eventually(() => expect(limitOf(rules, 'x')).toBe(2));
    expect(files.faults()).toEqual([]);
  });

  test('two files of one domain at the start: neither', async () => {
    const dir = tempDir('rules');
    for (const name of ['a.yaml', 'b.yaml']) writeFileSync(join(dir, name), text('x', 1));
    const { rules, files } = await start(dir);
    expect(rules.book.domains()).toEqual([]);
    expect(messages(files)).toHaveLength(2);
    expect(messages(files)[0]).toContain('none of them is in force');
  });

  test('a link to nothing keeps what was there', async () => {
    const dir = tempDir('rules');
    writeFileSync(join(dir, 'real'), text('a', 5));
    symlinkSync('real', join(dir, 'a.yaml'));
    const { rules, files } = await start(dir);
    unlinkSync(join(dir, 'real'));
    await eventually(() => expect(messages(files)[0]).toContain('cannot be read: ENOENT'));
    expect(limitOf(rules, 'a')).toBe(5);
  });
});

test('ten thousand rules are loaded while requests are matched, and no match fails', async () => {
  const dir = tempDir('rules');
  const path = join(dir, 'a.yaml');
  const many = (limit: number) =>
    `domain: a\nrules:\n${Array.from({ length: 10_000 }, (_, at) => `  - {name: r${at}, match: {path: /p${at}, user: "*"}, limit: ${limit}, window: 1m}`).join('\n')}\n`;
  writeFileSync(path, many(1));
  const { rules } = await start(dir);
  let matches = 0;
  let longestMs = 0;
  const limits = new Set<number>();
  const match = () => {
    const book = rules.book;
    const seen = new Set<number>();
    for (let turn = 0; turn < 200; turn++) {
      const at = matches++ % 10_000;
      const found = book.match('a', [
        { key: 'path', value: `/p${at}` },
        { key: 'user', value: 'u' },
      ]);
      if (found?.rule.name !== `r${at}`) throw new Error(`no match for r${at}`);
      seen.add(found.rule.policy!.limit);
    }
    if (seen.size !== 1) throw new Error('two versions in one book');
    limits.add([...seen][0]!);
  };
  writeFileSync(path, many(2));
  const startedMs = performance.now();
  let beforeMs = startedMs;
  while (!limits.has(2)) {
    match();
    await new Promise(setImmediate);
    longestMs = Math.max(longestMs, performance.now() - beforeMs);
    beforeMs = performance.now();
    if (beforeMs - startedMs > 30_000) throw new Error('not reloaded');
  }
  process.stderr.write(
    `10,000 rules: reloaded in ${(performance.now() - startedMs).toFixed(0)} ms, ${matches} matches meanwhile, the longest pause ${longestMs.toFixed(0)} ms\n`,
  );
  expect([...limits]).toEqual([1, 2]);
}, 60_000);
