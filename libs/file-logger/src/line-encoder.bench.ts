/**
 * What a call costs its thread, in CPU time, beside pino's fastest mode: `node src/line-encoder.bench.ts [rounds] [calls]`.
 *
 * Each subject runs in a process of its own, the subjects of a round one after the other, so that all see the same
 * machine; the figure is the median of the rounds. Sinks and writes are part of it. Both write the same lines.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pino from 'pino';
import { fileLogger } from './file-logger.ts';
import type { Logger } from './logger.ts';

const WARM_UP_CALLS = 60_000;
const SUBJECTS = ['pino', 'ours'] as const;
const OPTIONS = { base: { pid: 12345, hostname: 'host-1' } };

/** One kind of call. */
type Call = (log: Logger, at: number) => void;

const error = new Error('it failed');
const nested = {
  user: { address: { city: 'Ulm', tags: ['a', 'b', 'c'] }, isActive: true },
  list: [{ id: 1 }, { id: 2 }],
};
const CALLS: Record<string, Call> = {
  '4 fields + msg': (log, at) =>
    log.info({ method: 'GET', path: '/v1/kv/users/1234', status: 200, ms: at % 1000 }, 'request done'),
  'child of 3 + msg': (log) => log.info('request done'),
  'msg only': (log) => log.info('request done'),
  '12 fields + msg': (log, at) =>
    log.info(
      {
        a: 'alpha',
        b: at,
        c: true,
        d: 'delta delta',
        e: 1.5,
        f: null,
        g: 'golf',
        h: 7,
        i: false,
        j: 'juliett',
        k: 'kilo',
        l: 12,
      },
      'request done',
    ),
  'nested + msg': (log) => log.info(nested, 'request done'),
  'an Error': (log) => log.error(error, 'request failed'),
  'msg with %s %d': (log, at) => log.info('request %s took %d ms', '/v1/kv', at % 1000),
  'not written': (log) => log.debug('request done'),
};

interface Measured {
  nanos: number;
  lineBytes: number;
}

function measured(subject: string, kind: string, calls: number, folder: string): Measured {
  const path = join(folder, `${process.pid}.log`);
  const destination = subject === 'pino' ? pino.destination({ sync: true, minLength: 4096, dest: path }) : undefined;
  const ours = destination === undefined ? fileLogger({ ...OPTIONS, path }) : undefined;
  const root = ours ?? (pino(OPTIONS, destination!) as unknown as Logger);
  const log = kind.startsWith('child') ? root.child({ requestId: 'abcdef0123456789', user: 42, route: '/v1' }) : root;
  const call = CALLS[kind]!;
  const run = (times: number): void => {
    for (let at = 0; at < times; at++) call(log, at);
    destination?.flushSync();
    ours?.flushSync();
  };
  run(WARM_UP_CALLS);
  const before = process.cpuUsage();
  run(calls);
  const { user, system } = process.cpuUsage(before);
  const lineBytes = Math.round(statSync(path).size / (calls + WARM_UP_CALLS));
  return { nanos: ((user + system) * 1_000) / calls, lineBytes };
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!;
}

function inOwnProcess(subject: string, kind: string, calls: number, folder: string): Measured {
  const args = [fileURLToPath(import.meta.url), 'measure', subject, kind, `${calls}`, folder];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as Measured;
}

function main(rounds: number, calls: number): void {
  const folder = mkdtempSync(join(tmpdir(), 'line-encoder-bench-'));
  console.log(
    `CPU ns per call, median of ${rounds} rounds of ${calls} calls; node ${process.version}, pino ${pino.version}`,
  );
  console.log('| call | bytes a line | pino | ours | ratio |\n|---|---|---|---|---|');
  const ratios: Record<string, number> = {};
  for (const kind of Object.keys(CALLS)) {
    const nanos: Record<string, number[]> = { pino: [], ours: [] };
    let lineBytes = 0;
    for (let round = 0; round < rounds; round++) {
      for (const subject of SUBJECTS) {
        const one = inOwnProcess(subject, kind, calls, folder);
        nanos[subject]!.push(one.nanos);
        lineBytes = one.lineBytes;
      }
    }
    const [theirs, ours] = [median(nanos.pino!), median(nanos.ours!)];
    ratios[kind] = Number((ours / theirs).toFixed(3));
    console.log(
      `| ${kind} | ${lineBytes} | ${theirs.toFixed(0)} | ${ours.toFixed(0)} | ${(ours / theirs).toFixed(2)} |`,
    );
  }
  console.log(JSON.stringify({ bench: 'line-encoder', node: process.version, pino: pino.version, rounds, ratios }));
  rmSync(folder, { recursive: true });
}

if (process.argv[2] === 'measure') {
  const [subject, kind, calls, folder] = process.argv.slice(3) as [string, string, string, string];
  console.log(JSON.stringify(measured(subject, kind, Number(calls), folder)));
} else {
  main(Number(process.argv[2] ?? 5), Number(process.argv[3] ?? 300_000));
}
