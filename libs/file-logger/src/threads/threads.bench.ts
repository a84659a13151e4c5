/**
 * What a line costs when many threads log into one file: CPU of the whole process (all threads: encoding, ring, writer,
 * the kernel's part), against pino's worker transport.
 *
 *   node libs/file-logger/src/threads/threads.bench.ts [rounds] [lines]
 *
 * Each run is a process of its own; contestants take turns, figures are medians. CPU is counted from when all threads are
 * warm until every line is in the file, and only those lines are.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

/** Lines between two turns of the event loop: a service that logs per request, a busy one, a loop that never gives way. */
const TURNS = { '10 lines a turn': 10, '1,000 lines a turn': 1_000, 'no turns': Number.MAX_SAFE_INTEGER } as const;

const CONTESTANTS = {
  'ours, 4 threads': { kind: 'ours', threads: 4 },
  'ours, 4 threads, prebuilt lines': { kind: 'ring', threads: 4 },
  'pino transport, main thread': { kind: 'pino', threads: 0 },
  'pino transport, 4 threads with one each': { kind: 'pino', threads: 4 },
} as const;

type Kind = (typeof CONTESTANTS)[keyof typeof CONTESTANTS]['kind'];

interface Run {
  kind: Kind;
  threads: number;
  lines: number;
  turnAfter: number;
  path: string;
}

interface Figures {
  cpuNs: number;
  wallNs: number;
  lineBytes: number;
}

/** For each thread: the compiler has a heap of its own in each, and is done with it after some tens of thousands. */
const WARM_LINES = 100_000;
/** With pino's head it makes a line of 149 bytes, give or take the length of the process id. */
const FIELDS = { reqId: 'a1b2c3d4', method: 'GET', url: '/v1/items', status: 200 };
const MESSAGE = 'request completed';

interface Contestant {
  log(): void;
  /** Resolves when all lines are in the file. */
  settle(): Promise<void>;
}

async function ours(run: Run, handle: unknown): Promise<Contestant & { handle: unknown }> {
  const { threadLogger } = await import('./threads.ts');
  const options = handle === undefined ? { path: run.path } : { handle: handle as never };
  const log = threadLogger(options);
  const line = `{"level":30,"time":${Date.now()},"pid":${process.pid},"hostname":"machine","reqId":"a1b2c3d4","method":"GET","url":"/v1/items","status":200,"msg":"request completed"}\n`;
  return {
    handle: log.handle,
    log: run.kind === 'ring' ? () => log.sink.write(line) : () => log.info(FIELDS, MESSAGE),
    settle: () => new Promise((resolve) => log.sink.flush(() => resolve())),
  };
}

async function pinos(path: string): Promise<Contestant> {
  const { pino } = createRequire(import.meta.url)('pino') as typeof import('pino');
  const transport = pino.transport({ target: 'pino/file', options: { destination: path } });
  const log = pino(transport);
  await new Promise((resolve) => transport.once('ready', resolve));
  let written = 0;
  return {
    log: () => {
      written += 1;
      log.info(FIELDS, MESSAGE);
    },
    async settle() {
      await new Promise<void>((resolve) => transport.flush(() => resolve()));
      // The transport answers when the lines have left this thread; the file tells when they are there.
      while (statSync(path).size < lineBytes(path) * written) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
}

/** Of the first line: all are of one length. */
function lineBytes(path: string): number {
  return readFileSync(path).indexOf(10) + 1;
}

async function logLines(contestant: Contestant, lines: number, turnAfter: number): Promise<void> {
  for (let line = 1; line <= lines; line++) {
    contestant.log();
    if (line % turnAfter === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

async function runThread(): Promise<void> {
  const { run, handle, index } = workerData as { run: Run; handle: unknown; index: number };
  const path = `${run.path}.${index}`;
  const contestant = run.kind === 'pino' ? await pinos(path) : await ours(run, handle);
  await logLines(contestant, WARM_LINES, run.turnAfter);
  await contestant.settle();
  parentPort!.postMessage('warm');
  await new Promise((resolve) => parentPort!.once('message', resolve));
  await logLines(contestant, run.lines, run.turnAfter);
  await contestant.settle();
  parentPort!.postMessage('done');
}

async function measure(run: Run): Promise<Figures> {
  const isAlone = run.threads === 0;
  const local = isAlone ? await pinos(run.path) : run.kind === 'pino' ? undefined : await ours(run, undefined);
  const handle = (local as { handle?: unknown } | undefined)?.handle;
  const workers = Array.from({ length: run.threads }, (_, index) => {
    return new Worker(new URL(import.meta.url), { workerData: { run, handle, index }, env: process.env });
  });
  const next = () => Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  const warm = next();
  if (isAlone) await logLines(local!, WARM_LINES, run.turnAfter).then(() => local!.settle());
  await warm;
  const done = next();
  const startNs = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  for (const worker of workers) worker.postMessage('go');
  if (isAlone) await logLines(local!, run.lines, run.turnAfter).then(() => local!.settle());
  await done;
  const { user, system } = process.cpuUsage(cpu);
  const wallNs = Number(process.hrtime.bigint() - startNs);
  const lines = run.lines * Math.max(1, run.threads);
  const first = run.kind === 'pino' && !isAlone ? `${run.path}.0` : run.path;
  return { cpuNs: ((user + system) * 1_000) / lines, wallNs: wallNs / lines, lineBytes: lineBytes(first) };
}

const median = (numbers: number[]): number => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

function once(run: Omit<Run, 'path'>): Figures {
  const folder = mkdtempSync(join(tmpdir(), 'threads-bench-'));
  const order = JSON.stringify({ ...run, path: join(folder, 'x.log') });
  const answer = execFileSync(process.execPath, [import.meta.filename, order], { encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  return JSON.parse(answer.trim().split('\n').at(-1)!);
}

/** @returns Each contestant's CPU a line, in nanoseconds. */
function compare(rounds: number, lines: number, turnAfter: number): Record<string, number> {
  const figures = new Map<string, Figures[]>(Object.keys(CONTESTANTS).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, { kind, threads }] of Object.entries(CONTESTANTS)) {
      // The same number of lines in all, whatever the number of threads.
      figures.get(name)!.push(once({ kind, threads, lines: Math.ceil(lines / Math.max(1, threads)), turnAfter }));
    }
  }
  const cpuOf = (name: string): number => median(figures.get(name)!.map(({ cpuNs }) => cpuNs));
  const pino = cpuOf('pino transport, main thread');
  for (const [name, all] of figures) {
    const cells = [cpuOf(name), median(all.map(({ wallNs }) => wallNs))].map((ns) => ns.toFixed(0).padStart(6));
    const ratio = (cpuOf(name) / pino).toFixed(2);
    console.log(`  ${name.padEnd(40)} ${cells[0]} ns CPU  ${cells[1]} ns wall  ${all[0]!.lineBytes} B  ×${ratio}`);
  }
  return Object.fromEntries([...figures.keys()].map((name) => [name, Math.round(cpuOf(name))]));
}

function compareAll(rounds: number, lines: number): void {
  const results: Record<string, unknown> = {};
  for (const [name, turnAfter] of Object.entries(TURNS)) {
    console.log(`${name}: a line's cost, of all threads together; the last column is against pino in the main thread`);
    results[name] = compare(rounds, lines, turnAfter);
  }
  console.log(JSON.stringify({ bench: 'threads', rounds, lines, node: process.version, ...results }));
}

const order = process.argv[2];
if (!isMainThread) await runThread();
else if (order?.startsWith('{')) {
  console.log(JSON.stringify(await measure(JSON.parse(order) as Run)));
  process.exit(0);
} else compareAll(Number(order ?? 5), Number(process.argv[3] ?? 400_000));
