/** Folders that a service must not start on, those it must, and what it says. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually, tempDir } from '@plinth/testkit';
import { KvProcess, refusalOf } from './kv-process.ts';

const ENV = { KV_LOG_SEGMENT_BYTES: '1048576', KV_CHECKPOINT_INTERVAL_MS: '600s' };
const VALUE = 'v'.repeat(100_000);

/** A folder with three segments of log, a checkpoint somewhere in the second, and 30 keys; killed. */
let used: string;
let dataDir: string;

beforeAll(async () => {
  used = tempDir('kv-used');
  let kv = await KvProcess.start({ dataDir: used, env: ENV });
  await putKeys(kv, 0, 15);
  await kv.stop();
  kv = await KvProcess.start({ dataDir: used, env: ENV });
  await putKeys(kv, 15, 30);
  await kv.kill();
});

beforeEach(() => {
  dataDir = join(tempDir('kv-folder'), 'kv');
  cpSync(used, dataDir, { recursive: true });
});

async function putKeys(kv: KvProcess, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at++) {
    expect((await kv.http.send('PUT', `/v1/kv/b/k${at}`, { body: `${at}${VALUE}` })).status).toBe(201);
  }
}

async function expectAllThere(folder = dataDir): Promise<void> {
  const kv = await KvProcess.start({ dataDir: folder, env: ENV });
  for (let at = 0; at < 30; at++) {
    const { body } = await kv.http.send('GET', `/v1/kv/b/k${at}`);
    expect(body.toString()).toBe(`${at}${VALUE}`);
  }
  expect(await kv.stop()).toBe(0);
}

async function expectStart(): Promise<void> {
  const kv = await KvProcess.start({ dataDir, env: ENV });
  expect((await kv.http.send('HEAD', '/v1/kv/b/k0')).status).toBe(200);
  await kv.kill();
}

/** One line, exit code 1, and nothing was deleted or changed besides the lock. */
async function expectRefusal(words: RegExp, folder = dataDir, made: readonly string[] = []): Promise<void> {
  const before = [...filesOf(folder), ...made].sort();
  const { code, lines } = await refusalOf({ dataDir: folder, env: ENV });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(words);
  expect(code).toBe(1);
  expect(filesOf(folder)).toEqual(before);
}

const filesOf = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((name) => !/LOCK|-lock$/.test(name))
        .sort()
    : [];

describe('the lock', () => {
  it('of another process is respected, and its owner named; freed, it is taken', async () => {
    const kv = await KvProcess.start({ dataDir });
    await expectRefusal(new RegExp(`in use by process ${kv.process.pid} `));
    await kv.stop();
    await expectStart();
  });

  it('of a killed process is taken over at once', async () => {
    const first = await KvProcess.start({ dataDir });
    await first.kill();
    const second = await KvProcess.start({ dataDir });
    expect(second.startedInMs).toBeLessThan(5_000);
    await second.kill();
  });

  it('of a process whose id belongs to another one now is taken over', async () => {
    const other = spawn('sleep', ['60'], { stdio: 'ignore' });
    try {
      await leaveLock((owner) => [other.pid!, '1', owner.world]);
      await expectStart();
    } finally {
      other.kill();
    }
  });

  it('of a zombie is taken over: it is dead, only nobody has asked', async () => {
    // Ends behind the `exec`: the shell would ask for it.
    const parent = spawn('sh', ['-c', 'sleep 0.5 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
    try {
      const [said] = (await once(parent.stdout, 'data')) as [Buffer];
      const pid = Number(said);
      await eventually(() => expect(fieldsOf(pid)[0]).toBe('Z'));
      await leaveLock((owner) => [pid, fieldsOf(pid)[19]!, owner.world]);
      await expectStart();
    } finally {
      parent.kill();
    }
  });

  it('of another container is taken over once it has been silent for long', async () => {
    const file = await leaveLock(() => [1, '1', 'elsewhere']);
    utimesSync(file, new Date(), new Date(Date.now() - 11_000));
    await expectStart();
  });

  it('of another container that was there a moment ago keeps others out while it is touched', async () => {
    const file = await leaveLock(() => [1, '1', 'elsewhere']);
    const touching = setInterval(() => utimesSync(file, new Date(), new Date()), 500);
    try {
      await expectRefusal(/in use by process 1 \(elsewhere\)/);
    } finally {
      clearInterval(touching);
    }
  });

  it.each([['an empty file'], ['garbage'], ['an empty folder'], ['a folder with garbage']])(
    'that is %s is taken over',
    async (what) => {
      const lock = join(dataDir, 'LOCK');
      rmSync(lock, { recursive: true });
      if (what.endsWith('folder') || what.startsWith('a folder')) mkdirSync(lock);
      if (what === 'an empty file') writeFileSync(lock, '');
      if (what === 'garbage') writeFileSync(lock, '\0\xff{"pid":');
      if (what === 'a folder with garbage') {
        writeFileSync(join(lock, 'what is this'), '');
        utimesSync(join(lock, 'what is this'), 0, 0);
      }
      await expectStart();
    },
  );

  it('goes to one of those that find the same dead owner at the same moment', async () => {
    const starts = Array.from({ length: 4 }, () => KvProcess.start({ dataDir }).catch((error: Error) => error));
    const started = await Promise.all(starts);
    const running = started.filter((each) => each instanceof KvProcess);
    expect(running).toHaveLength(1);
    for (const each of started) if (each instanceof Error) expect(each.message).toMatch(/in use by process/);
    await running[0]!.kill();
  });

  it('that another has taken ends the process: two would destroy the folder', async () => {
    const kv = await KvProcess.start({ dataDir });
    const lock = join(dataDir, 'LOCK');
    rmSync(join(lock, readdirSync(lock)[0]!));
    writeFileSync(join(lock, '1.1.elsewhere'), '');
    const { code } = await kv.process.exited;
    expect(code).toBe(1);
    expect(kv.process.lines.join('\n')).toMatch(/was taken by 1\.1\.elsewhere/);
  });

  interface Owner {
    world: string;
  }

  /** Replaces the lock the killed process left by one of somebody else. */
  async function leaveLock(forge: (owner: Owner) => [pid: number, began: string, world: string]): Promise<string> {
    const lock = join(dataDir, 'LOCK');
    const [name = ''] = readdirSync(lock);
    const world = name.split('.').slice(2).join('.');
    rmSync(join(lock, name));
    const file = join(lock, forge({ world }).join('.'));
    writeFileSync(file, '');
    return file;
  }

  function fieldsOf(pid: number): string[] {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  }
});

describe('a folder that cannot be understood is refused and left alone', () => {
  it.each([
    ['of a newer version', 'FORMAT', '{"format":2}', /written by a newer version \(format 2; this one knows 1\)/],
    ['whose FORMAT is empty', 'FORMAT', '', /is damaged: FORMAT says \\"\\"/],
    ['whose FORMAT is garbage', 'FORMAT', '\0\0{', /is damaged: FORMAT says/],
    ['whose FORMAT is missing', 'FORMAT', undefined, /is damaged: FORMAT is missing, yet there is g1/],
    ['whose CURRENT is empty', 'CURRENT', '', /is damaged: CURRENT says \\"\\"; there is g1/],
    ['whose CURRENT is garbage', 'CURRENT', 'g1/../..', /is damaged: CURRENT says/],
    ['whose CURRENT is missing', 'CURRENT', undefined, /is damaged: CURRENT is missing, yet there is g1/],
    ['whose CURRENT names what is not there', 'CURRENT', 'g7\n', /is damaged: CURRENT says g7; there is g1/],
  ])('%s', async (_, file, text, words) => {
    if (text === undefined) rmSync(join(dataDir, file));
    else writeFileSync(join(dataDir, file), text);
    await expectRefusal(words);
  });

  it('that is a file, or has one on its way', async () => {
    const file = join(tempDir('kv-file'), 'file');
    writeFileSync(file, '');
    await expectRefusal(/cannot be the data folder: EEXIST/, file).catch((error: Error) => {
      if (!error.message.includes('ENOTDIR')) throw error;
    });
    await expectRefusal(/cannot be the data folder: ENOTDIR/, join(file, 'below'));
  });

  it('that cannot be written', async () => {
    const folder = tempDir('kv-immutable');
    try {
      execFileSync('chattr', ['+i', folder], { stdio: 'ignore' });
    } catch {
      return process.stderr.write('not tested: chattr +i does not work here\n');
    }
    try {
      await expectRefusal(/cannot be the data folder: E(PERM|ACCES)/, join(folder, 'kv'));
      await expectRefusal(/cannot be the data folder: E(PERM|ACCES)/, folder);
    } finally {
      execFileSync('chattr', ['-i', folder]);
    }
  });
});

describe('damage', () => {
  const log = () => join(dataDir, 'g1/durable/log');
  const segments = () =>
    readdirSync(log())
      .filter((name) => name.endsWith('.log'))
      .sort()
      .map((name) => join(log(), name));
  const state = () => join(dataDir, 'g1/durable/state/state.mdb');

  function overwrite(path: string, offset: number, bytes: Buffer): void {
    const content = readFileSync(path);
    bytes.copy(content, offset);
    writeFileSync(path, content);
  }

  it('none: the folder is whole', () => expectAllThere());

  it('in a segment behind which others were written is refused', async () => {
    const all = segments();
    expect(all.length).toBeGreaterThan(1);
    overwrite(all.at(-2)!, 900_000, Buffer.alloc(64, 7));
    await expectRefusal(/no valid record at position/);
  });

  it('in the last segment, with valid records behind it, is refused', async () => {
    overwrite(segments().at(-1)!, 100, Buffer.alloc(64, 7));
    await expectRefusal(/no valid record at position \d+, yet one at \d+ was written after it/);
  });

  it('a missing segment is refused', async () => {
    rmSync(segments().at(-2)!);
    await expectRefusal(/holds positions|no valid record/);
  });

  it('a missing state whose log was trimmed is refused', async () => {
    rmSync(state());
    await expectRefusal(/holds positions \d+ to \d+; 0 was asked for/, dataDir, ['g1/durable/state/state.mdb']);
  });

  it.each([
    ['overwritten at its head', (path: string) => overwrite(path, 0, Buffer.alloc(4_096, 'x'))],
    ['overwritten at its second page', (path: string) => overwrite(path, 4_096, Buffer.alloc(4_096, 'x'))],
    ['empty', (path: string) => truncateSync(path, 0)],
    ['cut off', (path: string) => truncateSync(path, 5 * 4_096)],
    ['cut within a page', (path: string) => truncateSync(path, 5 * 4_096 + 100)],
  ] as const)('a state that was %s is refused', async (_, harm) => {
    harm(state());
    await expectRefusal(/state\.mdb is (not a data file of LMDB|damaged|cut off)/);
  });
});
