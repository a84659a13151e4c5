/**
 * What a key costs a request: `node libs/service-kit/src/http/key-guard.bench.ts`, 10 s.
 *
 * The header is a new string each time, as it is out of Node's parser: its hash has to be computed anew. The loop that
 * only makes the strings is taken off. Medians of 7 rounds.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { operationsOf } from '@plinth/contracts';
import { z } from 'zod';
import { KeyRing } from '../keys/key-ring.ts';
import { hashOfKey, newKey } from '../keys/key-text.ts';
import { KeyGuard } from './key-guard.ts';

const ROUNDS = 7;
const CALLS = 1_000_000;
const KEYS = 100;

const keys = Array.from({ length: KEYS }, newKey);
const folder = mkdtempSync(join(tmpdir(), 'key-guard-bench-'));
const keysFile = join(folder, 'api-keys');
writeFileSync(keysFile, keys.map((key, at) => `key-${at} ${hashOfKey(key)} kv:read,kv:write:/v1/kv/mine\n`).join(''));
const log = { debug() {}, info() {}, warn() {}, error() {} };
const ring = await KeyRing.open({ service: 'kv', files: { rootKeyFile: undefined, keysFile }, log });
const guard = new KeyGuard(ring);
const get = operationsOf('kv')({
  name: 'get',
  summary: '',
  method: 'GET',
  path: '/v1/kv/{bucket}/{+key}',
  query: z.strictObject({}),
  body: { kind: 'none' },
  replies: [],
});
const PATH = '/v1/kv/mine/some/key';

const known = keys.map((key) => Buffer.from(`Bearer ${key}`));
const unknown = keys.map(() => Buffer.from(`Bearer ${newKey()}`));

let checked = 0;
const only = (authorization: string) => {
  checked += authorization.length;
};
const guarded = (authorization: string) => {
  if (guard.refusal({ authorization }, get, PATH) === undefined) checked++;
};

function nsOf(headers: readonly Buffer[], check: (authorization: string) => void, calls: number): number {
  const before = process.hrtime.bigint();
  for (let at = 0; at < calls; at++) check(headers[at % KEYS]!.toString('latin1'));
  return Number(process.hrtime.bigint() - before) / calls;
}

const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
const rounds = Array.from({ length: ROUNDS }, () => {
  const base = nsOf(known, only, CALLS);
  return {
    known: nsOf(known, guarded, CALLS) - base,
    unknown: nsOf(unknown, guarded, CALLS / 10) - base,
  };
});
console.log(`a known key:    ${median(rounds.map((round) => round.known)).toFixed(0)} ns`);
console.log(`an unknown key: ${median(rounds.map((round) => round.unknown)).toFixed(0)} ns, its problem included`);
const startMs = performance.now();
for (let at = 0; at < 100; at++) await ring.look();
console.log(`a look at a file of ${KEYS} keys: ${((performance.now() - startMs) * 10).toFixed(0)} µs`);
if (checked === 0) throw new Error('nothing was checked');
ring.close();
rmSync(folder, { recursive: true });
