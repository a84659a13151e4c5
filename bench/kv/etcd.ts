/** etcd, one node, through its JSON gateway: the same HTTP client and the same default, fsync before every answer. */
import { freePort } from '@plinth/engines';
import { findProgram, type Program, type Progress, runProgram } from '../program.ts';
import type { HttpRequest } from '../wrk.ts';
import { type HttpRace, httpOpponent, type PageEntry, send } from './http-opponent.ts';
import type { Opponent } from './opponent.ts';
import { KEYS, keyOf, OPERATIONS, type Operation, PAGE_KEYS, prefixOf, valueFor } from './workload.ts';

/** etcd's default bound for one transaction. */
const PUTS_PER_TRANSACTION = 128;
/** Transactions under way while the keys are stored. */
const FILLERS = 8;

/** @throws ProgramMissing when etcd is neither here nor can be fetched. */
export function findEtcd(progress: Progress): Promise<Program> {
  return findProgram({ name: 'etcd', debianPackages: ['etcd-server'], brewFormula: 'etcd' }, progress);
}

/** Starts etcd on an empty folder and enters it for the race. */
export async function enterEtcd(race: HttpRace, program: Program): Promise<Opponent> {
  const url = `http://127.0.0.1:${await freePort()}`;
  const server = await race.stage.start({
    name: 'etcd',
    program,
    args: await etcdArguments(url, await race.stage.emptyDir('etcd')),
    // Old releases refuse to start on anything but amd64 without it.
    env: process.arch === 'arm64' ? { ETCD_UNSUPPORTED_ARCH: 'arm64' } : {},
    url,
    isReady: async () => (await fetch(`${url}/health`)).ok,
  });
  const dialect = {
    name: 'etcd',
    title: `etcd ${await versionOf(program)}`,
    server,
    operations: OPERATIONS,
    isStore: true,
    promise: (operation: Operation) => (operation === 'put' ? 'fsync before the answer' : 'linearizable'),
    request: requestFor,
    storeAll: () => storeAll(url),
    valueIn: (answer: string) => entriesIn(answer)[0]?.value,
    entriesIn,
  };
  return httpOpponent(dialect, race);
}

async function etcdArguments(url: string, dir: string): Promise<string[]> {
  const peerUrl = `http://127.0.0.1:${await freePort()}`;
  return [
    ['--name', 'bench'],
    ['--data-dir', dir],
    ['--listen-client-urls', url],
    ['--advertise-client-urls', url],
    ['--listen-peer-urls', peerUrl],
    ['--initial-advertise-peer-urls', peerUrl],
    ['--initial-cluster', `bench=${peerUrl}`],
    // Its default logs every slow request, which would cost it CPU here.
    ['--log-level', 'error'],
  ].flat();
}

async function versionOf(program: Program): Promise<string> {
  return /etcd Version: (\S+)/.exec(await runProgram(program, ['--version']))?.[1] ?? 'of unknown version';
}

function requestFor(operation: Operation, number: number): HttpRequest {
  switch (operation) {
    case 'put':
      return post('/v3/kv/put', { key: base64(keyPath(number)), value: base64(valueFor(number, 'put')) });
    case 'get':
      return post('/v3/kv/range', { key: base64(keyPath(number)) });
    case 'page':
      return post('/v3/kv/range', pageOf(number));
    case 'page-keys':
      return post('/v3/kv/range', { ...pageOf(number), keys_only: true });
  }
}

/** All keys with the page's prefix: from it up to the prefix whose last byte is one higher. */
function pageOf(page: number): { key: string; range_end: string; limit: number } {
  const prefix = `bench/${prefixOf(page)}`;
  const end = prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
  return { key: base64(prefix), range_end: base64(end), limit: PAGE_KEYS };
}

function entriesIn(answer: string): PageEntry[] {
  const { kvs = [] } = JSON.parse(answer) as { kvs?: { key: string; value?: string }[] };
  return kvs.map(({ key, value }) => ({
    key: plain(key).replace('bench/', ''),
    value: value === undefined ? undefined : plain(value),
  }));
}

async function storeAll(url: string): Promise<void> {
  let next = 0;
  const filler = async (): Promise<void> => {
    while (next < KEYS) {
      const first = next;
      next = Math.min(KEYS, first + PUTS_PER_TRANSACTION);
      await send(url, post('/v3/kv/txn', { success: putsOf(first, next) }));
    }
  };
  await Promise.all(Array.from({ length: FILLERS }, filler));
}

function putsOf(first: number, end: number): unknown[] {
  return Array.from({ length: end - first }, (_, index) => ({
    request_put: { key: base64(keyPath(first + index)), value: base64(valueFor(first + index, 'filled')) },
  }));
}

function keyPath(number: number): string {
  return `bench/${keyOf(number)}`;
}

function post(path: string, body: unknown): HttpRequest {
  return { method: 'POST', path, body: JSON.stringify(body) };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function plain(encoded: string): string {
  return Buffer.from(encoded, 'base64').toString();
}
